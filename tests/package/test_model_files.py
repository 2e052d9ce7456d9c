"""A model given as a file is opened in a worker only, and packed as well as one given as an object."""

import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.errors import PackageError, SandboxError
from skerry.package.build import inspect_model
from skerry.package.convert import convert
from skerry.package.model_files import FileModel
from skerry.package.worker import Worker

from .test_build import IRIS, SPECIES, build

pytestmark = pytest.mark.sandbox

MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS.data, SPECIES)


class Payload:
    """What a stranger's pickle does when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("save", [pickle.dumps, None], ids=["pickle", "joblib"])
def test_a_pickled_classifier_is_packed_like_the_object(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    if save is None:
        joblib.dump(MODEL, path, compress=3)
    else:
        path.write_bytes(save(MODEL))
    with FileModel(path) as model:
        assert inspect_model(model, IRIS.data) == inspect_model(MODEL, IRIS.data)
        assert model.predict(IRIS.data).tolist() == MODEL.predict(IRIS.data).tolist()
        np.testing.assert_allclose(model.predict_proba(IRIS.data), MODEL.predict_proba(IRIS.data))
        package = build(model, IRIS.data, SPECIES, tmp_path / "file.zip")
        kept = build(model, IRIS.data, SPECIES, tmp_path / "python.zip", lane="python")
    same = build(MODEL, IRIS.data, SPECIES, tmp_path / "object.zip")
    assert package.manifest == same.manifest
    assert (package.lane, kept.lane) == ("onnx", "python")
    with Worker(kept) as worker:
        assert worker.predict(IRIS.data).tolist() == MODEL.predict(IRIS.data).tolist()


def test_a_pickle_does_nothing_outside_the_sandbox(tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(SandboxError):
        FileModel(tmp_path / "model.pkl")
    assert not mark.exists()
    with (
        FileModel(tmp_path / "model.pkl", unconfined=True) as model,
        pytest.raises((SandboxError, PackageError)),
    ):
        model.facts(IRIS.data)
    assert mark.exists()


def test_a_model_for_the_skops_lane_comes_through(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=5).fit(IRIS.data.to_numpy(), SPECIES)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    with FileModel(tmp_path / "model.pkl") as opened:
        package = build(opened, IRIS.data.to_numpy(), SPECIES, tmp_path / "file.zip")
    assert package.lane == "skops"
    assert package.manifest is not None
    assert "onnx: conversion failed" in package.manifest.lane_reason


def test_an_onnx_file_is_taken_as_it_is(tmp_path: Path) -> None:
    X = IRIS.data.to_numpy()
    kept = convert(LogisticRegression(max_iter=1000).fit(X, SPECIES), X, tuple(np.unique(SPECIES).tolist()))
    (tmp_path / "model.onnx").write_bytes(kept.data)
    with FileModel(tmp_path / "model.onnx", labels=SPECIES, columns=list(IRIS.data.columns)) as model:
        facts = inspect_model(model, IRIS.data)
        package = build(model, IRIS.data, SPECIES, tmp_path / "file.zip")
        assert (model.predict(X) == SPECIES).mean() > 0.9
    assert facts.classes == package.classes == ("setosa", "versicolor", "virginica")
    assert facts.columns == tuple(IRIS.data.columns)
    assert package.lane == "onnx"
    with Worker(package) as worker:
        assert (worker.predict(X) == SPECIES).mean() > 0.9
        assert worker.predict_proba(X).shape == (150, 3)


@pytest.mark.parametrize("given", [False, True], ids=["without target", "with a rounded target"])
def test_an_onnx_regressor_is_told_from_a_classifier(given: bool, tmp_path: Path) -> None:
    target = datasets.load_diabetes().target if given else None
    from sklearn.linear_model import Ridge

    X, y = datasets.load_diabetes(return_X_y=True)
    kept = convert(Ridge().fit(X, y), X, None)
    (tmp_path / "model.onnx").write_bytes(kept.data)
    with FileModel(tmp_path / "model.onnx", labels=target) as model:
        assert model.facts(X).task == "regression"
        with pytest.raises(PackageError, match="no python lane"):
            model.convert(X, "python")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"absent\.pkl") as caught:
        FileModel(tmp_path / "absent.pkl")
    assert caught.value.code == "E-PACKAGE-MODEL"


@pytest.mark.parametrize("text", ["import numpy", "tree\nversion=v4\n", ""])
def test_what_is_no_model_is_not_even_opened(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text(text)
    with pytest.raises(PackageError, match="no pickle, no joblib file"):
        FileModel(tmp_path / "model.txt")


def test_rows_with_the_labels_still_among_them_are_explained(tmp_path: Path) -> None:
    frame = datasets.load_iris(as_frame=True).frame
    model = LogisticRegression(max_iter=500).fit(frame.drop(columns="target"), frame.target)
    joblib.dump(model, tmp_path / "model.pkl", compress=True)
    with (
        FileModel(tmp_path / "model.pkl") as opened,
        pytest.raises(SandboxError, match=r"4 columns and these rows have 5.*--target"),
    ):
        opened.facts(frame.to_numpy())


def test_a_liar_among_pickles_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code in a pickle may answer for itself: what it says is checked as data."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(MODEL))
    with FileModel(tmp_path / "model.pkl") as model:
        for lie in (b"", b"{}\n", b"no JSON\n", json.dumps({"facts": 1}).encode() + b"\n"):
            monkeypatch.setattr(model._worker, "convert", lambda X, asked, lie=lie: lie)
            with pytest.raises(PackageError, match="malformed"):
                model.facts(IRIS.data)
