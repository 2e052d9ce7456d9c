"""The process of a worker: started by a plan, spoken to over its pipes, ended with all its children.

Theory of operation. A plan (:mod:`.sandbox`) says how to start the interpreter on :mod:`.worker_main`. The
process reports when it is ready for the package, which means confined if the plan is a sandbox; until
then nothing of the package has run. It leads a session of its own, so one signal ends everything it
started; what escaped into namespaces ends with their first process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from skerry import errors
from skerry.errors import SandboxError

from . import limits
from .channel import Channel, ChannelError
from .frames import Message
from .sandbox import LEVELS, Level, Plan, plans

FOLDER: Final = Path(__file__).parent.resolve()
_ERRORS: Final = Path(errors.__file__).resolve()
CODE: Final = (FOLDER, _ERRORS)
"""What a worker may read of Skerry."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - private at level A, out of reach at level B
    "LANG": "C.UTF-8",
    "JOBLIB_MULTIPROCESSING": "0",
}


class WorkerProcess:
    """One running worker.

    Parameters
    ----------
    plan
        How it is started and confined.
    python
        The interpreter.
    entry
        What :func:`skerry.package.serve.serve` is to load.
    folder
        Where it starts when the plan does not say.

    Raises
    ------
    ChannelError
        It did not become ready; the text holds its last words.
    SandboxError
        The program of the plan could not be started at all.
    """

    def __init__(self, plan: Plan, python: Path, entry: Mapping[str, Any], folder: Path) -> None:
        self.level = plan.level
        config = json.dumps({"model": entry, "confinement": plan.confinement, "errors": str(_ERRORS.parent)})
        self._process = _popen(
            [*plan.command, str(python), "-I", "-S", str(FOLDER / "worker_main.py"), config], folder
        )
        self._channel = Channel(self._process)
        try:
            self.exchange([], answer_bytes_max=0, seconds=limits.START_SECONDS_MAX)
        except ChannelError as error:
            raise ChannelError(self.last_words or str(error)) from error

    @property
    def alive(self) -> bool:
        """Whether it can be asked.

        A process that ended is not reaped by asking: its id stays taken, so that :meth:`close` ends the
        rest of its group and no other.
        """
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to standard error; text from a stranger."""
        return self._channel.stderr.strip()[-limits.ERROR_CHARACTERS_MAX :]

    def exchange(
        self, call: Sequence[bytes | memoryview], *, answer_bytes_max: int, seconds: float
    ) -> Message:
        """Write `call` and return the answer; a process that fails at it is ended.

        Raises
        ------
        ChannelError
            No whole, valid answer came within `seconds`.
        """
        if self._process.returncode is not None:
            raise ChannelError("its process has ended")
        try:
            return self._channel.exchange(
                call, answer_bytes_max=answer_bytes_max, deadline=time.monotonic() + seconds
            )
        except ChannelError:
            self.close()
            raise

    def close(self) -> None:
        """End the process and everything it started. Nothing happens the second time."""
        process = self._process
        if process.returncode is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                process.kill()
            _wait(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def try_levels() -> dict[Level, str]:
    """Try each level of the sandbox and return why it does not work here; an empty text where it does.

    Raises
    ------
    OSError
        No temporary folder can be made.
    """
    outcomes: dict[Level, str] = dict.fromkeys(LEVELS, "it is not installed, or this system has none")
    for level in LEVELS:
        folder = Path(tempfile.mkdtemp(prefix="skerry-worker-"))
        try:
            (folder / "package").mkdir()
            (folder / "canary").touch(mode=0o600)
            for plan in plans(folder, Path(sys.executable), CODE, [level]):
                WorkerProcess(plan, Path(sys.executable), {"lane": "none"}, folder).close()
                outcomes[level] = ""
        except (ChannelError, SandboxError) as error:
            outcomes[level] = str(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def _popen(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own, with an environment that says nothing of ours."""
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list of our own, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(
            "The model's process did not start",
            where=command[0],
            why=str(error),
            todo="Check that the interpreter is there and may be executed",
            code="E-SANDBOX-WORKER",
        ) from error


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(limits.STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise SandboxError(
            "A model's process cannot be ended",
            where=str(process.pid),
            why="the kernel holds it",
            todo="Restart the machine if it stays",
            code="E-SANDBOX-WORKER",
        ) from error
