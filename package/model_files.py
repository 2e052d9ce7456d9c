"""A model given as a file, opened in a worker only: a pickle is whatever its writer wanted it to be.

:class:`FileModel` stands for the model in this process. It answers ``predict`` like the estimator in the
file, and hands :mod:`.build` the model in the format of a lane. An ONNX file is taken as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import numpy as np

from . import lanes, limits
from .convert import ROWS_MAX, Conversion
from .format import Agreement, Label, Lane, Manifest, write_package
from .frames import Array
from .inspecting import ModelFacts, model_error
from .opener import Opened
from .worker import Worker, as_rows

_CONVERSION_SECONDS_MAX: Final = 600.0
_PICKLES_BEGIN: Final = (b"\x80", b"x", b"\x1f\x8b", b"BZ", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x04\x22\x4d\x18")
"""First bytes of a pickle from protocol 2 on, or of joblib's zlib, gzip, bz2, xz, lzma or lz4 around it."""
_OPENER: Final = b"""
from pathlib import Path
from skerry.package.opener import OpenedModel

class Model(OpenedModel):
    def __init__(self):
        super().__init__(Path(__file__).with_name("model.pkl"))
"""


class FileModel:
    """A fitted model in a file.

    Parameters
    ----------
    path
        An ONNX file (``.onnx``), or a pickle (also joblib's) of a scikit-learn or LightGBM estimator.
    labels
        For an ONNX file: the target of its rows. Names, and up to ``NUMBERED_CLASSES_MAX`` whole numbers, are
        the classes of a classifier, in their order; anything else is what a regressor predicts.
    columns
        For an ONNX file: names of its columns, if they have any.
    unconfined
        Open it without a sandbox.

    Attributes
    ----------
    agreement
        Of an ONNX file with what it was exported from; None when the file itself is the original.

    Raises
    ------
    PackageError
        ``E-PACKAGE-MODEL``: the file cannot be read, or is too large.
    SandboxError
        It cannot be opened: its code failed, or cannot be confined here.
    """

    def __init__(
        self,
        path: Path,
        *,
        labels: Any = None,
        columns: Sequence[str] | None = None,
        unconfined: bool = False,
    ) -> None:
        self._data = _read(Path(path))
        self._is_onnx = Path(path).suffix.lower() == ".onnx"
        if not self._is_onnx and not self._data.startswith(_PICKLES_BEGIN):
            raise model_error(f"{Path(path).name} is no pickle, no joblib file, and not called .onnx")
        self._classes: tuple[Label, ...] | None = None
        if self._is_onnx and labels is not None:
            self._classes = _classes_of(np.unique(np.asarray(labels)))
        self.agreement: Agreement | None = None
        self._columns = None if columns is None else tuple(columns)
        self._opened: tuple[str, Conversion, ModelFacts] | None = None
        with tempfile.TemporaryDirectory(prefix="skerry-model-") as folder:
            package = self._wrap(Path(folder, "model.zip"))
            self._worker = Worker(package, unconfined=unconfined, deadline_seconds=_CONVERSION_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def predict(self, X: Any) -> Array:
        """Return the model's answers: labels of a classifier, numbers of a regressor."""
        return self._worker.predict(X)

    def predict_proba(self, X: Any) -> Array:
        """Return class probabilities, shape (n, number of classes)."""
        return self._worker.predict_proba(X)

    def facts(self, X: Any) -> ModelFacts:
        """Return what the model says about itself and answers on rows of `X`."""
        return self._onnx_facts(X) if self._is_onnx else self._open(X, "")[1]

    def convert(self, X: Any, lane: Lane | None) -> Conversion:
        """Return the model in the safest lane that agrees with it on rows of `X`, or in the python lane."""
        if not self._is_onnx:
            return self._open(X, lane or "")[0]
        if lane:
            raise model_error("an ONNX file has no python lane")
        agreement = self.agreement or Agreement(len(as_rows(X)), 1.0, 0.0)
        return Conversion("onnx", self._data, agreement, "")

    def _open(self, X: Any, asked: str) -> tuple[Conversion, ModelFacts]:
        """Ask the worker once for each lane that is asked for."""
        if self._opened is None or self._opened[0] != asked:
            head, _, data = self._worker.convert(X[:ROWS_MAX], asked).partition(b"\n")
            try:
                opened = msgspec.json.decode(head, type=Opened)
            except msgspec.MsgspecError as error:
                raise model_error(f"what it says of itself is malformed: {error}") from error
            kept = Conversion(opened.lane, data, opened.agreement, opened.reason)
            self._opened = asked, kept, opened.facts
        return self._opened[1:]

    def _onnx_facts(self, X: Any) -> ModelFacts:
        rows = as_rows(X)
        answer = self.predict(rows[:2])
        outputs = 1 if answer.ndim == 1 else answer.shape[1]
        methods = ("predict", "predict_proba") if "predict_proba" in self._worker.methods else ("predict",)
        task = "regression" if self._classes is None else "classification"
        return ModelFacts(task, self._classes, self._columns, rows.shape[1], outputs, methods)

    def _wrap(self, path: Path) -> Path:
        lane: Lane = "onnx" if self._is_onnx else "python"
        methods = ("predict", "predict_proba", "convert")
        classes = None if self._classes is None else list(self._classes)
        name = lanes.FILE_NAMES["onnx"] if self._is_onnx else "model.pkl"
        write_package(
            path,
            manifest=Manifest(lane=lane, classes=classes, methods=methods),
            files={"__init__.py": _OPENER, name: self._data},
            semantic=None,
            statistics=[],
        )
        return path


def _classes_of(values: Array) -> tuple[Label, ...] | None:
    """Return the sorted distinct values of a target as classes, or None where they are a quantity."""
    quantity = values.dtype.kind == "f" and bool(np.any(values != np.round(values)))
    if quantity or (values.dtype.kind in "iuf" and len(values) > limits.NUMBERED_CLASSES_MAX):
        return None
    return tuple(values.tolist())


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > limits.MEMBER_BYTES_MAX:
            raise model_error(f"{path.name} is larger than {limits.MEMBER_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise model_error(f"{path.name} cannot be read: {error}") from error
