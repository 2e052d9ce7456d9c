"""The pool keeps one worker a package, and none longer than it should."""

import threading
from pathlib import Path

import pytest

from skerry.errors import SandboxError
from skerry.package.pool import WorkerPool
from skerry.package.worker import Worker

from .models import model_package

pytestmark = pytest.mark.sandbox

BODY = """
    def predict(self, X):
        if X[0, 0] < 0:
            os._exit(1)
        if X[0, 0] == 0:
            raise ValueError("zero")
        return X[:, 0]
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return model_package(tmp_path / "model.zip", BODY).path


def test_a_worker_is_started_once_and_shared_by_callers(package: Path) -> None:
    started = []

    def start() -> Worker:
        started.append(1)
        return Worker(package)

    def ask() -> None:
        with pool.worker(b"digest", start) as worker:
            answers.append(worker.predict([[1.0, 2.0]])[0])

    answers: list[float] = []
    with WorkerPool() as pool:
        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [1.0] * 5
        assert started == [1]
        assert len(pool) == 1
    assert len(pool) == 0


def test_an_idle_worker_is_stopped_and_started_again(package: Path) -> None:
    clock = Clock()
    with WorkerPool(idle_seconds=60, clock=clock) as pool:
        with pool.worker(b"digest", lambda: Worker(package)) as first:
            pass
        clock.now = 59
        pool.stop_idle()
        assert first.alive
        clock.now = 61
        pool.stop_idle()
        assert not first.alive
        with pool.worker(b"digest", lambda: Worker(package)) as second:
            assert second.predict([[1.0, 2.0]]).tolist() == [1.0]


def test_a_worker_in_use_is_never_stopped(package: Path) -> None:
    clock = Clock()
    with (
        WorkerPool(idle_seconds=1, clock=clock) as pool,
        pool.worker(b"digest", lambda: Worker(package)) as worker,
    ):
        clock.now = 100
        pool.stop_idle()
        assert worker.alive


def test_the_longest_idle_makes_room(package: Path) -> None:
    clock = Clock()
    with WorkerPool(size=2, clock=clock) as pool:
        workers = []
        for now, digest in enumerate([b"a", b"b", b"c"]):
            clock.now = now
            with pool.worker(digest, lambda: Worker(package)) as worker:
                workers.append(worker)
        assert [worker.alive for worker in workers] == [False, True, True]


def test_a_worker_that_died_is_replaced_and_one_whose_model_erred_is_kept(package: Path) -> None:
    with WorkerPool() as pool:
        with pytest.raises(SandboxError), pool.worker(b"digest", lambda: Worker(package)) as first:
            first.predict([[0.0, 1.0]])
        assert first.alive
        with pytest.raises(SandboxError), pool.worker(b"digest", lambda: Worker(package)) as same:
            same.predict([[-1.0, 1.0]])
        assert same is first
        assert not first.alive
        with pool.worker(b"digest", lambda: Worker(package)) as second:
            assert second.predict([[1.0, 2.0]]).tolist() == [1.0]
