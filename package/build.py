"""Building a package from a fitted model.

Theory of operation. The model is looked at (:mod:`.inspecting`: task, classes, columns, methods), stored
in the format of its lane (:mod:`.convert`), and wrapped with its specifications, the versions of the
libraries it was made with and a manifest.

An estimator given here is an object of the owner's own process. A model given as a file is a
:class:`.model_files.FileModel`, which is opened in a worker only.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from . import lanes, templates
from .convert import Conversion, convert, pickled
from .format import STATISTICAL_NAME, Lane, Manifest, ModelEntry, Package, StatisticalFile, write_package
from .inspecting import ModelFacts, check_labels, inspect_estimator, model_error
from .model_files import FileModel

_DEFAULT_SPECIFICATION: Final = "RKMETableSpecification"
_FILE_NAMES: Final = {"python": "model.pkl", **lanes.FILE_NAMES}
_LIBRARIES: Final[dict[Lane, tuple[str, ...]]] = {
    "python": ("numpy",),
    "skops": ("numpy", "scipy", "scikit-learn", "skops"),
    "onnx": ("numpy", "onnx", "onnxruntime"),
    "lightgbm": ("numpy", "scipy", "lightgbm"),
}
"""What a worker of each lane imports."""
_PICKLED_LIBRARIES: Final = {
    b"sklearn.": "scikit-learn",
    b"scipy.": "scipy",
    b"lightgbm.": "lightgbm",
    b"xgboost.": "xgboost",
    b"pandas.": "pandas",
}
"""Distributions by the module names that a pickle of their objects holds."""


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
        A fitted classifier or regressor, or a :class:`.model_files.FileModel`.
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
    check_labels(facts, y)
    kept = _kept(model, X, facts, lane)
    classifier = facts.classes is not None
    versions = _versions(kept, facts)
    methods = templates.offered(kept.lane, facts.methods, classifier=classifier)
    return write_package(
        path,
        manifest=_manifest(facts, kept, methods, versions),
        files={
            "__init__.py": templates.source(kept.lane, methods, classifier=classifier).encode(),
            "requirements.txt": _requirements(versions).encode(),
            _FILE_NAMES[kept.lane]: kept.data,
        },
        semantic=semantic,
        statistics=[_statistical(specification_json)],
        model=ModelEntry(kwargs=_template_arguments(facts)),
    )


def inspect_model(model: Any, X: Any) -> ModelFacts:
    """Return what an estimator or a :class:`FileModel` says about itself and answers on rows of `X`."""
    return model.facts(X) if isinstance(model, FileModel) else inspect_estimator(model, X)


def _kept(model: Any, X: Any, facts: ModelFacts, lane: Lane | None) -> Conversion:
    if isinstance(model, FileModel):
        return model.convert(X, lane)
    return pickled(model, "asked for") if lane else convert(model, X, facts.classes)


def _template_arguments(facts: ModelFacts) -> dict[str, Any]:
    shape = list(facts.shape) or [facts.inputs]
    arguments: dict[str, Any] = {"input_shape": shape, "output_shape": [facts.outputs]}
    if facts.columns is not None:
        arguments["columns"] = list(facts.columns)
    if facts.classes is not None:
        arguments["classes"] = list(facts.classes)
    return arguments


def _manifest(
    facts: ModelFacts, kept: Conversion, methods: tuple[str, ...], versions: dict[str, str]
) -> Manifest:
    return Manifest(
        lane=kept.lane,
        task=facts.task,
        classes=None if facts.classes is None else list(facts.classes),
        columns=None if facts.columns is None else list(facts.columns),
        inputs=facts.inputs,
        outputs=len(facts.classes) if facts.classes is not None else facts.outputs,
        methods=methods,
        libraries={"python": platform.python_version(), **versions},
        agreement=kept.agreement,
        lane_reason=kept.reason,
    )


def _versions(kept: Conversion, facts: ModelFacts) -> dict[str, str]:
    """Return the installed versions of the libraries that the packed model needs."""
    needed = set(_LIBRARIES[kept.lane])
    if kept.lane == "python":
        needed |= {name for mark, name in _PICKLED_LIBRARIES.items() if mark in kept.data}
    if facts.columns is not None and kept.lane in {"python", "skops"}:
        needed.add("pandas")
    installed = {
        distribution.name: distribution.version for distribution in importlib.metadata.distributions()
    }
    return {name: installed[name] for name in sorted(needed & installed.keys())}


def _requirements(versions: dict[str, str]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in versions.items())


def _statistical(specification_json: bytes) -> StatisticalFile:
    try:
        given = json.loads(specification_json)
    except ValueError as error:
        raise model_error(f"its specification is no JSON: {error}") from error
    class_name = (
        given.get("type", _DEFAULT_SPECIFICATION) if isinstance(given, dict) else _DEFAULT_SPECIFICATION
    )
    return StatisticalFile(STATISTICAL_NAME, class_name, specification_json)
