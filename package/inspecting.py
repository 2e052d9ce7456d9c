"""What a fitted model says about itself: task, classes, columns, shapes, methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skerry.errors import PackageError

from .format import Label


@dataclass(frozen=True)
class ModelFacts:
    """What a fitted model says about itself.

    Attributes
    ----------
    classes
        The labels, sorted; None for a regressor.
    columns
        Names of the columns it was fitted on; None when it was fitted on an array.
    inputs, outputs
        Columns in, numbers out.
    shape
        The shape of one image, whose values are the columns; empty for tables and texts.
    """

    task: str
    classes: tuple[Label, ...] | None
    columns: tuple[str, ...] | None
    inputs: int
    outputs: int
    methods: tuple[str, ...]
    shape: tuple[int, ...] = ()


def inspect_estimator(model: Any, X: Any) -> ModelFacts:
    """Return what `model` says about itself and answers on the first rows of `X`."""
    from sklearn.base import is_classifier, is_regressor

    if not (is_classifier(model) or is_regressor(model)):
        raise model_error(f"{type(model).__name__} is neither a classifier nor a regressor")
    classes = _classes(model) if is_classifier(model) else None
    answer = np.asarray(_first_answer(model, X))
    if answer.ndim > 1 and answer.shape[1] != 1 and classes is not None:
        raise model_error("it answers more than one target")
    columns = getattr(model, "feature_names_in_", None)
    methods = ["predict"]
    if classes is not None and hasattr(model, "predict_proba"):
        methods.append("predict_proba")
    if hasattr(model, "partial_fit"):
        methods.append("finetune")
    return ModelFacts(
        task="regression" if classes is None else "classification",
        classes=classes,
        columns=None if columns is None else tuple(str(name) for name in columns),
        inputs=int(np.prod(np.shape(X)[1:])) if np.ndim(X) > 1 else 1,
        outputs=1 if answer.ndim == 1 else answer.shape[1],
        methods=tuple(methods),
        shape=np.shape(X)[1:] if np.ndim(X) > 2 else (),
    )


def _first_answer(model: Any, X: Any) -> Any:
    from sklearn.exceptions import NotFittedError

    try:
        return model.predict(X[:2])
    except NotFittedError as error:
        raise model_error("it is not fitted") from error


def _classes(model: Any) -> tuple[Label, ...]:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise model_error("it has no classes_: it is not fitted")
    if isinstance(classes, list):
        raise model_error("it answers more than one target")
    return tuple(np.asarray(classes).tolist())


def check_labels(facts: ModelFacts, y: Any) -> None:
    """Refuse labels that the model does not know: they belong to other data."""
    if y is None or facts.classes is None:
        return
    unknown = set(np.asarray(y).tolist()) - set(facts.classes)
    if unknown:
        raise model_error(f"y holds labels that it does not know, such as {unknown.pop()!r}")


def model_error(why: str) -> PackageError:
    """Return the error for a model that cannot be packed."""
    return PackageError(
        "The model cannot be packed",
        where="model",
        why=why,
        todo="Give a fitted scikit-learn or LightGBM classifier or regressor with one target",
        code="E-PACKAGE-MODEL",
    )
