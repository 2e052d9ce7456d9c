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

import re
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from skerry.errors import SandboxError, SpecificationError

from . import limits
from .channel import ChannelError
from .format import Label, Package, read_package
from .frames import Array, FrameError, Message, encode
from .gate import Archive
from .process import CODE, FOLDER, WorkerProcess
from .sandbox import LEVELS, UNCONFINED, Level, advice, plans

_PROBABILITY_TOLERANCE: Final = 1e-3
"""Single precision sums of 65,536 probabilities stay within it."""
_MISSING_MODULE: Final = re.compile(r"ModuleNotFoundError: No module named '([\w.]{1,100})'\s*$")


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
        self.package: Package = package if isinstance(package, Package) else read_package(package)
        self._deadline_seconds = deadline_seconds
        self._options = (unconfined, deadline_seconds, python, levels)
        self._lock = threading.Lock()
        self._process: WorkerProcess | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="skerry-worker-"))
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        try:
            self._unpack()
            self._start(python or Path(sys.executable), () if unconfined else levels)
            self._describe(self._exchange(encode({"method": "load"}), 0, limits.START_SECONDS_MAX))
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
    def _listed_classes(self) -> tuple[Label, ...] | None:
        """The classes of the manifest: the model then answers with positions among them."""
        manifest = self.package.manifest
        return None if manifest is None or manifest.classes is None else self.classes

    @property
    def level(self) -> Level | None:
        """The sandbox it runs in, ``A`` or ``B``; None outside any."""
        return self._process.level if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the worker can be asked."""
        return self._process is not None and self._process.alive

    def predict(self, X: Any) -> Array:
        """Return the model's answers.

        Parameters
        ----------
        X
            An array-like of n rows; or a list of n strings.

        Returns
        -------
        ndarray of shape (n,) or (n, outputs)
            For a package whose manifest lists classes, labels of shape (n,); for another, whatever its
            model answers, which the reference's format allows to be labels, numbers or scores.
        """
        rows = as_rows(X)
        answer = self._call("predict", [rows], len(rows))
        if self._listed_classes is not None:
            return _labels(answer, self._listed_classes, self.package.name)
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
        if self._listed_classes is not None:
            targets = np.asarray([self._listed_classes.index(label) for label in targets.tolist()])
        self._call("finetune", [rows, targets], 0)

    def convert(self, X: Any, asked: str) -> bytes:
        """Return what an opened model file (:mod:`.opener`) makes of itself, as the bytes it wrote."""
        answer = self._call("convert", [as_rows(X), np.asarray(asked)], None)
        if answer.dtype != np.uint8 or answer.ndim != 1:
            raise _answer_error(self.package.name, "it is no bytes")
        return answer.tobytes()

    def another(self) -> Worker:
        """Start another worker of the package as it was published, under the same rules."""
        unconfined, deadline_seconds, python, levels = self._options
        return Worker(
            self.package,
            unconfined=unconfined,
            deadline_seconds=deadline_seconds,
            python=python,
            levels=levels,
        )

    def close(self) -> None:
        """End the process with all its children, and remove its folder. Nothing happens the second time."""
        try:
            if self._process is not None:
                self._process.close()
        finally:
            self._remove_folder()

    def _unpack(self) -> None:
        with Archive(self.package.path) as archive:
            archive.unpack(self._folder / "package")
        (self._folder / "canary").touch(mode=0o600)

    def _start(self, python: Path, levels: Sequence[Level]) -> None:
        """Start the process by the first plan that works."""
        reasons: list[tuple[str, str]] = []
        for plan in plans(self._folder, python, CODE, levels):
            try:
                self._process = WorkerProcess(plan, python, self._entry(), self._folder)
            except ChannelError as error:
                reasons.append((str(plan.level), str(error)))
            else:
                return
        if levels and self.package.lane == "python":
            raise self._unavailable(reasons)
        try:
            self._process = WorkerProcess(UNCONFINED, python, self._entry(), self._folder)
        except ChannelError as error:
            raise self._error(str(error)) from error

    def _unavailable(self, reasons: Sequence[tuple[str, str]]) -> SandboxError:
        why, todo = advice(reasons)
        return SandboxError(
            "The model cannot be confined here, so it is not run",
            where=self.package.name,
            why=why,
            todo=todo,
            code="E-SANDBOX-UNAVAILABLE",
        )

    def _entry(self) -> dict[str, Any]:
        model = self.package.model
        return {
            "lane": self.package.lane,
            "folder": str(self._folder / "package" / self.package.prefix),
            "shim": str(FOLDER / "shim"),
            "classes": None if self.classes is None else list(self.classes),
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
        offered = frozenset(name for name in methods if isinstance(name, str))
        manifest = self.package.manifest
        self.methods: frozenset[str] = offered & set(manifest.methods) if manifest else offered
        self.input_shape: tuple[int, ...] | None = _declared_shape(header.get("input_shape"))
        self.output_shape: tuple[int, ...] | None = _declared_shape(header.get("output_shape"))

    def _call(self, method: str, arrays: Sequence[Array], rows: int | None) -> Array:
        """Ask; the answer has `rows` rows, or is of any length when that is None."""
        if method not in self.methods:
            raise self._error(f"its model offers no {method}", code="E-SANDBOX-METHOD")
        bytes_max = limits.ARRAY_FRAME_BYTES_MAX
        if rows is not None:
            bytes_max = min(bytes_max, limits.OUTPUT_BYTES_MIN + rows * limits.OUTPUT_BYTES_PER_ROW_MAX)
        try:
            call = encode({"method": method}, arrays)
        except FrameError as error:
            raise _input_error(str(error)) from error
        with self._lock:
            message = self._exchange(call, bytes_max, self._deadline_seconds)
        self._raise_model_error(message)
        if method == "finetune":
            return np.empty(0)
        return self._validated(message, rows)

    def _exchange(self, call: Sequence[bytes | memoryview], answer_bytes_max: int, seconds: float) -> Message:
        if self._process is None:
            raise self._error("its process has not started")
        try:
            return self._process.exchange(call, answer_bytes_max=answer_bytes_max, seconds=seconds)
        except ChannelError as error:
            raise self._error(str(error)) from error

    def _raise_model_error(self, message: Message) -> None:
        if message.header.get("ok") is not True:
            text = str(message.header.get("error", ""))[-limits.ERROR_CHARACTERS_MAX :]
            where = f"{self.package.name}, {self.package.lane} lane"
            if missing := _MISSING_MODULE.search(text):
                raise _import_error(where, missing[1])
            raise SandboxError(
                "The model raised an error",
                where=where,
                why=text.strip() or "it did not say which",
                todo="Check the input's columns and types against the learnware's card",
                code="E-SANDBOX-MODEL",
            )

    def _validated(self, message: Message, rows: int | None) -> Array:
        if len(message.arrays) != 1:
            raise _answer_error(self.package.name, "it is not one array")
        answer = message.arrays[0]
        if answer.ndim == 0 or (rows is not None and len(answer) != rows):
            raise _answer_error(self.package.name, f"it has shape {answer.shape} for {rows} rows")
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise _answer_error(self.package.name, "it holds numbers that are not finite")
        return answer

    def _error(self, why: str, *, code: str = "E-SANDBOX-WORKER") -> SandboxError:
        said = self._process.last_words if self._process else ""
        return SandboxError(
            "The model did not run",
            where=self.package.name,
            why=f"{why}; its last words: {said}" if said else why,
            todo="Take another learnware, or tell its owner",
            code=code,
        )


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


def _import_error(where: str, module: str) -> SandboxError:
    return SandboxError(
        "The package imports a library that is not there",
        where=where,
        why=f"no module named {module}",
        todo="Install it here, or tell the owner to name it in the package's requirements.txt",
        code="E-SANDBOX-IMPORT",
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
    expected = len(classes) if classes is not None else answer.shape[-1]
    if answer.ndim != 2 or answer.dtype.kind != "f" or answer.shape[1] != expected:
        raise _answer_error(
            where, f"it has shape {answer.shape} where {expected} probabilities a row are due"
        )
    probabilities = answer.astype(np.float64)
    sums = probabilities.sum(axis=1)
    if (probabilities < -_PROBABILITY_TOLERANCE).any() or (np.abs(sums - 1) > _PROBABILITY_TOLERANCE).any():
        raise _answer_error(where, "its rows are no probabilities")
    probabilities = probabilities.clip(0, None)
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))
