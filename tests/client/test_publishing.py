"""Drafts: everything that will leave, made from a model and its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier

from skerry.client.publishing import drafted, slug_of
from skerry.errors import PackageError, SpecificationError
from skerry.package.format import read_package
from skerry.spec import Specification, require_no_copies

IRIS = load_iris()
NAMES = ["sl", "sw", "pl", "pw"]


def test_a_classifier_on_an_array_becomes_a_whole_specification() -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    words = {"name": "Iris, Anderson's", "license": "MIT", "columns": NAMES, "units": {"sl": "cm"}}
    with drafted(model, IRIS.data, IRIS.target, **words) as draft:
        assert draft.slug == "iris-anderson-s"
        assert read_package(draft.package).lane == draft.lane
        again = Specification.from_bytes(draft.specification.to_bytes())
        semantic, rkme = again.semantic, again.rkme
        assert draft.checks.usable
        assert draft.checks.agreement is not None
        assert not draft.update
    assert not draft.package.exists()
    assert (semantic.task, semantic.library, semantic.license) == ("Classification", "Scikit-learn", "MIT")
    assert semantic.classes == ("0", "1", "2")
    assert [column.name for column in semantic.columns] == NAMES
    assert rkme.columns is not None
    assert rkme.columns[0].unit == "cm"
    assert draft.summary == "Classification by LogisticRegression, trained on 4 columns."
    assert len(rkme) == 15
    assert rkme.responses is not None
    np.testing.assert_allclose(rkme.responses, model.predict_proba(rkme.points.astype(float)), atol=1e-6)


def test_a_model_without_probabilities_responds_with_its_votes() -> None:
    model = RidgeClassifier().fit(IRIS.data, IRIS.target)
    with drafted(model, IRIS.data, name="ridge", license="MIT") as draft:
        responses = draft.specification.rkme.responses
    assert responses is not None
    assert set(np.unique(responses)) == {0.0, 1.0}
    np.testing.assert_array_equal(responses.sum(axis=1), 1)


def test_a_regressor_on_a_frame_keeps_the_names() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegression().fit(X, y)
    with drafted(model, X, y, name="Diabetes", license="MIT", summary="short", slug="d") as draft:
        specification = draft.specification
        assert (draft.slug, draft.summary) == ("d", "short")
    assert specification.semantic.task == "Regression"
    assert specification.semantic.output is not None
    assert specification.semantic.output.dimension == 1
    assert [column.name for column in specification.semantic.columns] == list(X.columns)


def test_no_row_leaves_with_the_specification() -> None:
    rows = np.concatenate([IRIS.data, [[900.0, -900.0, 900.0, -900.0]]])
    model = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    with drafted(model, rows, name="One far from all", license="MIT") as draft:
        require_no_copies(draft.specification.rkme, rows)
        assert draft.specification.rkme.points.max() < 900
    with (
        pytest.raises(SpecificationError, match="E-SPEC-COPIES"),
        drafted(model, rows[:1], name="One row", license="MIT"),
    ):
        pass


class _Constant(RidgeClassifier):
    """Answers without looking, so that the rows alone are at fault."""

    def fit(self, *_: object) -> _Constant:
        super().fit(np.eye(2), [0, 1])
        return self

    def predict(self, X: object) -> np.ndarray:
        return np.zeros(len(X), dtype=int)  # type: ignore[arg-type]


class _Private(RidgeClassifier):
    """A class that exists in this process only: no converter knows it, and nobody else can import it."""


@pytest.mark.sandbox
def test_a_package_that_fails_a_check_is_refused_with_its_name_and_reason() -> None:
    model = _Private().fit(IRIS.data, IRIS.target)
    with (
        pytest.raises(PackageError, match="E-CHECK-RUNS") as caught,
        drafted(model, IRIS.data, IRIS.target, name="Private", license="MIT"),
    ):
        pass
    assert caught.value.code == "E-PUBLISH-CHECKS"
    assert "no module named tests" in caught.value.why
    assert caught.value.todo


@pytest.mark.sandbox
def test_a_torch_module_becomes_an_onnx_learnware() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    frame = pd.DataFrame(IRIS.data, columns=NAMES)
    species = IRIS.target_names[IRIS.target]
    with drafted(module, frame, species, name="Iris network", license="MIT") as draft:
        semantic, rkme = draft.specification.semantic, draft.specification.rkme
        package = read_package(draft.package)
        agreement = draft.checks.agreement
    assert (semantic.library, semantic.task) == ("PyTorch", "Classification")
    assert semantic.classes == ("setosa", "versicolor", "virginica")
    assert package.manifest is not None
    assert (package.lane, package.manifest.columns) == ("onnx", NAMES)
    assert agreement is not None
    assert agreement.labels == 1
    with torch.no_grad():
        expected = torch.softmax(module(torch.from_numpy(rkme.points.astype(np.float32))), 1).numpy()
    np.testing.assert_allclose(rkme.responses, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "rows", "license_", "error", "words"),
    [
        (RidgeClassifier().fit(IRIS.data, IRIS.target), IRIS.data, "Mine", SpecificationError, "License"),
        (LogisticRegression(), IRIS.data, "MIT", PackageError, "not fitted"),
        (_Constant().fit(), pd.DataFrame({"text": ["a", "b"]}), "MIT", SpecificationError, "text"),
    ],
)
def test_what_cannot_be_published_says_why(
    model: object, rows: object, license_: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words), drafted(model, rows, name="x", license=license_):
        pass


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Heart disease, VA", "heart-disease-va"),
        ("Ærlig modell über Größe", "rlig-modell-uber-groe"),
        ("a" * 100, "a" * 64),
        ("x" * 63 + "--y", "x" * 63),
    ],
)
def test_slugs_are_made_of_what_the_protocol_allows(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_a_name_that_leaves_no_slug_asks_for_one() -> None:
    with pytest.raises(SpecificationError) as caught:
        slug_of("心臓")
    assert caught.value.code == "E-PUBLISH-SLUG"
