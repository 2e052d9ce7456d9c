"""Texts and images go the whole way too: published, found by their contents, fetched, run, combined."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skerry.client.network import Network
from tests.client.conftest import Market, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.sandbox, pytest.mark.timeout(400)]

WORDS = """
bread flour oven yeast crust loaf dough rye baker knead butter sieve bun
sea tide harbour sail mast gull wave anchor salt reef ferry keel storm
stars orbit comet lens nebula moon dust solar eclipse dwarf quasar probe sky
wood oak birch plank saw root leaf bark cedar axe grain lathe glue
"""
TOPICS = {line.split()[0]: line.split()[1:] for line in WORDS.strip().splitlines()}
PAIRS = (("bread", "sea"), ("stars", "wood"))
DIGITS = load_digits()
IMAGES = (DIGITS.images * 15).astype(np.uint8)
FEW = np.isin(DIGITS.target, (0, 1, 2))


def texts_of(topics: tuple[str, ...], count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    labels = [topic for topic in topics for _ in range(count)]
    return [f"about the {' or the '.join(rng.choice(TOPICS[topic], 4))} of today" for topic in labels], labels


@pytest.fixture(scope="module")
def searcher(market: Market) -> Network:
    """Return the searcher's market, in which the owner has published two text models and one of images."""
    market.clear()
    publish = market.owner.network.publish
    for seed, topics in enumerate(PAIRS):
        X, y = texts_of(topics, 60, seed)
        model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(X, y)
        publish(model, X, y, name=f"{' and '.join(topics)} texts", license="MIT")
    flat = FunctionTransformer(np.reshape, kw_args={"shape": (-1, 64)})
    images, labels = IMAGES[FEW][::2], DIGITS.target[FEW][::2]
    model = make_pipeline(flat, LogisticRegression(max_iter=300)).fit(images, labels)
    publish(model, images, labels, name="digits up to two", license="MIT")
    wait_until(lambda: market.searcher.network.status().cards == 3)
    return market.searcher.network


def test_texts_find_the_model_that_read_such_texts(searcher: Network) -> None:
    X, y = texts_of(PAIRS[1], 30, 7)
    with closing(searcher.search(X, task="classification")) as hits:
        assert [hit.card.name for hit in hits] == ["stars and wood texts", "bread and sea texts"]
        assert hits[0].card.data == "Text"
        assert hits[0].estimator().score(X, y) > 0.95


def test_a_mix_of_text_models_answers_each_text_by_who_knows_it(searcher: Network) -> None:
    X, y = texts_of((*PAIRS[0], *PAIRS[1]), 30, 8)
    with closing(searcher.search(X)) as hits:
        assert len(hits.mix.learnwares) == 2
        assert hits.mix.score(X, y) > 0.95


def test_images_find_the_model_that_saw_such_images(searcher: Network) -> None:
    images, labels = IMAGES[FEW][1::2], DIGITS.target[FEW][1::2]
    with closing(searcher.search(images)) as hits:
        assert [hit.card.name for hit in hits] == ["digits up to two"]
        assert hits[0].card.data == "Image"
        assert hits[0].estimator().score(images, labels) > 0.95


def test_labels_choose_between_models_of_the_same_texts(searcher: Network, market: Market) -> None:
    X, y = texts_of(PAIRS[0], 60, 0)
    swapped = [PAIRS[0][label == PAIRS[0][0]] for label in y]
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(X, swapped)
    market.owner.network.publish(model, X, swapped, name="swapped", license="MIT")
    wait_until(lambda: market.searcher.network.status().cards == 4)
    mine, labels = texts_of(PAIRS[0], 20, 9)
    with closing(searcher.search(mine, labels, timeout=30)) as hits:
        losses = {hit.card.name: hit.expected_loss for hit in hits}
        right, wrong = losses["bread and sea texts"], losses["swapped"]
        assert hits[0].card.name == "bread and sea texts"
        assert right is not None
        assert wrong is not None
        assert right.interval[1] < wrong.loss
    market.owner.network.withdraw("swapped")
    wait_until(lambda: market.searcher.network.status().cards == 3)
