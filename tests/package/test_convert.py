"""A converted model runs in a lane that cannot execute, and agrees with the original or is not used."""

import pickle
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import skops.io
from onnx import TensorProto, helper, numpy_helper
from sklearn import (
    datasets,
    ensemble,
    linear_model,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer

from skerry.errors import SandboxError
from skerry.package import convert as convert_module
from skerry.package.convert import LABELS_LEAST, convert
from skerry.package.format import Manifest, StatisticalFile, write_package
from skerry.package.lanes import lightgbm_lane, onnx_lane, skops_lane
from skerry.package.worker import Worker

from .test_build import build

CANCER_X, CANCER_Y = datasets.load_breast_cancer(return_X_y=True)
DIAGNOSES = np.array(["malignant", "benign"])[CANCER_Y]
DIABETES_X, DIABETES_Y = datasets.load_diabetes(return_X_y=True)

CLASSIFIERS = {
    "linear": (
        pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        "onnx",
    ),
    "imputing forest": (
        pipeline.make_pipeline(SimpleImputer(), ensemble.RandomForestClassifier(20, random_state=0)),
        "onnx",
    ),
    "support vectors": (pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()), "onnx"),
    "histogram boosting": (ensemble.HistGradientBoostingClassifier(max_iter=20), "skops"),
    "bayes": (naive_bayes.GaussianNB(), "onnx"),
    "tree": (tree.DecisionTreeClassifier(random_state=0), "onnx"),
    "neighbours": (neighbors.KNeighborsClassifier(), "onnx"),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=10, verbose=-1), "lightgbm"),
}
REGRESSORS = {
    "ridge": (linear_model.Ridge(), "onnx"),
    "histogram boosting": (ensemble.HistGradientBoostingRegressor(max_iter=20), "skops"),
    "lightgbm": (lightgbm.LGBMRegressor(n_estimators=10, verbose=-1), "lightgbm"),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_takes_the_safest_lane_that_agrees(name: str) -> None:
    model, lane = CLASSIFIERS[name]
    model.fit(CANCER_X, DIAGNOSES)
    found = convert(model, CANCER_X, tuple(model.classes_.tolist()))
    assert found.lane == lane
    assert found.agreement is not None
    assert found.agreement.labels >= LABELS_LEAST
    assert found.agreement.difference_max < 1e-4


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["linear", "histogram boosting", "lightgbm", "support vectors"])
def test_a_classifier_agrees_from_its_worker(name: str, tmp_path: Path) -> None:
    model, lane = CLASSIFIERS[name]
    model.fit(CANCER_X, DIAGNOSES)
    package = build(model, CANCER_X, DIAGNOSES, tmp_path / "model.zip")
    assert package.lane == lane
    assert package.manifest is not None
    assert package.manifest.agreement is not None
    assert package.manifest.agreement.labels >= LABELS_LEAST
    assert package.manifest.agreement.rows == len(CANCER_X)
    with Worker(package) as worker:
        assert worker.level in {"A", "B"}
        assert (worker.predict(CANCER_X) == model.predict(CANCER_X)).mean() >= LABELS_LEAST
        assert ("predict_proba" in worker.methods) == hasattr(model, "predict_proba")
        if hasattr(model, "predict_proba"):
            difference = np.abs(worker.predict_proba(CANCER_X) - model.predict_proba(CANCER_X)).max()
            assert difference < package.manifest.agreement.difference_max + 1e-4


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_takes_the_safest_lane_that_agrees(name: str) -> None:
    model, lane = REGRESSORS[name]
    model.fit(DIABETES_X, DIABETES_Y)
    found = convert(model, DIABETES_X, None)
    assert found.lane == lane
    assert found.agreement is not None
    assert found.agreement.labels >= LABELS_LEAST


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["ridge"])
def test_a_regressor_agrees_from_its_worker(name: str, tmp_path: Path) -> None:
    model, lane = REGRESSORS[name]
    model.fit(DIABETES_X, DIABETES_Y)
    package = build(model, DIABETES_X, DIABETES_Y, tmp_path / "model.zip")
    assert package.lane == lane
    with Worker(package) as worker:
        answer = worker.predict(DIABETES_X)
        assert answer.shape == DIABETES_Y.shape
        np.testing.assert_allclose(answer, model.predict(DIABETES_X), atol=1e-4 * DIABETES_Y.std())


class Coin(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A classifier that no converter knows."""

    def fit(self, X: Any, y: Any) -> "Coin":
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[(np.asarray(X)[:, 0] > 15).astype(int)]


def test_a_model_that_no_lane_knows_stays_python_and_says_why() -> None:
    model = Coin().fit(CANCER_X, DIAGNOSES)
    found = convert(model, CANCER_X, tuple(model.classes_.tolist()))
    assert (found.lane, found.agreement) == ("python", None)
    assert isinstance(pickle.loads(found.data), Coin)
    assert "onnx: conversion failed" in found.reason
    assert "skops: it does not run" in found.reason


def test_a_lane_that_disagrees_is_passed_over() -> None:
    """Rows that double precision tells apart and single precision does not."""
    X = 1 + np.arange(400).reshape(-1, 1) * 2.0**-40
    model = neighbors.KNeighborsClassifier(1).fit(X, np.arange(400) % 2)
    found = convert(model, X, (0, 1))
    assert found.lane == "skops"
    assert "onnx: agrees on" in found.reason
    assert found.agreement is not None
    assert found.agreement.labels >= LABELS_LEAST


def graph(
    nodes: list[Any], *, initializers: tuple[Any, ...] = (), domain: str = "", functions: Any = ()
) -> bytes:
    body = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 2])],
        initializer=list(initializers),
    )
    opsets = [helper.make_opsetid("", 18)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    data: bytes = helper.make_model(body, opset_imports=opsets, functions=list(functions)).SerializeToString()
    return data


def external() -> Any:
    tensor = numpy_helper.from_array(np.zeros((2, 2), np.float32), "W")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


ADD = helper.make_node("Add", ["X", "X"], ["Y"])
INNER = helper.make_graph(
    [helper.make_node("Evil", ["X"], ["Z"], domain="evil")],
    "inner",
    [],
    [helper.make_tensor_value_info("Z", TensorProto.FLOAT, None)],
)
FUNCTION = helper.make_function(
    "own", "F", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], [helper.make_opsetid("", 18)]
)
HOSTILE_ONNX = {
    "custom operator": (graph([helper.make_node("Evil", ["X"], ["Y"], domain="evil")]), "operator 'Evil'"),
    "custom domain": (graph([ADD], domain="com.microsoft"), "com.microsoft"),
    "custom operator in a branch": (
        graph([helper.make_node("If", ["X"], ["Y"], then_branch=INNER, else_branch=INNER)]),
        "operator 'Evil'",
    ),
    "external data": (graph([ADD], initializers=(external(),)), "'W' lies in another file"),
    "external data in an attribute": (
        graph([helper.make_node("Constant", [], ["Y"], value=external())]),
        "lies in another file",
    ),
    "own function": (graph([ADD], functions=[FUNCTION]), "function of its own"),
    "no model": (b"\xff\xfenonsense", "no ONNX model"),
}


@pytest.mark.parametrize("fault", HOSTILE_ONNX)
def test_an_onnx_file_that_does_more_is_refused(fault: str) -> None:
    data, why = HOSTILE_ONNX[fault]
    with pytest.raises(ValueError, match=why):
        onnx_lane.check(data)


def test_graphs_nested_too_deep_are_refused() -> None:
    inner = helper.make_graph([helper.make_node("Abs", ["X"], ["Z"])], "g", [], [])
    for _ in range(onnx_lane.GRAPH_DEPTH_MAX + 1):
        inner = helper.make_graph([helper.make_node("If", ["X"], ["Z"], then_branch=inner)], "g", [], [])
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(ValueError, match="nested"):
        onnx_lane.check(model.SerializeToString())


def test_an_honest_onnx_file_passes() -> None:
    onnx_lane.check(graph([ADD]))
    assert onnx.load_model_from_string(graph([ADD])).graph.node[0].op_type == "Add"


def test_a_skops_file_with_an_unknown_type_is_refused() -> None:
    data = skops.io.dumps(Coin().fit(CANCER_X, DIAGNOSES))
    with pytest.raises(ValueError, match="Coin"):
        skops_lane.check(data)


def test_a_skops_file_that_names_a_function_is_refused() -> None:
    data = skops.io.dumps(FunctionTransformer(np.fromfile))
    with pytest.raises(ValueError, match="fromfile"):
        skops_lane.check(data)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("objective=binary", "objective=custom"), "custom"),
        (lambda text: text.replace("objective=", "purpose="), "none"),
        (lambda text: "x" + text, "no LightGBM model"),
    ],
)
def test_a_lightgbm_text_that_is_none_is_refused(change: Any, why: str) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(CANCER_X, CANCER_Y)
    text = model.booster_.model_to_string()
    lightgbm_lane.check(text)
    with pytest.raises(ValueError, match=why):
        lightgbm_lane.check(change(text))


@pytest.mark.sandbox
def test_a_hostile_file_is_refused_inside_the_worker(tmp_path: Path) -> None:
    package = write_package(
        tmp_path / "p.zip",
        manifest=Manifest(lane="onnx"),
        files={"__init__.py": b"", "model.onnx": HOSTILE_ONNX["external data"][0]},
        semantic=None,
        statistics=[StatisticalFile("stat.json", "RKMETableSpecification", b"{}")],
    )
    with pytest.raises(SandboxError, match="lies in another file"):
        Worker(package)


def test_agreement_is_measured_on_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_module, "ROWS_MAX", 50)
    model = linear_model.Ridge().fit(DIABETES_X, DIABETES_Y)
    found = convert(model, DIABETES_X, None)
    assert found.agreement is not None
    assert found.agreement.rows == 50
