"""Reusers that pool: every learnware answers, and a share says how much each answer counts.

The pooled answer to row x is ``sum_i share_i(x) answer_i(x)``, where an answer is a vector of class
probabilities or a number. The reusers of this file, of ``selector.py`` and of ``pruning.py`` differ only in
their shares.

Rules of this file:

1. Shares are not negative and sum to 1 in every row.
2. A learnware is asked about the rows in which it has a share, and no others.
3. Answers are added up one learnware after the other: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from skerry.spec.kinds import rows_of
from skerry.spec.metric import Scale
from skerry.spec.mixing import mix, responsibility
from skerry.spec.ranking import rank
from skerry.spec.rkme import Rkme

from .base import Reuser, misfit, requirement_of
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
        pooled: Floats = np.zeros(len(rows))
        for member, share in zip(self.learnwares_, self._shares(rows).T, strict=True):
            asked = np.flatnonzero(share)
            if len(asked):
                answer = self._member_answer(member, rows[asked], votes=self._votes)
                if pooled.shape[1:] != answer.shape[1:]:
                    pooled = np.zeros((len(rows), *answer.shape[1:]))
                pooled[asked] += (answer.T * share[asked]).T
        return pooled


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


class Specified(Pool):
    """Base of the pools that look at specifications: what the searcher's data say about each learnware."""

    def __init__(
        self,
        learnwares: Sequence[Any] = (),
        *,
        weights: Sequence[float] | None = None,
        requirement: Rkme | None = None,
    ) -> None:
        super().__init__(learnwares)
        self.weights = weights
        self.requirement = requirement

    def _fit_shares(self, rows: Array | None, labels: Array | None) -> None:  # noqa: ARG002 - one signature
        self.weights_: Floats = self._mix_weights(rows) if self.weights is None else self._given_weights()

    def _given_weights(self) -> Floats:
        """Return the weights parameter as shares."""
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(self.learnwares_),) or not (weights >= 0).all() or not weights.any():
            raise ValueError(
                f"weights={self.weights!r}: one per learnware is needed, none negative, not all 0"
            )
        shares: Floats = weights / weights.sum()
        return shares

    def _mix_weights(self, rows: Array | None) -> Floats:
        """Return the weights that bring the learnwares' specifications closest to the searcher's data."""
        found = mix(self._requirement(rows), self._rkmes(), method="simplex")
        weights = np.zeros(len(self.learnwares_))
        weights[found.indices] = found.weights
        return weights

    def _requirement(self, rows: Array | None) -> Rkme:
        return requirement_of(self, self.requirement, rows)

    def _rkmes(self) -> list[Rkme]:
        """Return the learnwares' specifications, whose columns must be those of the rows, in their order."""
        for member in self.learnwares_:
            names = list(getattr(self, "feature_names_in_", ())) or None
            if member.rkme is None:
                raise misfit("one has no statistical specification")
            if names and member.columns_ is not None and list(member.columns_) != names:
                raise misfit("their columns differ, so that their specifications cannot be compared")
        return [member.rkme for member in self.learnwares_ if member.rkme is not None]


class Weighted(Specified):
    """The average weighted by how much of the searcher's data each learnware accounts for.

    The weights are those of the mixture of specifications that comes closest to the searcher's own: the
    instance-recurrent assumption of Wu, Xu, Liu and Zhou, "Model reuse with reduced kernel mean embedding
    specification", TKDE 2021. No labels are needed.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    weights
        One per learnware, such as ``hits.mix.weights``; by default found from the requirement.
    requirement
        The specification of the searcher's data; by default made of the rows given to ``fit``.

    Attributes
    ----------
    weights_
        (learnwares,) float64, summing to 1.
    """

    def _shares(self, rows: Array) -> Floats:
        return np.broadcast_to(self.weights_, (len(rows), len(self.weights_)))


class Routed(Specified):
    """The average weighted row by row: whoever saw such rows in training counts more.

    A learnware's share of a row is its *responsibility*, ``r_i(x) = w_i mu_i(x) / sum_j w_j mu_j(x)``, where
    ``mu_i`` is the kernel mean embedding of its training data: the posterior of the row's origin in a mixture
    of kernel densities, which weights the answers as a mixture of experts does (Jacobs, Jordan, Nowlan and
    Hinton, "Adaptive mixtures of local experts", Neural Computation 3, 1991). This is the default answer of a
    search; no labels are needed.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    weights
        How much each learnware counts before the row is seen, such as ``hits.mix.weights``; by default equal.
    requirement
        The specification of the searcher's data, which sets the metric; by default made of the rows given
        to ``fit``.
    nearest
        Without weights, only so many of the nearest learnwares are asked. (On 48 windows of twelve air
        stations the fifteen nearest of 44 had 0.87 of the error of the plain average, all of them 0.91.)
    sharpness
        The kernel's gamma, as a multiple of the searcher's metric. The median heuristic compares whole
        distributions; a density in which rows of two clusters are told apart wants a narrower kernel. (Of
        1, 2, 4, 8, 16 and 32 the best were 4 and 8 alike on nine users of digits, wine and tumours, accuracy
        0.971 and 0.975 against 0.955 at 1; on air stations, error 21.8 and 21.7 against 22.0; and on four
        hospitals, AUC 0.808 and 0.808 against 0.806.)

    Attributes
    ----------
    weights_
        (learnwares,) float64, summing to 1.
    """

    def __init__(
        self,
        learnwares: Sequence[Any] = (),
        *,
        weights: Sequence[float] | None = None,
        requirement: Rkme | None = None,
        nearest: int = 15,
        sharpness: float = 4.0,
    ) -> None:
        super().__init__(learnwares, weights=weights, requirement=requirement)
        self.nearest = nearest
        self.sharpness = sharpness

    def _fit_shares(self, rows: Array | None, labels: Array | None) -> None:  # noqa: ARG002 - one signature
        requirement = self._requirement(rows)
        scale = Scale.of(requirement)
        self.scale_: Scale = replace(scale, gamma=self.sharpness * scale.gamma)
        self.weights_: Floats = self._prior(requirement) if self.weights is None else self._given_weights()

    def _prior(self, requirement: Rkme) -> Floats:
        """Return equal weights of the nearest learnwares."""
        rkmes = self._rkmes()
        chosen = rank(requirement, rkmes, k=min(self.nearest, len(rkmes))).indices
        prior = np.zeros(len(rkmes))
        prior[chosen] = 1 / len(chosen)
        return prior

    def _shares(self, rows: Array) -> Floats:
        rkmes = self._rkmes()
        return np.asarray(responsibility(rows_of(rows, rkmes[0]), rkmes, self.weights_, self.scale_))
