"""Choosing one learnware for each row, by a classifier that never saw anybody's data.

A specification stands for the training data behind it, so rows can be drawn from it by kernel herding. Rows
drawn from all specifications, labelled by where they came from, train a classifier that tells for a new row
whose data it looks like; that learnware alone answers.

How many rows each learnware contributes follows the mixture weights of the searcher's data, so that the
classifier's prior is the searcher's own. Extremely randomised trees need no scaling and no tuning; a boosted
ensemble with early stopping takes minutes for the same decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from skerry.spec.kinds import rows_of
from skerry.spec.rkme import Rkme

from .inputs import Array
from .learnware import Floats
from .limits import HERDED_ROWS_MIN
from .pooling import Specified


class JobSelector(Specified):
    """Ask, for each row, the one learnware whose data it looks like.

    Wu, Xu, Liu and Zhou, "Model reuse with reduced kernel mean embedding specification", TKDE 2021
    (instance-recurrent assumption); Chen, Welling and Smola, "Super-samples from kernel herding", UAI 2010.
    No labels are needed.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    weights
        One per learnware, such as ``hits.mix.weights``; by default found from the requirement.
    requirement
        The specification of the searcher's data; by default made of the rows given to ``fit``.
    herded
        Rows drawn from the specifications in all.
    trees
        Trees of the classifier.
    random_state
        Seed of the drawing and of the trees.

    Attributes
    ----------
    weights_
        (learnwares,) float64, summing to 1: the share of the drawn rows.
    """

    def __init__(
        self,
        learnwares: Sequence[Any] = (),
        *,
        weights: Sequence[float] | None = None,
        requirement: Rkme | None = None,
        herded: int = 300,
        trees: int = 100,
        random_state: int = 0,
    ) -> None:
        super().__init__(learnwares, weights=weights, requirement=requirement)
        self.herded = herded
        self.trees = trees
        self.random_state = random_state

    def _fit_shares(self, rows: Array | None, labels: Array | None) -> None:
        super()._fit_shares(rows, labels)
        rkmes, origins = self._rkmes(), np.flatnonzero(self.weights_)
        drawn = [
            rkmes[origin].herd(self._rows_from(self.weights_[origin]), self.random_state)
            for origin in origins
        ]
        trees = ExtraTreesClassifier(n_estimators=self.trees, random_state=self.random_state)
        counts = [len(part) for part in drawn]
        self.selector_: Any = trees.fit(np.concatenate(drawn), np.repeat(origins, counts))

    def _rows_from(self, weight: float) -> int:
        return max(HERDED_ROWS_MIN, round(self.herded * weight))

    def _shares(self, rows: Array) -> Floats:
        chosen = self.selector_.predict(rows_of(rows, self._rkmes()[0]))
        return np.asarray(chosen[:, None] == np.arange(len(self.learnwares_)), dtype=np.float64)
