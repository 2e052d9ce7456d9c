"""Texts and images are put to work by the same estimators as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skerry.reuse import (
    AutoReuse,
    Average,
    FeatureAugment,
    Learnware,
    Routed,
    Weighted,
    as_estimator,
)
from skerry.reuse.base import Reuser
from skerry.spec import fit_image, fit_text

WORDS = """
bread flour oven yeast crust loaf dough rye baker knead butter sieve bun
sea tide harbour sail mast gull wave anchor salt reef ferry keel storm
stars orbit comet lens nebula moon dust solar eclipse dwarf quasar probe sky
wood oak birch plank saw root leaf bark cedar axe grain lathe glue
"""
TOPICS = {line.split()[0]: line.split()[1:] for line in WORDS.strip().splitlines()}


def texts_of(topics: list[str], count: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(topics, count)
    return [f"about {' or '.join(rng.choice(TOPICS[topic], 3))} again" for topic in labels], labels


def text_market() -> list[Learnware]:
    """Two models that know two topics each, and call everything one of those."""
    market: list[Learnware] = []
    for seed, topics in enumerate((["bread", "sea"], ["stars", "wood"])):
        X, y = texts_of(topics, 60, seed)
        market.append(as_estimator(make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(X, y), fit_text(X)))
    return market


MAKERS: list[Callable[[Any], Reuser]] = [
    Routed,
    Weighted,
    AutoReuse,
    lambda market: AutoReuse(market, requirement=fit_text(texts_of(list(TOPICS), 40, 9)[0])),
]


@pytest.mark.parametrize("make", MAKERS)
def test_texts_are_answered_by_who_knows_them(make: Callable[[Any], Reuser]) -> None:
    X, y = texts_of(list(TOPICS), 40, 5)
    reuser = make(text_market()).fit(X)
    assert reuser.predict_proba(X).shape == (160, 4)
    assert reuser.score(X, y) > (0.6 if isinstance(reuser, Weighted) else 0.95)


def test_few_labelled_texts_add_what_no_learnware_knows() -> None:
    X, y = texts_of(list(TOPICS), 30, 5)
    new, labels = texts_of(list(TOPICS), 40, 6)
    alone = text_market()[:1]
    augmented = FeatureAugment(alone).fit(X, y)
    assert augmented.score(new, labels) > 0.9 > Average(alone).fit().score(new, labels)


def test_auto_reuse_takes_labelled_texts() -> None:
    X, y = texts_of(list(TOPICS), 20, 5)
    new, labels = texts_of(list(TOPICS), 40, 6)
    auto = AutoReuse(text_market()[:1]).fit(X, y)
    assert auto.report_["chosen"] == "FeatureAugment"
    assert auto.score(new, labels) > 0.9


def digit_model(digits: tuple[int, ...]) -> Learnware:
    X, y = load_digits(return_X_y=True)
    known = np.isin(y, digits)
    images = X[known][::2].reshape(-1, 8, 8)
    flat = FunctionTransformer(lambda rows: np.asarray(rows).reshape(len(rows), -1))
    model = make_pipeline(flat, LogisticRegression(max_iter=500)).fit(images, y[known][::2])
    return as_estimator(model, fit_image(images, white=16))


def test_images_are_answered_by_who_knows_them() -> None:
    X, y = load_digits(return_X_y=True)
    images, labels = X[1::2].reshape(-1, 8, 8), y[1::2]
    market = [digit_model((0, 1, 2, 3, 4)), digit_model((5, 6, 7, 8, 9))]
    routed = Routed(market).fit(images)
    assert routed.score(images, labels) > 0.02 + Average(market).fit().score(images, labels)
    few = FeatureAugment(market).fit(images[:200], labels[:200])
    assert few.score(images[200:], labels[200:]) > 0.85
