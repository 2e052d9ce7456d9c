"""Choosing a lane: convert the owner's model to a format that cannot execute, and see if it still agrees.

Theory of operation. For each safe lane that fits the model, in order: convert, read the result back as
a worker would, ask it and the original about the owner's own rows, and take the first lane that gives
the same answer on at least ``LABELS_LEAST`` of them. Why a lane was passed over is kept for the card.

Single precision, which ONNX models compute in, can flip a row that lies on a tree's threshold: the
largest difference is reported, not hidden.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import lanes
from .format import Agreement, Label, Lane

LABELS_LEAST: Final = 0.999
"""Share of rows on which a converted model must answer as the original does."""
ROWS_MAX: Final = 5000
"""Rows that agreement is measured on; a share of 0.999 needs a few thousand."""
NUMBER_TOLERANCE: Final = 1e-4
"""A regression's answers agree within this part of their spread: far below any model's own error."""
_ONNX_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_REASON_CHARACTERS_MAX: Final = 200
_PICKLE_PROTOCOL: Final = 5

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Conversion:
    """A model in the format of its lane.

    Attributes
    ----------
    lane
        The lane; ``python`` when none of the others would do.
    data
        The model file; for the python lane the pickled model.
    agreement
        With the original; None for the python lane, which is the original.
    reason
        Why safer lanes were passed over; empty when the first was taken.
    """

    lane: Lane
    data: bytes
    agreement: Agreement | None
    reason: str


class _Unfit(Exception):  # noqa: N818 - it states what is the case
    """A lane cannot hold the model; the text says why."""


def convert(model: Any, X: Any, classes: Sequence[Label] | None) -> Conversion:
    """Return `model` in the safest lane that agrees with it on the rows of `X`.

    Parameters
    ----------
    model
        A fitted classifier or regressor of scikit-learn or LightGBM.
    X
        The owner's rows, array or frame.
    classes
        Labels of a classifier, sorted; None for a regressor.
    """
    rows = X[:ROWS_MAX]
    reasons = []
    for lane, converter in _converters(model):
        try:
            data = _quietly(converter, model, rows)
            agreement = _agreement(lane, data, model, rows, classes)
        except _Unfit as error:
            reasons.append(f"{lane}: {error}")
            continue
        if agreement.labels >= LABELS_LEAST:
            return Conversion(lane, data, agreement, "; ".join(reasons))
        reasons.append(f"{lane}: agrees on {agreement.labels:.2%} of {agreement.rows} rows")
    return pickled(model, "; ".join(reasons))


def pickled(model: Any, reason: str) -> Conversion:
    """Return `model` as it is, for the python lane."""
    return Conversion("python", pickle.dumps(model, protocol=_PICKLE_PROTOCOL), None, reason)


def _converters(model: Any) -> list[tuple[Lane, Callable[[Any, Any], bytes]]]:
    if type(model).__module__.startswith("lightgbm."):
        return [("lightgbm", _to_lightgbm), ("onnx", _to_onnx)]
    return [("onnx", _to_onnx), ("skops", _to_skops)]


def _quietly(converter: Callable[[Any, Any], bytes], model: Any, rows: Any) -> bytes:
    """Convert; whatever a converter trips over makes its lane unfit for this model, and nothing worse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return converter(model, rows)
        except Exception as error:  # supervision point: converters raise errors of every kind
            raise _Unfit(f"conversion failed: {_short(error)}") from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_REASON_CHARACTERS_MAX]


def _to_lightgbm(model: Any, _rows: Any) -> bytes:
    text: str = model.booster_.model_to_string()
    return text.encode()


def _to_onnx(model: Any, rows: Any) -> bytes:
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    if type(model).__module__.startswith("lightgbm."):
        _register_lightgbm()
    width = np.asarray(rows, dtype=np.float64).shape[1]
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    converted = skl2onnx.convert_sklearn(
        model,
        name="model",
        initial_types=[("X", FloatTensorType([None, width]))],
        options=options,
        target_opset=_ONNX_OPSETS,
    )
    data: bytes = converted.SerializeToString()
    return data


def _register_lightgbm() -> None:
    import lightgbm
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    classifier = shape_calculator.calculate_linear_classifier_output_shapes
    regressor = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        lightgbm.LGBMClassifier, "SkerryLightGbmClassifier", classifier, convert_lightgbm, options=options
    )
    update_registered_converter(
        lightgbm.LGBMRegressor,
        "SkerryLightGbmRegressor",
        regressor,
        convert_lightgbm,
        options={"split": None},
    )


def _to_skops(model: Any, _rows: Any) -> bytes:
    import skops.io

    data: bytes = skops.io.dumps(model)
    return data


def _agreement(lane: Lane, data: bytes, model: Any, rows: Any, classes: Sequence[Label] | None) -> Agreement:
    """Return how far the model file agrees with the model it was made from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = np.asarray(rows)
        try:
            converted = lanes.load(lane, data, classes)
            answer = converted.predict(table)
            probabilities = converted.predict_proba(table) if hasattr(model, "predict_proba") else None
        except Exception as error:  # supervision point: however it fails, it does not fit
            raise _Unfit(f"it does not run: {_short(error)}") from error
    if classes is None:
        return agreement_of_numbers(answer, np.asarray(model.predict(rows)))
    same = np.asarray(classes)[answer] == np.asarray(model.predict(rows))
    if probabilities is None:
        return Agreement(len(same), float(same.mean()), float(not same.all()))
    difference = np.abs(probabilities - np.asarray(model.predict_proba(rows))).max()
    return Agreement(len(same), float(same.mean()), float(difference))


def agreement_of_numbers(answer: Array, original: Array) -> Agreement:
    """Return how far two answers of a regression agree, in units of the original's spread."""
    if answer.shape != original.shape:
        return Agreement(len(original), 0.0, float("inf"))
    spread = float(original.std()) or float(np.abs(original).max()) or 1.0
    differences = np.abs(answer - original).reshape(len(original), -1).max(axis=1) / spread
    return Agreement(len(original), float((differences <= NUMBER_TOLERANCE).mean()), float(differences.max()))
