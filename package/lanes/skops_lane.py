"""The skops lane: a scikit-learn model as a tree of named types and arrays.

skops builds only objects of types that it was told to trust. The list here holds the types that
scikit-learn's own estimators consist of and that compute and do nothing else; any other name in the
file refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FILE_NAME: Final = "model.skops"
TRUSTED: Final = frozenset(
    {
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyExponentialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfGammaLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss._loss.CyHalfTweedieLoss",
        "sklearn._loss._loss.CyHuberLoss",
        "sklearn._loss._loss.CyPinballLoss",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HuberLoss",
        "sklearn._loss.loss.PinballLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
    }
)

Array = npt.NDArray[Any]


def load(data: bytes, classes: Sequence[Any] | None) -> SkopsModel:
    """Check and load a model file."""
    check(data)
    import skops.io

    return SkopsModel(skops.io.loads(data, trusted=sorted(TRUSTED)), classes)


def check(data: bytes) -> None:
    """Refuse a file that names a type outside the list.

    Raises
    ------
    ValueError
        Names the first such type.
    """
    import skops.io

    if unknown := set(skops.io.get_untrusted_types(data=data)) - TRUSTED:
        raise ValueError(f"it names the type {min(unknown)!r}, which is not on the list")


class SkopsModel:
    """A scikit-learn estimator that answers with positions in the list of classes, or with numbers."""

    output_shape: tuple[int, ...] = (1,)

    def __init__(self, model: Any, classes: Sequence[Any] | None) -> None:
        self._model = model
        self._is_classifier = classes is not None
        self.input_shape: tuple[int, ...] = (int(model.n_features_in_),)
        if classes is not None and hasattr(model, "predict_proba"):
            self.predict_proba: Callable[[Array], Array] = self._probabilities
        if hasattr(model, "partial_fit"):
            self.finetune: Callable[[Array, Array], None] = self._finetune

    def predict(self, X: Array) -> Array:
        """Return positions in the list of classes, or numbers."""
        answer = self._model.predict(self._table(X))
        return np.asarray(np.searchsorted(self._model.classes_, answer) if self._is_classifier else answer)

    def _probabilities(self, X: Array) -> Array:
        return np.asarray(self._model.predict_proba(self._table(X)))

    def _finetune(self, X: Array, y: Array) -> None:
        self._model.partial_fit(self._table(X), self._model.classes_[y] if self._is_classifier else y)

    def _table(self, X: Array) -> Any:
        """Return the rows under the names of columns that the model was fitted with, if it was."""
        names = getattr(self._model, "feature_names_in_", None)
        if names is None:
            return X
        import pandas as pd

        return pd.DataFrame(X, columns=names)
