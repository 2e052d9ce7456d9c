"""A learnware as a fitted scikit-learn estimator: what ``hit.estimator()`` returns.

A *predictor* is whatever runs a model: a sandboxed worker with the model inside, or a plain estimator
of this process. A learnware puts the predictor, the specification and the column names together and
behaves like any fitted estimator, so that pipelines, scorers and the reusers of this component need
not know where the model runs.

Rules of this file:

1. A learnware is frozen, like :class:`sklearn.frozen.FrozenEstimator`: ``fit`` changes nothing and a clone
   is the learnware itself. The model is its owner's, and a running worker cannot be copied.
2. Columns are put into the model's order by name (see ``inputs.py``); NaN is passed on.
3. What the predictor answers is validated by shape before anything is computed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.utils import Tags

from skerry.errors import SandboxError, SpecificationError
from skerry.spec import Rkme

from .estimators import BaseEstimator, ClassifierMixin, RegressorMixin
from .inputs import Array, as_array

Floats = npt.NDArray[np.float64]

SUM_TOLERANCE = 1e-3
"""How far probabilities in single precision may sum beside 1."""


class Predictor(Protocol):
    """Runs a model. May also have ``predict_proba(X)``, (n, classes), and ``classes``, their names."""

    def predict(self, X: Array, /) -> Array:
        """Return labels (n,), scores (n, classes), or numbers (n,) or (n, targets)."""
        ...


class Learnware(BaseEstimator):
    """What classifiers and regressors share: a frozen model with its specification.

    Parameters
    ----------
    predictor
        Runs the model on an array in the model's own column order.
    rkme
        The learnware's statistical specification; None where it has none, which rules out routing.
    columns
        Names of the model's columns in its order; by default those of the specification.
    """

    def __init__(
        self, predictor: Predictor, *, rkme: Rkme | None = None, columns: Sequence[str] | None = None
    ) -> None:
        self.predictor = predictor
        self.rkme = rkme
        self.columns = columns

    def fit(self, X: Any = None, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Do nothing: the model was trained by its owner."""
        return self

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.three_d_array = True
        return tags

    def predict(self, X: Any) -> Array:
        """Return the model's answers for X, one a row; what they are the two kinds of learnware say."""
        raise NotImplementedError

    @property
    def columns_(self) -> tuple[str, ...] | None:
        """Names of the model's columns in its order, or None."""
        if self.columns is not None:
            return tuple(self.columns)
        named = None if self.rkme is None else self.rkme.columns
        return None if named is None else tuple(column.name for column in named)

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the model's columns; missing, as scikit-learn wants it, where it has none."""
        if self.columns_ is None:
            raise AttributeError("feature_names_in_")
        return np.array(self.columns_, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of columns that the model takes; missing where it is not known."""
        if self.columns_ is not None:
            return len(self.columns_)
        if self.rkme is None or self.rkme.kind != "table":
            raise AttributeError("n_features_in_")
        return self.rkme.dimension

    def _answer(self, method: str, X: Any) -> Array:
        """Return what the predictor answers, one row per row of X."""
        rows = as_array(X, self.columns_)
        answer = np.asarray(getattr(self.predictor, method)(rows))
        if answer.ndim not in (1, 2) or len(answer) != len(rows):
            raise SandboxError(
                f"The model answered {method} with the wrong shape",
                where=f"{answer.shape} for {len(rows)} rows",
                todo="Tell the owner of the learnware",
                code="E-REUSE-SHAPE",
            )
        return answer


class LearnwareRegressor(RegressorMixin, Learnware):
    """A learnware that predicts numbers."""

    def predict(self, X: Any) -> Floats:
        """Return the model's predictions for X, (n,) or (n, targets) float64."""
        numbers = self._answer("predict", X).astype(np.float64)
        return numbers[:, 0] if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers


class LearnwareClassifier(ClassifierMixin, Learnware):
    """A learnware that predicts classes.

    Parameters
    ----------
    predictor, rkme, columns
        See :class:`Learnware`.
    classes
        Names of the classes in the order of the model's scores; by default what the predictor says.

    Raises
    ------
    SpecificationError
        E-REUSE-CLASSES, when a prediction is asked for and nobody knows the classes.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        rkme: Rkme | None = None,
        columns: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(predictor, rkme=rkme, columns=columns)
        self.classes = classes

    @property
    def classes_(self) -> Array:
        """Names of the classes in the order of the columns of ``predict_proba``."""
        for names in (
            self.classes,
            getattr(self.predictor, "classes", None),
            getattr(self.predictor, "classes_", None),
        ):
            if names is not None:
                return np.asarray(names)
        raise SpecificationError(
            "The classes of a learnware are not known",
            why="neither its package nor its predictor names them",
            todo="Pass classes=, in the order of the model's scores",
            code="E-REUSE-CLASSES",
        )

    def predict(self, X: Any) -> Array:
        """Return the model's labels for X, (n,); of scores the label of the largest."""
        answer = self._answer("predict", X)
        if answer.ndim == 2 and answer.shape[1] == 1:
            answer = answer[:, 0]
        return answer if answer.ndim == 1 else self.classes_[self._scores(answer).argmax(axis=1)]

    def predict_proba(self, X: Any) -> Floats:
        """Return class probabilities for X, (n, classes) float64.

        They are the model's own where it offers them. Otherwise they are made of what it predicts: scores
        by the softmax function, and a label gets probability 1.
        """
        if offers(self.predictor, "predict_proba"):
            return self._scores(self._answer("predict_proba", X))
        answer = self._answer("predict", X)
        if answer.ndim == 1 or answer.shape[1] == 1:
            return one_hot(answer.reshape(-1), self.classes_)
        scores = self._scores(answer)
        return scores if is_probability(scores) else softmax(scores, axis=1)

    def _scores(self, answer: Array) -> Floats:
        if answer.ndim != 2 or answer.shape[1] != len(self.classes_):
            raise SandboxError(
                "The model answered with the wrong number of classes",
                where=f"{answer.shape} for {len(self.classes_)} classes",
                todo="Tell the owner of the learnware",
                code="E-REUSE-SHAPE",
            )
        return answer.astype(np.float64)


def offers(predictor: Predictor, method: str) -> bool:
    """Return whether a predictor's model has a method; a worker has them all and says which work."""
    return method in getattr(predictor, "methods", (method,)) and hasattr(predictor, method)


def is_probability(scores: Floats) -> bool:
    """Return whether every row is not negative and sums to 1, within rounding."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=SUM_TOLERANCE))


def one_hot(labels: Array, classes: Array) -> Floats:
    """Return 1 at each row's label and 0 elsewhere, (n, classes); zeros for a label that is no class."""
    if classes.dtype.kind == "U":
        labels = np.asarray(labels, dtype=str)
    return np.asarray(labels[:, None] == classes[None, :], dtype=np.float64)


def as_estimator(
    predictor: Predictor,
    rkme: Rkme | None = None,
    *,
    classes: Sequence[Any] | None = None,
    columns: Sequence[str] | None = None,
    task: str = "",
) -> LearnwareClassifier | LearnwareRegressor:
    """Return a learnware as a fitted estimator of the right kind.

    Parameters
    ----------
    predictor, rkme, columns, classes
        See :class:`LearnwareClassifier`.
    task
        ``"classification"`` or ``"regression"``; without it, whoever has classes is a classifier.
    """
    named = any(getattr(predictor, name, None) is not None for name in ("classes", "classes_"))
    if task.lower() == "classification" or (not task and (classes is not None or named)):
        return LearnwareClassifier(predictor, rkme=rkme, columns=columns, classes=classes)
    return LearnwareRegressor(predictor, rkme=rkme, columns=columns)
