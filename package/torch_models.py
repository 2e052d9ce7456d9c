"""A PyTorch module on its way into a package: exported to ONNX, so that nobody needs its code or torch.

Theory of operation. The module is exported with the rows' width and any number of rows. For a classifier
whose outputs are no probabilities a softmax is put behind it, so that the graph answers with them. The
exported graph then runs in a worker like any ONNX file, and is held against the module on the owner's rows.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from .convert import LABELS_LEAST, ROWS_MAX, agreement_of_numbers
from .format import Agreement
from .frames import Array
from .inspecting import model_error
from .model_files import FileModel

_OPSET: Final = 18
_PROBABILITY_TOLERANCE: Final = 1e-4


def is_module(model: Any) -> bool:
    """Return whether `model` is a PyTorch module, without importing PyTorch."""
    return any(base.__module__ == "torch.nn.modules.module" for base in type(model).__mro__)


def open_module(
    module: Any, X: Any, y: Any, *, columns: Sequence[str] | None = None, unconfined: bool = False
) -> FileModel:
    """Return the exported module as a model that can be packed.

    Parameters
    ----------
    module
        Takes float32 rows (n, d); answers (n, classes) scores or probabilities, or (n,) or (n, targets)
        numbers.
    X, y
        The owner's rows and their labels; labels of a float type make it a regression.
    columns
        Names of the columns, if they have any.

    Raises
    ------
    PackageError
        ``E-PACKAGE-MODEL``: it cannot be exported, its outputs do not fit the labels, or the exported
        graph does not answer as the module does.
    """
    rows = np.asarray(X, dtype=np.float32)[:ROWS_MAX]
    labels = None if np.asarray(y).dtype.kind == "f" else np.asarray(y)
    module = module.eval() if labels is None else _with_probabilities(module.eval(), rows, labels)
    own = _answers(module, rows)
    with tempfile.TemporaryDirectory(prefix="skerry-model-") as folder:
        path = Path(folder, "model.onnx")
        _export(module, rows, path)
        model = FileModel(path, labels=labels, columns=columns, unconfined=unconfined)
    try:
        model.agreement = _agreement(model, rows, own, labels)
    except BaseException:
        model.close()
        raise
    return model


def _with_probabilities(module: Any, rows: Array, labels: Array) -> Any:
    import torch

    answers, classes = _answers(module, rows), len(np.unique(labels))
    if answers.ndim != 2 or answers.shape[1] != classes:
        raise model_error(f"its outputs have shape {answers.shape[1:]} where the labels are {classes}")
    sums = answers.sum(axis=1)
    if (answers >= 0).all() and (np.abs(sums - 1) <= _PROBABILITY_TOLERANCE).all():
        return module
    return torch.nn.Sequential(module, torch.nn.Softmax(dim=1)).eval()


def _answers(module: Any, rows: Array) -> Array:
    import torch

    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(rows)).detach().cpu().numpy())


def _export(module: Any, rows: Array, path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module,
                (torch.from_numpy(rows[:2]),),
                path,
                input_names=["X"],
                output_names=["Y"],
                dynamic_axes={"X": {0: "rows"}, "Y": {0: "rows"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
            raise model_error(f"it cannot be exported to ONNX: {error}") from error


def _agreement(model: FileModel, rows: Array, own: Array, labels: Array | None) -> Agreement:
    if labels is None:
        found = agreement_of_numbers(model.predict(rows), own[:, 0] if own.shape[1:] == (1,) else own)
    else:
        same = model.predict(rows) == np.unique(labels)[own.argmax(axis=1)]
        difference = float(np.abs(model.predict_proba(rows) - own).max())
        found = Agreement(len(rows), float(same.mean()), difference)
    if found.labels < LABELS_LEAST:
        raise model_error(
            f"exported to ONNX it agrees with itself on {found.labels:.2%} of {found.rows} rows"
        )
    return found
