"""Reusers that learn from labels on top of the learnwares' answers.

A small linear model reads what the learnwares answered, alone (:class:`Stacking`) or beside the searcher's
own columns (:class:`FeatureAugment`), and learns from the searcher's labels whom to trust. Its penalty is
cross-validated where there are labels enough, and fixed where there are not.

Rules of this file:

1. Probabilities enter as logarithms, floored, so that one learnware's certainty cannot drown the others.
2. A missing value is replaced by the column's mean over the *training* rows, never over the rows to predict.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags

from skerry.errors import SpecificationError
from skerry.spec.kinds import rows_of
from skerry.spec.rkme import Rkme

from .base import Reuser, class_union, is_classifying, labels_needed
from .inputs import Array
from .learnware import Floats, Learnware
from .limits import FOLDS_MIN, PROBABILITY_FLOOR

RIDGE_ALPHAS = np.logspace(-2, 3, 11)
"""Candidate penalties on standardised features, from nearly none to nearly a constant prediction."""

LOGISTIC_CS = (0.01, 0.1, 1.0)
"""Candidate inverse penalties on standardised features."""

LOGISTIC_C_DEFAULT = 0.1
"""Inverse penalty where a class has too few rows to cross-validate: strong, since labels are few."""


class Stacked(Reuser):
    """Base of the reusers that fit a linear model on features made of the learnwares' answers."""

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Learn from the labelled rows; see :class:`Reuser`.

        Raises
        ------
        SpecificationError
            E-REUSE-LABELS without labels.
        """
        if X is None or y is None:
            raise labels_needed(self)
        rows, labels = self._start(X, y)
        if is_classifying(self):
            self.classes_: Array = np.unique(labels)
        model = linear_model(labels, classify=is_classifying(self))
        scaler = StandardScaler() if self._scaled(rows) else "passthrough"
        pipeline = make_pipeline(SimpleImputer(keep_empty_features=True), scaler, model)
        self.model_: Any = pipeline.fit(self._features(rows), labels)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _features(self, rows: Array) -> Floats:
        raise NotImplementedError

    def _scaled(self, rows: Array) -> bool:  # noqa: ARG002 - one signature
        """Return whether every feature is brought to spread 1."""
        return True

    def _answers(self, X: Any) -> Floats:
        features = self._features(self._rows(X))
        method = self.model_.predict_proba if is_classifying(self) else self.model_.predict
        return np.asarray(method(features), dtype=np.float64)

    def _outputs(self, rows: Array) -> Floats:
        """Return all learnwares' answers side by side, (n, features): log-probabilities or numbers."""
        return np.hstack([self._output(member, rows).reshape(len(rows), -1) for member in self.learnwares_])

    def _output(self, member: Learnware, rows: Array) -> Floats:
        if not is_classifying(self):
            return self._member_answer(member, rows)
        return np.log(self._member_answer(member, rows, class_union([member])) + PROBABILITY_FLOOR)


class Stacking(Stacked):
    """A linear model on the learnwares' answers alone.

    Wolpert, "Stacked generalization", Neural Networks 5, 1992; for regression Breiman, "Stacked regressions",
    Machine Learning 24, 1996. Works for tables, texts and images, since it never looks at the rows.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    """

    def _features(self, rows: Array) -> Floats:
        return self._outputs(rows)


class FeatureAugment(Stacked):
    """A linear model on the searcher's columns augmented by the learnwares' answers.

    The reuse of a model's output as a feature is described in Tan, Liu, Bi, Tan, Zhou et al., "Beimingwu: A
    learnware dock system", KDD 2024. Texts and images have no columns; the features that their specification
    is made of stand for them, and hundreds of those leave room for one pooled answer of all learnwares only.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    """

    def _features(self, rows: Array) -> Floats:
        like = self._specified()
        if like is None or like.kind == "table":
            if rows.ndim != 2:
                raise SpecificationError(
                    "Texts and images can be augmented only by the features of a specification",
                    why="no learnware has a specification of texts or images",
                    todo="Use Stacking",
                    code="E-REUSE-TABLE",
                )
            return np.hstack([rows, self._outputs(rows)])
        pooled = self._pooled(rows) if is_classifying(self) else self._outputs(rows)
        return np.hstack([pooled, EXTRACTED_LENGTH * rows_of(rows, like)])

    def _scaled(self, rows: Array) -> bool:  # noqa: ARG002 - one signature
        like = self._specified()
        return like is None or like.kind == "table" or not is_classifying(self)

    def _specified(self) -> Rkme | None:
        """Return a specification of the learnwares' kind of data."""
        return next((member.rkme for member in self.learnwares_ if member.rkme is not None), None)

    def _pooled(self, rows: Array) -> Floats:
        """Return the mean of the learnwares' log-probabilities over the classes that any of them knows."""
        classes = class_union(self.learnwares_)
        pooled = np.zeros((len(rows), len(classes)))
        for member in self.learnwares_:
            pooled += np.log(self._member_answer(member, rows, classes) + PROBABILITY_FLOOR)
        return pooled / len(self.learnwares_)


EXTRACTED_LENGTH = 3.0
"""Length of a text's or image's features beside pooled log-probabilities, whose spread is about 3."""


def linear_model(labels: Array, *, classify: bool) -> BaseEstimator:
    """Return a ridge or logistic regression whose penalty is cross-validated where the labels allow it."""
    if not classify:
        return RidgeCV(alphas=RIDGE_ALPHAS)
    if np.unique(labels, return_counts=True)[1].min() < FOLDS_MIN:
        return LogisticRegression(C=LOGISTIC_C_DEFAULT, max_iter=1000)
    logistic = LogisticRegression(max_iter=1000)
    return GridSearchCV(logistic, {"C": LOGISTIC_CS}, scoring="neg_log_loss", cv=FOLDS_MIN)
