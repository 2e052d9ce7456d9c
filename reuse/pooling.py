"""Reusers that pool: every learnware answers, and a share says how much each answer counts.

The pooled answer to row x is ``sum_i share_i(x) answer_i(x)``, where an answer is a vector of class
probabilities or a number. The reusers of this file, of ``selector.py`` and of ``pruning.py`` differ only in
their shares.

Rules of this file:

1. Shares are not negative and sum to 1 in every row.
2. Answers are added up one learnware after the other: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .base import Reuser
from .inputs import Array
from .learnware import Floats


class Pool(Reuser):
    """Base of the pooling reusers: ``fit`` prepares, ``_shares`` says how much each learnware counts."""

    @property
    def _votes(self) -> bool:
        """Whether a classifier counts by its label alone."""
        return False

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Get ready to predict; see :class:`Reuser`."""
        rows, labels = self._start(X, y)
        self._fit_shares(rows, labels)
        return self

    def _fit_shares(self, rows: Array | None, labels: Array | None) -> None:
        """Learn what ``_shares`` needs."""

    def _shares(self, rows: Array) -> Floats:
        """Return the share of each learnware in each row, (n, learnwares)."""
        raise NotImplementedError

    def _answers(self, X: Any) -> Floats:
        rows = self._rows(X)
        pooled: Floats | float = 0.0
        for member, share in zip(self.learnwares_, self._shares(rows).T, strict=True):
            if share.any():
                answer = self._member_answer(member, rows, votes=self._votes)
                pooled = pooled + (answer.T * share).T
        return np.asarray(pooled)


class Average(Pool):
    """The plain average: the mean of the predictions, of the probabilities, or of the votes.

    Needs neither labels nor rows: ``Average(learnwares).fit()`` is ready. Averaging independent models
    lowers the variance of their error (Breiman, "Bagging predictors", Machine Learning 24, 1996).

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    vote
        ``"probability"``: the mean of the class probabilities. ``"label"``: each learnware has one vote,
        ties go to the class that sorts first. Regressors always take the mean.
    """

    def __init__(self, learnwares: Sequence[Any] = (), *, vote: str = "probability") -> None:
        super().__init__(learnwares)
        self.vote = vote

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Get ready to predict; see :class:`Reuser`. Neither rows nor labels are needed."""
        if self.vote not in ("probability", "label"):
            raise ValueError(f"vote={self.vote!r} is neither 'probability' nor 'label'")
        return super().fit(X, y)

    @property
    def _votes(self) -> bool:
        return self.vote == "label"

    def _shares(self, rows: Array) -> Floats:
        return np.full((len(rows), len(self.learnwares_)), 1 / len(self.learnwares_))
