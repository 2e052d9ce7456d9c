"""Running a package's model in a process of its own.

Theory of operation. A worker unpacks the package into a private folder, starts a Python process that
confines itself and loads the model (:mod:`.worker_main`, :mod:`.serve`), and then answers calls as
arrays over pipes (:mod:`.channel`, :mod:`.frames`) until it is closed. One process serves many calls,
because loading a model takes a thousand times longer than asking it.

Rules:

1. Nothing that comes from the process is believed or executed. An answer is an array of the right
   length, of numbers that are finite and labels that are known, or it is an error.
2. A call ends by its deadline. A worker that missed one, or broke the protocol, is killed with all its
   children and never asked again.
3. A package of the python lane runs confined, or not at all, unless the caller says ``unconfined``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from skerry.errors import SandboxError, SpecificationError

from . import limits
from .channel import Channel, ChannelError
from .format import Label, Package, read_package
from .frames import Array, FrameError, Message, encode
from .gate import Archive
from .sandbox import LEVELS, UNCONFINED, Level, Plan, advice, plans

_FOLDER: Final = Path(__file__).parent.resolve()
_PROBABILITY_TOLERANCE: Final = 1e-3
"""Single precision sums of 65,536 probabilities stay within it."""


class Worker:
    """One package's model, running in a process of its own until it is closed.

    Parameters
    ----------
    package
        The package, or the path of its zip.
    unconfined
        Run without a sandbox: the package's code can then do whatever this user can.
    deadline_seconds
        The longest one call may take.
    python
        The interpreter of the package's environment; this one when None.
    levels
        The levels that may be used, the better first.

    Attributes
    ----------
    package
        The package that runs.
    level
        The sandbox it runs in, ``A`` or ``B``; None outside any.
    classes
        Labels in the order of probability columns; None for a model without classes.
    methods
        What the model offers, of ``predict``, ``predict_proba``, ``finetune``.
    input_shape, output_shape
        What the model declares of one row and one answer, or None.

    Raises
    ------
    PackageError
        The package breaks a rule.
    SandboxError
        The model cannot be confined here, or did not start. From calls: it crashed, hung or answered
        nonsense (``E-SANDBOX-WORKER``), raised an error (``E-SANDBOX-MODEL``), or its answer is not
        acceptable (``E-SANDBOX-ANSWER``).
    """

    def __init__(
        self,
        package: Package | Path,
        *,
        unconfined: bool = False,
        deadline_seconds: float = limits.CALL_SECONDS_MAX,
        python: Path | None = None,
        levels: Sequence[Level] = LEVELS,
    ) -> None:
        self.package = package if isinstance(package, Package) else read_package(package)
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="skerry-worker-"))
        try:
            self._unpack()
            self.level = self._start(python or Path(sys.executable), () if unconfined else levels)
            self._describe(self._exchange([], limits.OUTPUT_BYTES_MIN, limits.START_SECONDS_MAX))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """Labels in the order of probability columns; None for a model without classes."""
        return self.package.classes

    @property
    def alive(self) -> bool:
        """Whether the worker can be asked."""
        return hasattr(self, "_process") and self._process.poll() is None

    def predict(self, X: Any) -> Array:
        """Return the model's answers.

        Parameters
        ----------
        X
            An array-like of n rows; or a list of n strings.

        Returns
        -------
        ndarray of shape (n,) or (n, outputs)
            For a package with a manifest and classes, labels of shape (n,); for another, whatever its
            model answers, which the reference's format allows to be labels, numbers or scores.
        """
        rows = as_rows(X)
        answer = self._call("predict", [rows], len(rows))
        if self.package.manifest is not None and self.classes is not None:
            return _labels(answer, self.classes, self.package.name)
        return answer

    def predict_proba(self, X: Any) -> Array:
        """Return class probabilities.

        Returns
        -------
        ndarray of float64, shape (n, number of classes)
            Rows sum to one.
        """
        rows = as_rows(X)
        method = "predict_proba" if "predict_proba" in self.methods else "predict"
        answer = self._call(method, [rows], len(rows))
        return _probabilities(answer, self.classes, self.package.name)

    def finetune(self, X: Any, y: Any) -> None:
        """Adjust the model of this worker to more rows; only this process's copy of it changes."""
        rows, targets = as_rows(X), np.asarray(y)
        if self.classes is not None and self.package.manifest is not None:
            targets = np.asarray([self.classes.index(label) for label in targets.tolist()])
        self._call("finetune", [rows, targets], 0)

    def close(self) -> None:
        """End the process with all its children, and remove its folder. Nothing happens the second time."""
        if hasattr(self, "_process"):
            _kill(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _unpack(self) -> None:
        with Archive(self.package.path) as archive:
            archive.unpack(self._folder / "package")
        canary = self._folder / "canary"
        canary.touch(mode=0o600)

    def _start(self, python: Path, levels: Sequence[Level]) -> Level | None:
        """Start the process by the first plan that works, and return its level."""
        reasons: list[tuple[str, str]] = []
        for plan in plans(self._folder, python, [_FOLDER], levels):
            try:
                self._launch(plan, python)
            except ChannelError as error:
                reasons.append((str(plan.level), self._last_words() or str(error)))
            else:
                return plan.level
        if not levels or self.package.lane != "python":
            self._launch(UNCONFINED, python)
            return None
        why, todo = advice(reasons)
        raise SandboxError(
            "The model cannot be confined here, so it is not run",
            where=self.package.name,
            why=why,
            todo=todo,
            code="E-SANDBOX-UNAVAILABLE",
        )

    def _launch(self, plan: Plan, python: Path) -> None:
        """Start the process and wait until it is ready for the package: confined, if it is to be."""
        config = {"model": self._entry(), "confinement": plan.confinement}
        command = [*plan.command, str(python), "-I", str(_FOLDER / "worker_main.py"), json.dumps(config)]
        self._process = _popen(command, self._folder)
        self._channel = Channel(self._process)
        try:
            self._channel.exchange(
                [], answer_bytes_max=0, deadline=time.monotonic() + limits.START_SECONDS_MAX
            )
        except ChannelError:
            _kill(self._process)
            raise

    def _entry(self) -> dict[str, Any]:
        model = self.package.model
        return {
            "lane": self.package.lane,
            "folder": str(self._folder / "package" / self.package.prefix),
            "shim": str(_FOLDER / "shim"),
            "class_name": model.class_name,
            "module_path": model.module_path,
            "kwargs": dict(model.kwargs),
        }

    def _describe(self, message: Message) -> None:
        self._raise_model_error(message)
        header = message.header
        methods = header.get("methods")
        if not isinstance(methods, list) or "predict" not in methods:
            raise self._error("it offers no predict")
        self.methods = frozenset(name for name in methods if isinstance(name, str))
        self.input_shape = _declared_shape(header.get("input_shape"))
        self.output_shape = _declared_shape(header.get("output_shape"))

    def _call(self, method: str, arrays: Sequence[Array], rows: int) -> Array:
        if method not in self.methods:
            raise self._error(f"its model offers no {method}", code="E-SANDBOX-METHOD")
        bytes_max = limits.OUTPUT_BYTES_MIN + rows * limits.OUTPUT_BYTES_PER_ROW_MAX
        try:
            call = encode({"method": method}, arrays)
        except FrameError as error:
            raise _input_error(str(error)) from error
        with self._lock:
            message = self._exchange(
                call, min(bytes_max, limits.ARRAY_FRAME_BYTES_MAX), self._deadline_seconds
            )
        self._raise_model_error(message)
        if method == "finetune":
            return np.empty(0)
        return self._validated(message, rows)

    def _exchange(self, call: Sequence[bytes | memoryview], answer_bytes_max: int, seconds: float) -> Message:
        if not self.alive:
            raise self._error("its process has ended")
        try:
            return self._channel.exchange(
                call, answer_bytes_max=answer_bytes_max, deadline=time.monotonic() + seconds
            )
        except ChannelError as error:
            _kill(self._process)
            raise self._error(str(error)) from error

    def _raise_model_error(self, message: Message) -> None:
        if message.header.get("ok") is not True:
            text = str(message.header.get("error", ""))[-limits.ERROR_CHARACTERS_MAX :]
            raise SandboxError(
                "The model raised an error",
                where=self.package.name,
                why=text.strip() or "it did not say which",
                todo="Check the input's columns and types against the learnware's card",
                code="E-SANDBOX-MODEL",
            )

    def _validated(self, message: Message, rows: int) -> Array:
        if len(message.arrays) != 1:
            raise _answer_error(self.package.name, "it is not one array")
        answer = message.arrays[0]
        if answer.ndim == 0 or len(answer) != rows:
            raise _answer_error(self.package.name, f"it has shape {answer.shape} for {rows} rows")
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise _answer_error(self.package.name, "it holds numbers that are not finite")
        return answer

    def _error(self, why: str, *, code: str = "E-SANDBOX-WORKER") -> SandboxError:
        said = self._last_words()
        return SandboxError(
            "The model did not run",
            where=self.package.name,
            why=f"{why}; its last words: {said}" if said else why,
            todo="Take another learnware, or tell its owner",
            code=code,
        )

    def _last_words(self) -> str:
        said = self._channel.stderr.strip() if hasattr(self, "_channel") else ""
        return said[-limits.ERROR_CHARACTERS_MAX :]


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
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "JOBLIB_MULTIPROCESSING": "0"},  # noqa: S108
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


def as_rows(X: Any) -> Array:
    """Return what a caller gives as an array that can travel.

    Raises
    ------
    SpecificationError
        ``E-SANDBOX-INPUT``: it has no rows, or holds neither numbers nor text.
    """
    array = np.asarray(X)
    if array.dtype.kind == "O":
        array = np.asarray(array.tolist())
    if array.ndim == 0:
        raise _input_error("it has no rows")
    if array.dtype.kind not in "biufU":
        raise _input_error(f"values of type {array.dtype} are neither numbers nor text")
    return array


def _input_error(why: str) -> SpecificationError:
    return SpecificationError(
        "The rows cannot be given to a model",
        why=why,
        todo="Give a table of numbers, or a list of strings",
        code="E-SANDBOX-INPUT",
    )


def _answer_error(where: str, why: str) -> SandboxError:
    return SandboxError(
        "The model's answer is not acceptable",
        where=where,
        why=why,
        todo="Take another learnware, or tell its owner",
        code="E-SANDBOX-ANSWER",
    )


def _declared_shape(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(isinstance(size, int) for size in value):
        return None
    return tuple(value)


def _labels(answer: Array, classes: tuple[Label, ...], where: str) -> Array:
    """Return the labels that positions stand for."""
    positions = answer.reshape(len(answer), -1)
    if positions.shape[1] != 1 or positions.dtype.kind not in "iu":
        raise _answer_error(where, "it is not one class a row")
    if len(positions) and (positions.min() < 0 or positions.max() >= len(classes)):
        raise _answer_error(where, f"it names classes beyond the {len(classes)} of the card")
    return np.asarray(classes)[positions[:, 0]]


def _probabilities(answer: Array, classes: tuple[Label, ...] | None, where: str) -> Array:
    expected = len(classes) if classes is not None else 0
    if answer.ndim != 2 or answer.dtype.kind != "f" or answer.shape[1] != expected:
        raise _answer_error(
            where, f"it has shape {answer.shape} where {expected} probabilities a row are due"
        )
    probabilities = answer.astype(np.float64)
    sums = probabilities.sum(axis=1)
    if (probabilities < 0).any() or (np.abs(sums - 1) > _PROBABILITY_TOLERANCE).any():
        raise _answer_error(where, "its rows are no probabilities")
    return np.asarray(probabilities / sums[:, None])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker's whole session, and wait until it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
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
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
