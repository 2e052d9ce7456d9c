"""A model that was packed answers from its worker as it did in its owner's process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.errors import PackageError
from skerry.package.build import build_package
from skerry.package.format import Package
from skerry.package.worker import Worker

IRIS = datasets.load_iris(as_frame=True)
SPECIES = np.asarray(IRIS.target_names)[IRIS.target]
SPECIFICATION = json.dumps({"type": "RKMETableSpecification", "z": [[0.0] * 4], "beta": [1.0]}).encode()


def build(model: Any, X: Any, y: Any, path: Path, **options: Any) -> Package:
    return build_package(model, X, y, semantic={}, specification_json=SPECIFICATION, path=path, **options)


@pytest.mark.sandbox
@pytest.mark.parametrize("X", [IRIS.data, IRIS.data.to_numpy()], ids=["frame", "array"])
def test_a_classifier_with_names_answers_with_names(X: Any, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SPECIES)
    package = build(model, X, SPECIES, tmp_path / "model.zip")
    assert package.classes == ("setosa", "versicolor", "virginica")
    assert package.manifest is not None
    assert package.manifest.columns == (list(X.columns) if isinstance(X, pd.DataFrame) else None)
    assert (package.manifest.inputs, package.outputs) == (4, 3)
    with Worker(package) as worker:
        assert worker.methods >= {"predict", "predict_proba"}
        assert worker.predict(X).tolist() == model.predict(X).tolist()
        np.testing.assert_allclose(worker.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.sandbox
def test_a_regressor_answers_with_numbers(tmp_path: Path) -> None:
    X, y = datasets.load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    package = build(model, X, y, tmp_path / "model.zip")
    assert (package.task, package.classes, package.outputs) == ("regression", None, 1)
    with Worker(package) as worker:
        np.testing.assert_allclose(worker.predict(X), model.predict(X), rtol=1e-5)


@pytest.mark.sandbox
def test_models_that_learn_on_can_be_tuned(tmp_path: Path) -> None:
    X = StandardScaler().fit_transform(IRIS.data)
    classifier = SGDClassifier(random_state=0).fit(X, SPECIES)
    regressor = SGDRegressor(random_state=0).fit(X, X[:, 0])
    with Worker(build(classifier, X, SPECIES, tmp_path / "classifier.zip", lane="python")) as worker:
        before = worker.predict(X)
        worker.finetune(X, np.roll(SPECIES, 50))
        assert (worker.predict(X) != before).any()
    with Worker(build(regressor, X, X[:, 0], tmp_path / "regressor.zip", lane="python")) as worker:
        worker.finetune(X, X[:, 0] + 1)
        assert np.abs(worker.predict(X) - regressor.predict(X)).max() > 1e-4


def test_the_libraries_of_the_model_are_pinned_and_no_others(tmp_path: Path) -> None:
    X = IRIS.data.to_numpy()
    model = LogisticRegression(max_iter=1000).fit(X, SPECIES)
    pinned = {}
    for lane in ("python", None):
        requirements = build(model, X, SPECIES, tmp_path / "model.zip", lane=lane).requirements
        assert requirements is not None
        pinned[lane] = [line.split("==")[0] for line in requirements[1].splitlines()]
    assert pinned == {"python": ["numpy", "scikit-learn"], None: ["numpy", "onnx", "onnxruntime"]}
    framed = LogisticRegression(max_iter=1000).fit(IRIS.data, SPECIES)
    package = build(framed, IRIS.data, SPECIES, tmp_path / "model.zip", lane="python")
    assert package.manifest is not None
    assert set(package.manifest.libraries) == {"python", "numpy", "pandas", "scikit-learn"}


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(IRIS.data, SPECIES)
    for name in ("one", "two"):
        build(model, IRIS.data, SPECIES, tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (StandardScaler().fit(IRIS.data), "neither"),
        (LogisticRegression(), "not fitted"),
        (LinearRegression(), "not fitted"),
        (
            MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(
                IRIS.data, np.c_[IRIS.target, IRIS.target]
            ),
            "more than one target",
        ),
    ],
)
def test_what_cannot_be_packed_is_named(model: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=why) as caught:
        build(model, IRIS.data, None, tmp_path / "model.zip")
    assert caught.value.code == "E-PACKAGE-MODEL"


def test_labels_of_another_data_set_are_noticed(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, SPECIES)
    with pytest.raises(PackageError, match="labels that it does not know"):
        build(model, IRIS.data, IRIS.target, tmp_path / "model.zip")
