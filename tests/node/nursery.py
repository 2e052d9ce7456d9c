"""A process that has imported the daemon already, and forks one on request.

Theory of operation. A daemon's imports take a second of a core, and tests start hundreds of daemons. Each
process that runs tests starts one *nursery* (``python -m tests.node.nursery``), which imports what
``python -m skerry.node`` imports and then waits. A request is a line of JSON on its standard input, the
answer a line on its standard output. A forked child takes over environment, log and limits, and goes on as
the command would: from ``main`` on nothing differs. Benchmarks, and tests of the start itself, use the
command.

Rules of this file:

1. The nursery imports and does nothing else before it forks: no thread, no event loop, no open file.
2. It ends with the process that started it; its children end as daemons do.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol

POLL_SECONDS = 0.01


class Process(Protocol):
    """What tests do with a daemon's process: a part of ``subprocess.Popen``."""

    pid: int
    returncode: Any

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal, unless it has ended."""

    def kill(self) -> None:
        """End it at once, unless it has ended."""


class Nursery:
    """The nursery of this process of tests."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.node.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parent.parent.parent,
            text=True,
        )
        self._lock = threading.Lock()
        atexit.register(self._process.kill)

    def fork(
        self, arguments: list[str], log: Path, environment: dict[str, str], file_bytes_max: int
    ) -> Forked:
        """Start a daemon; the parameters are what its process gets."""
        pid = self.ask(start=arguments, log=str(log), environment=environment, file_bytes_max=file_bytes_max)
        return Forked(self, int(pid))

    def ask(self, **request: Any) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


class Forked:
    """A daemon that the nursery forked."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""
        deadline = time.monotonic() + (timeout if timeout is not None else threading.TIMEOUT_MAX)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"daemon {self.pid}", timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, signal: int, /) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal)

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        self.send_signal(signal.SIGKILL)


@cache
def nursery() -> Nursery:
    """Return the nursery of this process, which is started with the first call."""
    from tests.node.processes import daemon_environment

    return Nursery(daemon_environment())


def main(requests: IO[str], answers: IO[str]) -> int:
    """Answer requests until they end; in a forked child, be the daemon and return its exit code."""
    import skerry.node.daemon
    from skerry.node.__main__ import main as run

    assert skerry.node.daemon
    gc.freeze()
    codes: dict[int, int] = {}
    for line in requests:
        request = json.loads(line)
        if "poll" in request:
            _answer(answers, _exit_code(request["poll"], codes))
            continue
        pid = os.fork()
        if pid == 0:
            _become(request)
            return run(request["start"])
        _answer(answers, pid)
    return 0


def _answer(answers: IO[str], value: int | None) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _exit_code(pid: int, codes: dict[int, int]) -> int | None:
    """Return the exit code of a child; it can be asked for again, and by two threads of the asker."""
    if pid not in codes:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes.get(pid)


def _become(request: dict[str, Any]) -> None:
    """Take over what a new process would have been given."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes_max"],) * 2)
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
