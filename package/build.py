"""Building a package from a fitted model.

Theory of operation. The model is looked at (:func:`inspect_model`: task, classes, columns,
methods), stored in the format of its lane, and wrapped with its specifications, the versions of
the libraries it was made with and a manifest.

The owner's own process calls this on the owner's own model: a pickle made by someone else never gets
here, it is opened in a worker first.
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from skerry.errors import PackageError

from . import lanes, templates
from .convert import Conversion, convert
from .format import (
    STATISTICAL_NAME,
    Label,
    Lane,
    Manifest,
    ModelEntry,
    Package,
    StatisticalFile,
    write_package,
)

_DEFAULT_SPECIFICATION: Final = "RKMETableSpecification"
_PICKLE_PROTOCOL: Final = 5
_LIBRARIES: Final[dict[Lane, tuple[str, ...]]] = {
    "python": ("numpy", "scipy", "scikit-learn", "lightgbm", "pandas"),
    "skops": ("numpy", "scipy", "scikit-learn", "skops", "pandas"),
    "onnx": ("numpy", "onnx", "onnxruntime"),
    "lightgbm": ("numpy", "scipy", "lightgbm"),
}
"""What a worker of each lane imports."""


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
    """

    task: str
    classes: tuple[Label, ...] | None
    columns: tuple[str, ...] | None
    inputs: int
    outputs: int
    methods: tuple[str, ...]


def build_package(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    semantic: Mapping[str, Any],
    specification_json: bytes,
    path: Path,
    lane: Literal["python"] | None = None,
) -> Package:
    """Write the package of a fitted scikit-learn or LightGBM estimator and return it as read back.

    Parameters
    ----------
    model
        A fitted classifier or regressor.
    X, y
        Rows the model was fitted on, or rows like them, and their labels: the model is tried on them.
    semantic
        The reference's semantic specification.
    specification_json
        The statistical specification in the reference's JSON.
    path
        The zip to write.
    lane
        None for the safest lane that agrees with the model; ``python`` to keep the original, for a
        model that others should be able to tune.

    Raises
    ------
    PackageError
        ``E-PACKAGE-MODEL``: the model is not fitted, is no classifier or regressor, or answers more than
        one target.
    """
    facts = inspect_model(model, X)
    _check_labels(facts, y)
    kept = Conversion("python", b"", None, "asked for") if lane else convert(model, X, facts.classes)
    classifier = facts.classes is not None
    methods = templates.offered(kept.lane, facts.methods, classifier=classifier)
    return write_package(
        path,
        manifest=_manifest(facts, kept, methods),
        files={
            "__init__.py": templates.source(kept.lane, methods, classifier=classifier).encode(),
            "requirements.txt": _requirements(kept.lane).encode(),
            **_model_file(model, kept),
        },
        semantic=semantic,
        statistics=[_statistical(specification_json)],
        model=ModelEntry(kwargs=_template_arguments(facts)),
    )


def _model_file(model: Any, kept: Conversion) -> dict[str, bytes]:
    if kept.lane == "python":
        return {"model.pkl": pickle.dumps(model, protocol=_PICKLE_PROTOCOL)}
    return {lanes.FILE_NAMES[kept.lane]: kept.data}


def inspect_model(model: Any, X: Any) -> ModelFacts:
    """Return what `model` says about itself and answers on the first rows of `X`."""
    from sklearn.base import is_classifier, is_regressor

    if not (is_classifier(model) or is_regressor(model)):
        raise _model_error(f"{type(model).__name__} is neither a classifier nor a regressor")
    classes = _classes(model) if is_classifier(model) else None
    answer = np.asarray(_first_answer(model, X))
    if answer.ndim > 1 and answer.shape[1] != 1 and classes is not None:
        raise _model_error("it answers more than one target")
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
        inputs=np.shape(X)[1] if np.ndim(X) > 1 else 1,
        outputs=1 if answer.ndim == 1 else answer.shape[1],
        methods=tuple(methods),
    )


def _first_answer(model: Any, X: Any) -> Any:
    from sklearn.exceptions import NotFittedError

    try:
        return model.predict(X[:2])
    except NotFittedError as error:
        raise _model_error("it is not fitted") from error


def _classes(model: Any) -> tuple[Label, ...]:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise _model_error("it has no classes_: it is not fitted")
    if isinstance(classes, list):
        raise _model_error("it answers more than one target")
    return tuple(np.asarray(classes).tolist())


def _check_labels(facts: ModelFacts, y: Any) -> None:
    if y is None or facts.classes is None:
        return
    unknown = set(np.asarray(y).tolist()) - set(facts.classes)
    if unknown:
        raise _model_error(f"y holds labels that it does not know, such as {unknown.pop()!r}")


def _model_error(why: str) -> PackageError:
    return PackageError(
        "The model cannot be packed",
        where="model",
        why=why,
        todo="Give a fitted scikit-learn or LightGBM classifier or regressor with one target",
        code="E-PACKAGE-MODEL",
    )


def _template_arguments(facts: ModelFacts) -> dict[str, Any]:
    arguments: dict[str, Any] = {"input_shape": [facts.inputs], "output_shape": [facts.outputs]}
    if facts.columns is not None:
        arguments["columns"] = list(facts.columns)
    if facts.classes is not None:
        arguments["classes"] = list(facts.classes)
    return arguments


def _manifest(facts: ModelFacts, kept: Conversion, methods: tuple[str, ...]) -> Manifest:
    return Manifest(
        lane=kept.lane,
        task=facts.task,
        classes=None if facts.classes is None else list(facts.classes),
        columns=None if facts.columns is None else list(facts.columns),
        inputs=facts.inputs,
        outputs=len(facts.classes) if facts.classes is not None else facts.outputs,
        methods=methods,
        libraries={"python": platform.python_version(), **_versions(kept.lane)},
        agreement=kept.agreement,
        lane_reason=kept.reason,
    )


def _versions(lane: Lane) -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES[lane]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _requirements(lane: Lane) -> str:
    return "".join(f"{name}=={version}\n" for name, version in _versions(lane).items())


def _statistical(specification_json: bytes) -> StatisticalFile:
    try:
        given = json.loads(specification_json)
    except ValueError as error:
        raise _model_error(f"its specification is no JSON: {error}") from error
    class_name = (
        given.get("type", _DEFAULT_SPECIFICATION) if isinstance(given, dict) else _DEFAULT_SPECIFICATION
    )
    return StatisticalFile(STATISTICAL_NAME, class_name, specification_json)
