"""The base class of a package's model, with the interface of the reference engine."""

from __future__ import annotations

from typing import Any


class BaseModel:
    """A model of one package.

    Parameters
    ----------
    input_shape
        Shape of one row; None when it varies.
    output_shape
        Shape of one answer; ``(1,)`` for labels and single numbers.
    """

    def __init__(self, input_shape: Any = None, output_shape: Any = None) -> None:
        self.input_shape = input_shape
        self.output_shape = output_shape

    def predict(self, X: Any) -> Any:
        """Return one answer a row of `X`."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Any:
        """Fit the model anew."""
        raise NotImplementedError

    def finetune(self, X: Any, y: Any) -> Any:
        """Adjust the fitted model to more rows."""
        raise NotImplementedError
