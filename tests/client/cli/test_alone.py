"""The command line on a machine where no node runs."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from skerry.client.cli.session import exit_code
from skerry.errors import (
    NotFound,
    PackageError,
    Refused,
    SandboxError,
    SkerryError,
    SpecificationError,
    TransportError,
    Unavailable,
)
from skerry.protocol.api import Endpoint
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation
from tests.client.cli.running import COMMAND, compare, skerry

ROWS = "id,age,bmi\n" + "".join(f"p{i},{20 + i},{22 + i % 7}\n" for i in range(30))


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which nothing was ever set up, and some files to work with."""
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "empty.csv").write_text("a,b\n")
    return {"SKERRY_HOME": str(tmp_path / "home"), "SKERRY_CACHE": str(tmp_path / "cache")}


def test_the_session_is_as_written(tmp_path: Path, nowhere: dict[str, str]) -> None:
    compare("alone", nowhere, tmp_path)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecificationError("x"), 1),
        (PackageError("x"), 1),
        (SandboxError("x"), 1),
        (NotFound("x"), 3),
        (Unavailable("x"), 4),
        (TransportError("x"), 4),
        (TransportError("x", code="E-FETCH-PIN"), 5),
        (RemoteProtocolError(Violation.HASH_WRONG), 5),
        (Refused("x"), 6),
        (SandboxError("x", code="E-SANDBOX-UNAVAILABLE"), 6),
    ],
)
def test_exit_codes_say_what_kind_of_failure_it_was(error: SkerryError, code: int) -> None:
    assert exit_code(error) == code


def test_help_comes_at_once() -> None:
    """200 ms of processor time where Python itself starts in 16; a slow or busy machine gets as much more.

    Beside another test process, which shares caches and memory, the same start was seen to take 1.6 times
    as long.
    """
    bare = processor_seconds([sys.executable, "-c", "pass"])
    beside = 2.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
    assert processor_seconds([str(COMMAND), "--help"]) < beside * 0.2 * max(1.0, bare / 0.016)


def processor_seconds(command: list[str]) -> float:
    """Return the least that a command took in several runs."""
    seconds = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_an_interruption_is_quiet_from_the_first_moment() -> None:
    """Whatever the command is importing when Ctrl-C comes; what Python does before is Python's."""
    program = (
        "import signal, sys; import skerry.client.entry as entry; signal.signal(signal.SIGINT, entry.leave); "
        "print('begun', flush=True); sys.argv = ['skerry', '--help']; entry.main()"
    )
    ended = set()
    for milliseconds in range(0, 200, 20):
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        ended.add(process.returncode)
        assert err == b""
    assert 130 in ended
    # Once the command is over and Python takes itself down, the signal finds no handler any more.
    assert ended <= {0, 130, -signal.SIGINT}


def test_completion_knows_the_verbs(nowhere: dict[str, str]) -> None:
    words = {"_SKERRY_COMPLETE": "complete_bash", "COMP_WORDS": "skerry wi", "COMP_CWORD": "1"}
    assert skerry(environment={**nowhere, **words}).stdout.split() == ["withdraw"]


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, skerry.client.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "sklearn", "aiohttp", "rich", "msgspec", "cryptography"} & set(done.stdout.split())


def test_errors_are_json_where_results_would_be(nowhere: dict[str, str]) -> None:
    done = skerry("status", "--json", environment=nowhere)
    assert (done.returncode, done.stdout) == (4, "")
    error = json.loads(done.stderr)["error"]
    assert set(error) == {"code", "what", "where", "why", "todo"}
    assert error["code"] == "E-NODE-ABSENT"


def test_tracebacks_are_for_those_who_ask(nowhere: dict[str, str]) -> None:
    assert "Traceback" not in skerry("status", environment=nowhere).stderr
    assert "Traceback" in skerry("status", "--debug", environment=nowhere).stderr


def test_specifications_are_shown_whole_as_json(tmp_path: Path, nowhere: dict[str, str]) -> None:
    done = skerry("spec", "show", "rows.csv", "--json", environment=nowhere, cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert shown["columns"] == ["age", "bmi"]
    assert len(shown["points"]) == len(shown["weights"]) == 3
    assert done.returncode == 0


@pytest.fixture
def silent_node(nowhere: dict[str, str]) -> Iterator[socket.socket]:
    """Let a node's folder point to an address that accepts connections and never answers."""
    home = Path(nowhere["SKERRY_HOME"])
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (home / "api.json").write_bytes(msgspec.json.encode(Endpoint(url, 1, {"search": "t"})))
        yield listener


def test_interruption_is_quiet_and_has_its_own_code(
    nowhere: dict[str, str], silent_node: socket.socket
) -> None:
    process = subprocess.Popen(
        [COMMAND, "status"], env={**os.environ, **nowhere}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    asked, _ = silent_node.accept()  # now the command waits for an answer
    with asked:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


def test_what_takes_a_while_says_so_where_somebody_watches(tmp_path: Path, nowhere: dict[str, str]) -> None:
    watched, terminal = os.openpty()
    environment = {**os.environ, **nowhere, "TERM": "xterm", "COLUMNS": "80"}
    command = [COMMAND, "spec", "show", "rows.csv"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=terminal, cwd=tmp_path, env=environment
    ) as process:
        os.close(terminal)
        shown = b""
        while not shown.endswith(b"beside them\r\n"):
            shown += os.read(watched, 4096)
        assert process.stdout is not None
        assert b"points, least to most" in process.stdout.read()
    os.close(watched)
    assert process.returncode == 0
    assert b"specifying rows.csv" in shown
    assert "specifying" not in skerry("spec", "show", "rows.csv", environment=nowhere, cwd=tmp_path).stderr


def test_columns_that_do_not_fit_go_on_below(tmp_path: Path, nowhere: dict[str, str]) -> None:
    names = [f"measurement {number}" for number in range(9)]
    rows = np.random.default_rng(5).normal(size=(300, 9)).tolist()
    written = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "wide.csv").write_text("\n".join(written))
    shown = skerry("spec", "show", "wide.csv", environment=nowhere, cwd=tmp_path).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert shown.count("weight") == 3
    assert all(shown.count(name) == 2 for name in names)


def test_a_limit_is_a_number_of_bytes_a_second(nowhere: dict[str, str]) -> None:
    done = skerry("get", "1", "--limit", "fast", environment=nowhere)
    assert (done.returncode, "such as 500k or 2M" in done.stderr) == (2, True)
    assert skerry("get", "1", "--limit", "2M", environment=nowhere).returncode not in (0, 2)
