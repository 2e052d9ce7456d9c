"""The reference engine's published text scenario, rebuilt: twenty newsgroups, 50 owners, 10 searchers.

Owners hold a random half of the training messages of three of five topics (comp, rec, sci, talk, misc), five
owners each of the ten triples, and train tf-idf with multinomial naive Bayes. Searchers have all test
messages of two topics. Labelled rows are training messages of the same two topics, so owners may have seen
them; the engine's benchmark has them so too.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from bench._kinds_corpus import Bayes, Corpus, Kept
from bench._kinds_market import COMBINATIONS, HITS, Combination, Searcher, ranked, served
from bench.report import Row
from skerry.reuse import AutoReuse, Learnware, SelfTrained, as_estimator

TOPICS = ("comp", "rec", "sci", "talk", "misc")
OWNERS_A_TRIPLE = 5
CURVE = (100, 200, 500, 1000, 2000, 4000)
AUTO_GOALS = {100: 0.865, 500: 0.90}
BUDGET_SECONDS = 600.0
"""Of a cross-validation: ample, so that what is chosen does not depend on how busy the machine is."""

PUBLISHED = {"mean": 0.507, "best": 0.859, "top1": 0.846, "average": 0.862}
MEASURES = ("mean", "best", "top1", "average", "combined", "auto", "labels_saved")
TEXT_COMBINATIONS: dict[str, Combination] = {
    **COMBINATIONS,
    "SelfTrained": lambda nearest, one: SelfTrained(nearest[:HITS], requirement=one.requirement).fit(
        one.rows
    ),
}
NEEDS = "give the folder of the 20 newsgroups with --newsgroups"


def rows(options: argparse.Namespace) -> list[Row]:
    """Return how well searchers are served, against what was published."""
    if options.newsgroups is None:
        return [Row(f"newsgroups_{name}", None, "accuracy", note=NEEDS) for name in MEASURES]
    corpus = Corpus(options.newsgroups, every=8 if options.quick else 1)
    kept = Kept(options.features, corpus)
    searchers = [searcher(corpus, kept, pair) for pair in itertools.combinations(TOPICS, 2)]
    owners, draws = (1, 1) if options.quick else (OWNERS_A_TRIPLE, options.draws)
    found, labelled = [], []
    for draw in range(draws):
        market = drawn(corpus, kept, owners, options.seed + draw)
        found.append(served(market, searchers, TEXT_COMBINATIONS))
        counts = (100,) if options.quick else CURVE if draw == 0 else tuple(AUTO_GOALS)
        labelled.append(with_labels(corpus, market, searchers, counts, options.seed + draw))
    params = {"owners": 10 * owners, "searchers": len(searchers), "draws": draws, "hits": HITS}
    rows = [*_unlabelled(found, params), *_labelled(labelled)]
    # An eighth of the messages is another scenario, with other figures.
    return [replace(row, goal=None) for row in rows] if options.quick else rows


def searcher(corpus: Corpus, kept: Kept, topics: tuple[str, ...]) -> Searcher:
    """Return the searcher with all test messages of some topics."""
    places = corpus.of(topics, training=False)
    texts = [corpus.texts[place] for place in places]
    return Searcher(texts, corpus.labels[places], kept.fitted(texts))


def drawn(corpus: Corpus, kept: Kept, owners: int, seed: int) -> list[Learnware]:
    """Return a market of owners, each with half the training messages of three topics."""
    rng = np.random.default_rng(seed)
    market: list[Learnware] = []
    for topics in itertools.combinations(TOPICS, 3):
        pool = corpus.of(topics, training=True)
        for _ in range(owners):
            own = rng.choice(pool, len(pool) // 2, replace=False)
            texts = [corpus.texts[place] for place in own]
            market.append(as_estimator(Bayes(corpus, own), kept.fitted(texts)))
    return market


def _unlabelled(found: list[dict[str, float]], params: dict[str, Any]) -> list[Row]:
    mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    spread = {name: float(np.std([one[name] for one in found])) for name in found[0]}
    make = partial(_row, params=params, spread=spread)
    best = max(TEXT_COMBINATIONS, key=lambda name: mean[name])
    return [
        make("mean", mean["mean"], "mean", goals=("0.494", "0.514")),
        make("best", mean["best"], "best", goals=("0.847", "0.867")),
        make("top1", mean["top1"], "top1", goals=("0.83",)),
        make("average", mean["Average"], "Average", goals=("0.862",)),
        make("combined", mean[best], best, goals=("0.866",)),
        *(make("combination", mean[name], name) for name in TEXT_COMBINATIONS),
    ]


def _row(
    measure: str,
    value: float,
    name: str,
    goals: tuple[str, ...] = (),
    *,
    params: dict[str, Any],
    spread: dict[str, float],
) -> Row:
    """Return a figure beside the published one; of two goals the second is an upper bound."""
    within = "" if len(goals) < 2 else f", to be within {goals[0]} and {goals[1]}"
    return Row(
        f"newsgroups_{measure}",
        value,
        "accuracy",
        {**params, "of": name},
        peer="published" if measure in PUBLISHED else None,
        peer_value=PUBLISHED.get(measure),
        goal=f">= {goals[0]}" if goals else None,
        note=f"sd over draws {spread[name]:.4f}{within}",
    )


@dataclass
class Labels:
    """What labels add in one market, by their number: accuracies, one a searcher, and what was chosen."""

    auto: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    scratch: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    chosen: set[str] = field(default_factory=set)


def with_labels(
    corpus: Corpus, market: list[Learnware], searchers: list[Searcher], counts: tuple[int, ...], seed: int
) -> Labels:
    """Return what labels add: AutoReuse on the ten nearest, and training from scratch."""
    found = Labels()
    for number, topics in enumerate(itertools.combinations(TOPICS, 2)):
        one = searchers[number]
        nearest = [market[index] for index in ranked(one, market).indices[:HITS]]
        pool = np.random.default_rng((seed, number)).permutation(corpus.of(topics, training=True))
        for count in counts:
            texts = [corpus.texts[place] for place in pool[:count]]
            labels = corpus.labels[pool[:count]]
            found.scratch[count].append(_from_scratch(texts, labels, one))
            if count in AUTO_GOALS:
                reuser = AutoReuse(
                    nearest,
                    requirement=one.requirement,
                    unlabelled=one.rows,
                    budget_seconds=BUDGET_SECONDS,
                )
                reuser.fit(texts, labels)
                found.auto[count].append(reuser.score(one.rows, one.truth))
                found.chosen.add(reuser.report_["chosen"])
    return found


def _from_scratch(texts: list[str], labels: np.ndarray, one: Searcher) -> float:
    """Return the accuracy of the better of two models trained on the labels alone."""
    vectoriser = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    models = (MultinomialNB(alpha=0.1), LogisticRegression(C=100, max_iter=200))
    trained = [make_pipeline(vectoriser, model).fit(texts, labels) for model in models]
    return max(float(model.score(one.rows, one.truth)) for model in trained)


def _labelled(draws: list[Labels]) -> list[Row]:
    """Return the rows of all draws; the curve is that of the draws that have it."""
    chosen = " ".join(sorted(set().union(*(one.chosen for one in draws))))
    own = {
        count: float(np.mean([value for one in draws for value in one.scratch[count]]))
        for count in draws[0].scratch
    }
    auto = {count: np.array([one.auto[count] for one in draws]) for count in draws[0].auto}
    found = [
        Row(
            "newsgroups_auto",
            float(values.mean()),
            "accuracy",
            {"labels": count, "draws": len(draws), "chosen": chosen},
            peer="training from scratch",
            peer_value=own[count],
            goal=f">= {AUTO_GOALS[count]}",
            note=f"sd over draws {values.mean(axis=1).std():.4f}",
        )
        for count, values in auto.items()
    ]
    found += [
        Row(
            "newsgroups_scratch",
            value,
            "accuracy",
            {"labels": count, "draws": sum(count in one.scratch for one in draws)},
        )
        for count, value in own.items()
    ]
    reached = float(auto[100].mean())
    enough = [count for count, value in own.items() if value >= reached]
    note = (
        f"first count at which training from scratch has {reached:.3f}"
        if enough
        else f"training from scratch never has {reached:.3f}: a lower bound"
    )
    saved = (min(enough) if enough else max(own)) - 100
    return [*found, Row("newsgroups_labels_saved", float(saved), "labels", {"labels": 100}, note=note)]
