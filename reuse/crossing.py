"""A learnware behind a bridge, and what a bridge has to beat.

Rules of this file:

1. A crossed learnware takes the searcher's columns and answers as the owner's model does to what is at the
   other end. It has no specification: that speaks of the owner's columns.
2. What needs no bridge is judged on rows that it did not learn from, in the measure of
   :func:`skerry.spec.expected_loss`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import cross_val_predict

from skerry.spec.bridging import Bridge
from skerry.spec.labels import PROBABILITY_MIN

from .bridged import baselines, folds_of
from .inputs import Array
from .learnware import Floats, Learnware, LearnwareClassifier, LearnwareRegressor, offers


class Crossing:
    """A predictor that takes rows across a bridge before its model sees them.

    Parameters
    ----------
    learnware
        Takes the owner's columns.
    bridge
        From the searcher's columns to the owner's.
    """

    def __init__(self, learnware: Learnware, bridge: Bridge) -> None:
        self._learnware = learnware
        self._bridge = bridge
        self.methods: tuple[str, ...] = ("predict",)
        if isinstance(learnware, LearnwareClassifier) and offers(learnware.predictor, "predict_proba"):
            self.methods = ("predict", "predict_proba")

    def predict(self, X: Array) -> Array:
        """Return what the model predicts for rows (n, columns of the searcher)."""
        return self._learnware.predict(self._bridge.transform(X))

    def predict_proba(self, X: Array) -> Floats:
        """Return the model's probabilities for rows (n, columns of the searcher)."""
        assert isinstance(self._learnware, LearnwareClassifier)
        return self._learnware.predict_proba(self._bridge.transform(X))


def across(learnware: Learnware, bridge: Bridge, columns: Sequence[str] | None) -> Learnware:
    """Return a learnware that takes the searcher's columns, by these names where it knows them.

    Raises
    ------
    SpecificationError
        ``E-REUSE-CLASSES`` when a classifier's classes are not known.
    """
    crossing = Crossing(learnware, bridge)
    if isinstance(learnware, LearnwareClassifier):
        return LearnwareClassifier(crossing, columns=columns, classes=learnware.classes_.tolist())
    return LearnwareRegressor(crossing, columns=columns)


def unbridged_loss(X: Array, y: Array, *, classifies: bool) -> float | None:
    """Return what the better of two models trained on labelled rows alone loses, out of fold.

    Parameters
    ----------
    X, y
        (n, d) the searcher's rows and their labels (n,), all known.
    classifies
        Whether the loss is the log-loss in nats; the squared error otherwise.

    Returns
    -------
    float or None
        None where the labels are too few to tell.
    """
    folds = folds_of(y, classify=classifies)
    if folds is None:
        return None
    method = "predict_proba" if classifies else "predict"
    losses = []
    for model in baselines(y, classify=classifies).values():
        answers: Any = cross_val_predict(model, X, y, cv=folds, method=method)
        if classifies:
            chances = answers[np.arange(len(y)), np.searchsorted(np.unique(y), y)]
            losses.append(float(-np.log(np.clip(chances, PROBABILITY_MIN, 1)).mean()))
        else:
            losses.append(float(np.square(answers - y).mean()))
    return min(losses)
