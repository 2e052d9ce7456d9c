"""A worker answers like its model, and whatever a hostile one does ends in a SandboxError, soon."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from skerry.errors import SandboxError, SpecificationError
from skerry.package.sandbox import LEVELS
from skerry.package.worker import Worker, as_rows

from .models import model_package

pytestmark = pytest.mark.sandbox

X = np.arange(8, dtype=float).reshape(4, 2)

FIND_PIPE = """
    def pipes(self):
        for fd in range(3, 20):
            try:
                if 'pipe' in os.readlink(f'/proc/self/fd/{fd}'): yield fd
            except OSError: pass
    def write(self, data):
        for fd in range(3, 20):
            try: os.write(fd, data)
            except OSError: pass
"""
HOSTILE = {
    "garbage": FIND_PIPE
    + "    def predict(self, X):\n        self.write(b'garbage' * 100)\n        time.sleep(60)",
    "a huge length": FIND_PIPE
    + "    def predict(self, X):\n        self.write(b'HEAD' + bytes([127] * 8))\n        time.sleep(60)",
    "too much": FIND_PIPE
    + "    def predict(self, X):\n        while True: self.write(b'HEAD' + bytes(7) + b'\\x04{}  ')",
    "nothing": "    def predict(self, X):\n        time.sleep(60)",
    "half an answer": FIND_PIPE
    + "    def predict(self, X):\n        self.write(b'HEAD')\n        time.sleep(60)",
    "death": "    def predict(self, X):\n        os._exit(3)",
    "a crash": "    def predict(self, X):\n        os.abort()",
    "closed pipes": "    def predict(self, X):\n        os.closerange(3, 50)\n        time.sleep(60)",
    "endless errors": "    def predict(self, X):\n        while True:\n            os.write(2, b'x' * 65536)",
    "an exception": "    def predict(self, X):\n        raise ValueError('no')",
    "an exit": "    def predict(self, X):\n        sys.exit(0)",
    "no array": "    def predict(self, X):\n        return object()",
    "too few rows": "    def predict(self, X):\n        return np.zeros(len(X) - 1)",
    "too many rows": "    def predict(self, X):\n        return np.zeros(len(X) + 1)",
    "one number": "    def predict(self, X):\n        return 3.0",
    "not finite": "    def predict(self, X):\n        return np.full(len(X), np.nan)",
    "infinite": "    def predict(self, X):\n        return np.full(len(X), np.inf)",
    "a large answer": "    def predict(self, X):\n        return np.zeros((len(X), 2_000_000))",
    "complex numbers": "    def predict(self, X):\n        return np.zeros(len(X), complex)",
    "children that stay": "    def predict(self, X):\n        os.fork(), os.fork()\n        time.sleep(60)",
}


@pytest.fixture
def leftovers() -> Iterator[None]:
    """Fail when a test leaves a process behind."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    workers = running_workers()
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and running_workers() - workers:
        time.sleep(0.05)
    assert running_workers() - workers == set()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def running_workers() -> set[int]:
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if "worker_main.py" in command and f"-{os.getpid()}-" in command:
            found.add(process.pid)
    return found


def make(tmp_path: Path, body: str, *, classes: list[str] | None = None) -> Path:
    return model_package(tmp_path / f"model-{os.getpid()}-.zip", body, classes=classes).path


AT_EVERY_LEVEL = ("nothing", "death", "children that stay")
CASES = [(deed, "A") for deed in HOSTILE] + [
    (deed, level) for deed in AT_EVERY_LEVEL for level in ("B", None)
]


@pytest.mark.parametrize(("deed", "level"), CASES)
def test_a_hostile_worker_ends_in_an_error(
    deed: str, level: str | None, tmp_path: Path, leftovers: None
) -> None:
    path = make(tmp_path, HOSTILE[deed])
    started = time.monotonic()
    options = {"unconfined": True} if level is None else {"levels": (level,)}
    with Worker(path, deadline_seconds=0.5, **options) as worker:  # type: ignore[arg-type] # one of two options
        with pytest.raises(SandboxError) as caught:
            worker.predict(X)
        assert caught.value.code in {"E-SANDBOX-WORKER", "E-SANDBOX-MODEL", "E-SANDBOX-ANSWER"}
        assert len(str(caught.value)) < 4000
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "body", ["        raise RuntimeError('at the start')", "        os._exit(0)", "    x ="]
)
def test_a_model_that_does_not_load_is_an_error(body: str, tmp_path: Path, leftovers: None) -> None:
    with pytest.raises(SandboxError):
        Worker(make(tmp_path, body))


def test_an_error_of_the_model_does_not_end_the_worker(tmp_path: Path) -> None:
    body = "    def predict(self, X):\n        assert X[0, 0] >= 0, 'negative'\n        return X[:, 0]"
    with Worker(make(tmp_path, body)) as worker:
        with pytest.raises(SandboxError, match="negative") as caught:
            worker.predict(-X - 1)
        assert caught.value.code == "E-SANDBOX-MODEL"
        assert worker.predict(X).tolist() == X[:, 0].tolist()


def test_a_library_that_is_not_there_is_named_with_the_lane(tmp_path: Path) -> None:
    body = "    def predict(self, X):\n        import nowhere_to_be_found.inside\n        return X[:, 0]"
    with Worker(make(tmp_path, body)) as worker, pytest.raises(SandboxError) as caught:
        worker.predict(X)
    error = caught.value
    assert (error.code, error.why) == ("E-SANDBOX-IMPORT", "no module named nowhere_to_be_found")
    assert error.where.endswith("python lane")


def test_what_the_model_prints_is_no_answer(tmp_path: Path) -> None:
    body = (
        "    def predict(self, X):\n        print('hello' * 1000)\n        os.system('echo from a shell')\n"
        "        return X[:, 0]"
    )
    with Worker(make(tmp_path, body)) as worker:
        assert worker.predict(X).tolist() == [0, 2, 4, 6]


def test_answers_keep_their_types(tmp_path: Path) -> None:
    body = (
        "    def predict(self, X):\n        kind = int(X[0, 0])\n"
        "        return [X[:, 0] > 1, X[:, 0].astype('>i4'), ['a'] * len(X),"
        " np.array(['b'] * len(X), object), np.asfortranarray(np.stack([X[:, 0], X[:, 1]], 1))][kind]"
    )
    with Worker(make(tmp_path, body)) as worker:
        answers = [worker.predict([[kind, 0.0], [2, 1]]) for kind in range(5)]
    assert [answer.dtype.kind for answer in answers] == list("biUUf")
    assert answers[3].tolist() == ["b", "b"]
    assert answers[4].tolist() == [[4, 0], [2, 1]]


def test_text_goes_in(tmp_path: Path) -> None:
    body = "    def predict(self, X):\n        return np.array([len(text) for text in X])"
    with Worker(make(tmp_path, body)) as worker:
        assert worker.predict(["one", "caf\u00e9", "\U0001f600"]).tolist() == [3, 4, 1]


def test_no_rows_are_answered_by_none(tmp_path: Path) -> None:
    with Worker(make(tmp_path, "    def predict(self, X):\n        return X[:, 0]")) as worker:
        assert worker.predict(np.zeros((0, 2))).shape == (0,)


def test_positions_become_labels_and_false_ones_are_refused(tmp_path: Path) -> None:
    body = "    def predict(self, X):\n        return X[:, 0].astype(int)"
    with Worker(make(tmp_path, body, classes=["no", "yes"])) as worker:
        assert worker.predict([[1, 0], [0, 0]]).tolist() == ["yes", "no"]
        for wrong in (2, -1):
            with pytest.raises(SandboxError, match="beyond the 2"):
                worker.predict([[wrong, 0]])


@pytest.mark.parametrize("rows", ["[0.5, 0.6]", "[1.5, -0.5]", "[1.0]", "[0.2, 0.3, 0.5]"])
def test_probabilities_that_are_none_are_refused(rows: str, tmp_path: Path) -> None:
    body = (
        "    def predict(self, X):\n        return np.zeros(len(X), int)\n"
        f"    def predict_proba(self, X):\n        return np.array([{rows}] * len(X))"
    )
    with Worker(make(tmp_path, body, classes=["no", "yes"])) as worker, pytest.raises(SandboxError):
        worker.predict_proba(X)


def test_finetune_changes_this_worker_only(tmp_path: Path) -> None:
    body = (
        "        self.shift = 0.0\n    def predict(self, X):\n        return X[:, 0] + self.shift\n"
        "    def finetune(self, X, y):\n        self.shift = float(np.mean(y - X[:, 0]))"
    )
    path = make(tmp_path, body)
    with Worker(path) as worker:
        assert "finetune" in worker.methods
        worker.finetune(X, X[:, 0] + 5)
        assert worker.predict(X).tolist() == (X[:, 0] + 5).tolist()
    with Worker(path) as worker:
        assert worker.predict(X).tolist() == X[:, 0].tolist()


def test_a_method_that_is_not_offered_is_named(tmp_path: Path) -> None:
    with Worker(make(tmp_path, "    def predict(self, X):\n        return X[:, 0]")) as worker:
        with pytest.raises(SandboxError, match="finetune") as caught:
            worker.finetune(X, X[:, 0])
        assert caught.value.code == "E-SANDBOX-METHOD"


@pytest.mark.parametrize("rows", [3.0, [object()], [[1, None]], np.zeros(3, complex), [b"bytes"]])
def test_rows_that_cannot_travel_are_the_callers_fault(rows: object) -> None:
    with pytest.raises(SpecificationError) as caught:
        as_rows(rows)
    assert caught.value.code == "E-SANDBOX-INPUT"


def test_a_closed_worker_says_so_and_leaves_no_folder(tmp_path: Path, leftovers: None) -> None:
    worker = Worker(make(tmp_path, "    def predict(self, X):\n        return X[:, 0]"))
    folder = worker._folder
    assert worker.alive
    worker.close()
    worker.close()
    assert not worker.alive
    assert not folder.exists()
    with pytest.raises(SandboxError, match="ended"):
        worker.predict(X)


@pytest.mark.parametrize("level", [*LEVELS, None])
def test_workers_end_with_their_caller(level: str | None, tmp_path: Path) -> None:
    """The caller is killed and can clean up nothing; a worker that ignores everything ends all the same."""
    body = "    def predict(self, X):\n        os.fork()\n        time.sleep(600)"
    path = make(tmp_path, body)
    options = "unconfined=True" if level is None else f"levels=({level!r},)"
    code = (
        "import sys, threading, time\nfrom skerry.package.worker import Worker\n"
        f"worker = Worker(__import__('pathlib').Path({str(path)!r}), {options})\n"
        "threading.Thread(target=worker.predict, args=([[1.0, 2.0]],), daemon=True).start()\n"
        "time.sleep(0.5)\nprint('asked', flush=True)\ntime.sleep(600)"
    )
    caller = psutil.Popen([os.sys.executable, "-c", code], stdout=-1)  # type: ignore[attr-defined] # os.sys is sys
    assert caller.stdout.readline() == b"asked\n"
    workers = caller.children(recursive=True)
    assert workers
    caller.kill()
    caller.wait()
    caller.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert alive == []
