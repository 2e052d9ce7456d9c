"""scikit-learn's base classes, with types: the library ships none, and what derives from Any is Any.

At run time these are scikit-learn's own classes. For a type checker they are declared with the methods that
people call on our estimators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:

    class BaseEstimator:
        """What every estimator has."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's signature
            """Return the parameters of the constructor by name."""
            ...

        def set_params(self, **params: Any) -> Self:
            """Set parameters of the constructor and return the estimator."""
            ...

        def __sklearn_tags__(self) -> Any:
            """Return scikit-learn's tags."""
            ...

    class ClassifierMixin:
        """A classifier's score."""

        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            """Return the accuracy on rows X (n, d) with labels y (n,)."""
            ...

    class RegressorMixin:
        """A regressor's score."""

        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            """Return the coefficient of determination on rows X (n, d) with targets y (n,)."""
            ...
else:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

__all__ = ["BaseEstimator", "ClassifierMixin", "RegressorMixin"]
