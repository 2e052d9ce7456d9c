"""Reusers that learn from labels on top of the learnwares' answers.

A small linear model reads what the learnwares answered, alone (:class:`Stacking`) or beside the searcher's
own columns (:class:`FeatureAugment`), and learns from the searcher's labels whom to trust. Its penalty is
cross-validated where there are labels enough, and fixed where there are not.

Rules of this file:

1. Probabilities enter as logarithms, floored, so that one learnware's certainty cannot drown the others.
2. A missing value is replaced by the column's mean over the *training* rows, never over the rows to predict.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfVectorizer
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
from .inputs import Array, is_text
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
        self._prepare(rows)
        steps: list[Any] = [linear_model(labels, classify=is_classifying(self))]
        if self._scaled(rows):
            steps = [SimpleImputer(keep_empty_features=True), StandardScaler(), *steps]
        self.model_: Any = make_pipeline(*steps).fit(self._features(rows), labels)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _prepare(self, rows: Array) -> None:
        """Learn what ``_features`` needs of the labelled rows."""

    def _features(self, rows: Array) -> Any:
        """Return the features of rows, (n, features), dense or sparse."""
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
    learnware dock system", KDD 2024. Texts have no columns: the words of the labelled ones stand for them, by
    tf-idf. Of images the features of their specification do. Such columns are many, and labels few, so
    that classifiers add one pooled answer of all learnwares and no column is brought to spread 1.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    """

    def _prepare(self, rows: Array) -> None:
        self.words_: Any = None
        if is_text(rows):
            words = TfidfVectorizer(stop_words="english", sublinear_tf=True, max_features=WORDS_MAX)
            with suppress(ValueError):  # its error for texts without a word: then there are only answers
                self.words_ = words.fit(rows)

    def _features(self, rows: Array) -> Any:
        if rows.ndim == 2:
            return np.hstack([rows, self._outputs(rows)])
        answers = self._pooled(rows) if is_classifying(self) else self._outputs(rows)
        if is_text(rows):
            if self.words_ is None:
                return answers
            return sparse.hstack([answers, WORDS_LENGTH * self.words_.transform(rows)]).tocsr()
        return np.hstack([answers, IMAGE_LENGTH * rows_of(rows, self._specified())])

    def _scaled(self, rows: Array) -> bool:
        return rows.ndim == 2

    def _specified(self) -> Rkme:
        """Return a specification of images, which names their extractor."""
        for member in self.learnwares_:
            if member.rkme is not None and member.rkme.kind == "image":
                return member.rkme
        raise SpecificationError(
            "Images can be augmented only by the features of a specification",
            why="no learnware has a specification of images",
            todo="Use Stacking",
            code="E-REUSE-TABLE",
        )

    def _pooled(self, rows: Array) -> Floats:
        """Return the logarithm of the learnwares' mean probabilities, over all classes that one knows."""
        classes = class_union(self.learnwares_)
        pooled = np.zeros((len(rows), len(classes)))
        for member in self.learnwares_:
            pooled += self._member_answer(member, rows, classes)
        return np.asarray(np.log(pooled / len(self.learnwares_) + POOLED_FLOOR))


POOLED_FLOOR = 1e-2
"""Added to a mean probability before its logarithm. Means of logarithms were worse on newsgroups by 0.007."""

WORDS_LENGTH = 6.0
"""Length of a text's words beside pooled log-probabilities, whose spread is about 2. On ten searchers of
newsgroups 3, 6 and 10 had an accuracy of 0.873, 0.869, 0.854 (100 labels) and 0.884, 0.886, 0.888 (500)."""

WORDS_MAX = 20_000
"""Words of the labelled texts, the most frequent ones; a few hundred texts have no more."""

IMAGE_LENGTH = 3.0
"""Length of an image's features beside pooled log-probabilities."""


def linear_model(labels: Array, *, classify: bool) -> BaseEstimator:
    """Return a ridge or logistic regression whose penalty is cross-validated where the labels allow it."""
    if not classify:
        return RidgeCV(alphas=RIDGE_ALPHAS)
    if np.unique(labels, return_counts=True)[1].min() < FOLDS_MIN:
        return LogisticRegression(C=LOGISTIC_C_DEFAULT, max_iter=1000)
    logistic = LogisticRegression(max_iter=1000)
    return GridSearchCV(logistic, {"C": LOGISTIC_CS}, scoring="neg_log_loss", cv=FOLDS_MIN)
