"""The lightgbm lane: trees in LightGBM's own text format.

The text holds numbers and the name of an objective, which says what becomes of the sum of the trees.
A name outside the list (a custom objective, whose code is not in the file) refuses the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FILE_NAME: Final = "model.txt"
OBJECTIVES: Final = frozenset(
    {
        *("binary", "cross_entropy", "multiclass", "multiclassova"),
        *("fair", "gamma", "huber", "mape", "poisson", "quantile", "regression", "regression_l1", "tweedie"),
    }
)
_HEAD_CHARACTERS: Final = 64 * 1024

Array = npt.NDArray[Any]


def load(data: bytes, classes: Sequence[Any] | None) -> LightgbmModel:
    """Check and load a model file."""
    text = data.decode()
    check(text)
    return LightgbmModel(text, classes)


def check(text: str) -> None:
    """Refuse a text that is no LightGBM model or names an objective outside the list.

    Raises
    ------
    ValueError
        Says which.
    """
    if not text.startswith("tree\nversion=v"):
        raise ValueError("the file is no LightGBM model")
    found = re.search(r"^objective=(\w+)", text[:_HEAD_CHARACTERS], re.MULTILINE)
    objective = found[1] if found else "none"
    if objective not in OBJECTIVES:
        raise ValueError(f"its objective {objective!r} is not on the list")


class LightgbmModel:
    """A booster that answers with positions in the list of classes, or with numbers."""

    output_shape: tuple[int, ...] = (1,)

    def __init__(self, text: str, classes: Sequence[Any] | None) -> None:
        import lightgbm

        self._booster = lightgbm.Booster(model_str=text)
        self.input_shape: tuple[int, ...] = (self._booster.num_feature(),)
        self._is_classifier = classes is not None
        if self._is_classifier:
            self.predict_proba: Callable[[Array], Array] = self._probabilities

    def predict(self, X: Array) -> Array:
        """Return positions in the list of classes, or numbers."""
        return np.asarray(self._probabilities(X).argmax(axis=1) if self._is_classifier else self._scores(X))

    def _probabilities(self, X: Array) -> Array:
        scores = self._scores(X)
        return scores if scores.ndim > 1 else np.column_stack([1 - scores, scores])

    def _scores(self, X: Array) -> Array:
        return np.asarray(self._booster.predict(np.asarray(X, dtype=np.float64)))
