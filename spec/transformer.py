"""The RKME as a scikit-learn transformer, for pipelines that want its points as features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .backend import filled
from .fit import fit_table
from .metric import Scale, kernel_block
from .rkme import Floats, Rkme
from .table import read_table, refusal

if TYPE_CHECKING:
    from typing import Self

    class BaseEstimator:
        """scikit-learn's, with types: the library ships none, and what derives from Any is Any."""

    class TransformerMixin:
        """scikit-learn's, as above."""

else:
    from sklearn.base import BaseEstimator, TransformerMixin


class RkmeTransformer(TransformerMixin, BaseEstimator):
    """Fit an RKME and describe rows by their kernel values at its points.

    Parameters
    ----------
    size, gamma, seed
        As in ``fit_table``.

    Attributes
    ----------
    rkme_
        The fitted RKME, which may be published.
    n_features_in_
        Columns seen in ``fit``.
    """

    def __init__(self, size: int | None = None, gamma: float | None = None, seed: int = 0) -> None:
        self.size = size
        self.gamma = gamma
        self.seed = seed

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Fit the RKME to rows (n, d)."""
        self.rkme_: Rkme = fit_table(X, self.size, self.gamma, self.seed)
        self.n_features_in_: int = self.rkme_.dimension
        return self

    def transform(self, X: Any) -> Floats:
        """Return kernel values (n, K) float64 of rows (n, d) at the points, in the fitted data's scale."""
        check_is_fitted(self)
        values = read_table(X).values
        if values.shape[1] != self.n_features_in_:
            raise refusal("X", f"{values.shape[1]} columns, {self.n_features_in_} were fitted")
        scale = Scale.of(self.rkme_) if self.gamma is None else Scale.raw(values.shape[1], self.gamma)
        rows = filled(scale, values, np.float64)
        return kernel_block(rows, scale.embed_rkme(self.rkme_), scale.gamma)

    def get_feature_names_out(self, input_features: object = None) -> Any:  # noqa: ARG002 - scikit-learn's
        """Return a name for each point."""
        check_is_fitted(self)
        return np.array([f"point{index}" for index in range(len(self.rkme_))], dtype=object)
