"""Texts and images carry a model's responses: means of its answers near each point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skerry.errors import SpecificationError
from skerry.spec import (
    Features,
    Rkme,
    SemanticSpec,
    Specification,
    expected_loss,
    fit_image,
    fit_text,
    weigh_labels,
)
from skerry.spec.limits import RESPONSE_SAMPLE_ROWS_MAX
from skerry.spec.responses import with_responses

WORDS = {
    "bread": ["flour", "oven", "yeast", "crust", "dough", "rye"],
    "sea": ["tide", "harbour", "sail", "mast", "reef"],
}


def texts_of(count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(WORDS), count).tolist()
    return [f"about {' or '.join(rng.choice(WORDS[label], 3))} again" for label in labels], labels


def specified(rkme: Rkme, kind: str, classes: tuple[str, ...], task: str = "Classification") -> Specification:
    semantic = SemanticSpec(
        data=kind,
        task=task,
        library="Scikit-learn",
        scenario=("Others",),
        license="MIT",
        name="test",
        description="a learnware of a test",
        input=Features(rkme.dimension),
        output=Features(len(classes) or 1),
        classes=classes,
    )
    return Specification(semantic, rkme)


def text_model(*, right: bool) -> Specification:
    X, y = texts_of(200, 1)
    taught = y if right else ["sea" if label == "bread" else "bread" for label in y]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(X, taught)
    return specified(fit_text(X, responses=model.predict_proba), "Text", ("bread", "sea"))


def test_labels_tell_apart_two_models_of_the_same_texts() -> None:
    wrong, right = text_model(right=False), text_model(right=True)
    X, y = texts_of(60, 2)
    said = weigh_labels(fit_text(X), X[:20], y[:20], [wrong, right])
    assert said.order == (1, 0)
    losses = [loss.loss for loss in said.losses if loss is not None]
    assert losses[1] < 0.4 < 1 < losses[0]
    assert said.worse == (True, False)


def test_responses_survive_the_written_form_and_their_rows_are_probabilities() -> None:
    rkme = Specification.from_bytes(text_model(right=True).to_bytes()).rkme
    assert rkme.responses is not None
    assert rkme.responses.shape == (len(rkme), 2)
    np.testing.assert_allclose(rkme.responses.sum(axis=1), 1, atol=1e-5)


def test_features_may_be_given_in_place_of_texts() -> None:
    from skerry.spec import text_features

    X, y = texts_of(20, 3)
    spec = text_model(right=True)
    by_text, by_row = expected_loss(spec, X, y), expected_loss(spec, text_features(X), y)
    assert by_text is not None
    assert by_row is not None
    np.testing.assert_allclose(by_text.rows, by_row.rows)


def test_image_models_are_told_apart_by_labels() -> None:
    digits = load_digits()
    few = digits.target < 3
    images, labels = (digits.images[few] * 15).astype(np.uint8), digits.target[few]
    model = LogisticRegression(max_iter=500).fit(images[::2].reshape(-1, 64), labels[::2])

    def answers(given: Any) -> Any:
        return model.predict_proba(np.asarray(given).reshape(-1, 64))

    specs = [
        specified(fit_image(given, responses=ask), "Image", ("0", "1", "2"))
        for given in (images[::2], list(images[::2]))
        for ask in (answers, lambda given: answers(given)[:, [1, 2, 0]])
    ]
    losses = [expected_loss(spec, images[1::20], labels[1::20]) for spec in specs]
    means = [loss.loss for loss in losses if loss is not None]
    assert max(means[0], means[2]) < 0.5 < 2 < min(means[1], means[3])


def test_a_response_is_the_mean_of_the_ten_nearest_rows() -> None:
    X, _ = texts_of(200, 4)
    rkme = fit_text(X, 3)
    rows = np.random.default_rng(0).normal(size=(40, rkme.dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = with_responses(rkme, rows, lambda chosen: chosen.astype(float))
    assert found.responses is not None
    for point, response in zip(rkme.points, found.responses, strict=True):
        nearest = np.argsort(((rows - point) ** 2).sum(axis=1))[:10]
        assert response[0] == pytest.approx(nearest.mean(), rel=1e-5)


def test_a_slow_model_is_asked_about_a_sample() -> None:
    rkme = fit_text(texts_of(50, 5)[0])
    rows = np.tile(rkme.points[:1], (RESPONSE_SAMPLE_ROWS_MAX + 50, 1))
    asked: list[int] = []

    def ask(chosen: Any) -> Any:
        asked.append(len(set(chosen.tolist())))
        return np.zeros(len(chosen))

    with_responses(rkme, rows, ask)
    assert asked == [RESPONSE_SAMPLE_ROWS_MAX]


def test_answers_that_do_not_fit_are_refused() -> None:
    X, _ = texts_of(50, 6)
    with pytest.raises(SpecificationError, match="answers to 50 rows"):
        fit_text(X, responses=lambda texts: [1.0])
