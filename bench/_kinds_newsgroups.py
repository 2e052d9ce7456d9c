"""The reference engine's published text scenario, rebuilt: twenty newsgroups, 50 owners, 10 searchers.

Owners hold a random half of the training messages of three of five topics (comp, rec, sci, talk, misc), five
owners each of the ten triples, and train tf-idf with multinomial naive Bayes. Searchers have all test
messages of two topics. Labelled rows are training messages of the same two topics, so owners may have seen
them; the engine's benchmark has them so too.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

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
    for seed in range(options.seed, options.seed + draws):
        market = drawn(corpus, kept, owners, seed)
        name = f"{len(corpus.texts)}-{owners}-{seed}"
        found.append(kept.figures(f"served-{name}", partial(served, market, searchers, TEXT_COMBINATIONS)))
        counts = (100,) if options.quick else CURVE
        entries: list[dict[str, Any]] = []
        for number, one in enumerate(searchers):
            measure = partial(with_labels, corpus, market, one, number, counts, seed)
            entries += kept.figures(f"labels-{name}-{number}", measure)
        labelled.append(entries)
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


def with_labels(
    corpus: Corpus, market: list[Learnware], one: Searcher, number: int, counts: tuple[int, ...], seed: int
) -> list[dict[str, Any]]:
    """Return what labels add for the searcher of a number, one entry a number of labels.

    Each has the accuracy of training from ``scratch`` and, for some numbers, that of AutoReuse on the ten
    nearest (``auto``) and what it ``chose``.
    """
    topics = list(itertools.combinations(TOPICS, 2))[number]
    nearest = [market[index] for index in ranked(one, market).indices[:HITS]]
    pool = np.random.default_rng((seed, number)).permutation(corpus.of(topics, training=True))
    found: list[dict[str, Any]] = []
    for count in counts:
        texts, labels = [corpus.texts[place] for place in pool[:count]], corpus.labels[pool[:count]]
        entry = {"labels": count, "scratch": _from_scratch(corpus, pool[:count], one)}
        if count in AUTO_GOALS:
            reuser = AutoReuse(
                nearest, requirement=one.requirement, unlabelled=one.rows, budget_seconds=BUDGET_SECONDS
            )
            reuser.fit(texts, labels)
            entry |= {"auto": reuser.score(one.rows, one.truth), "chose": reuser.report_["chosen"]}
        found.append(entry)
    return found


def _from_scratch(corpus: Corpus, places: np.ndarray, one: Searcher) -> float:
    """Return the accuracy of the better of two models trained on labelled messages alone, on their words."""
    words = np.flatnonzero(corpus.counts[places].getnnz(axis=0))
    wanted = [corpus.places[text] for text in one.rows]
    weights = TfidfTransformer(sublinear_tf=True).fit(corpus.counts[places][:, words])
    known, asked = (weights.transform(corpus.counts[rows][:, words]) for rows in (places, wanted))
    trained = [model.fit(known, corpus.labels[places]) for model in (MultinomialNB(alpha=0.1), LinearSVC())]
    return max(float(model.score(asked, one.truth)) for model in trained)


def _labelled(draws: list[list[dict[str, Any]]]) -> list[Row]:
    """Return the rows of what labels add, means over all draws and searchers."""
    entries = [entry for draw in draws for entry in draw]
    counts = sorted({entry["labels"] for entry in entries})
    own = {count: _mean(entries, count, "scratch") for count in counts}
    auto = {count: _mean(entries, count, "auto") for count in counts if count in AUTO_GOALS}
    found = [
        Row(
            "newsgroups_auto",
            value,
            "accuracy",
            {"labels": count, "draws": len(draws), "chosen": _chosen(entries, count)},
            peer="training from scratch",
            peer_value=own[count],
            goal=f">= {AUTO_GOALS[count]}",
            note=f"sd over draws {np.std([_mean(draw, count, 'auto') for draw in draws]):.4f}",
        )
        for count, value in auto.items()
    ]
    params = {"draws": len(draws)}
    found += [
        Row("newsgroups_scratch", value, "accuracy", {"labels": count, **params})
        for count, value in own.items()
    ]
    enough = [count for count, value in own.items() if value >= auto[100]]
    note = (
        f"first count at which training from scratch has {auto[100]:.3f}"
        if enough
        else f"training from scratch never has {auto[100]:.3f}: a lower bound"
    )
    saved = (min(enough) if enough else max(own)) - 100
    return [*found, Row("newsgroups_labels_saved", float(saved), "labels", {"labels": 100}, note=note)]


def _mean(entries: list[dict[str, Any]], count: int, what: str) -> float:
    return float(np.mean([entry[what] for entry in entries if entry["labels"] == count]))


def _chosen(entries: list[dict[str, Any]], count: int) -> str:
    return " ".join(sorted({entry["chose"] for entry in entries if entry["labels"] == count}))
