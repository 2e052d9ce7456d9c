"""Inside a worker: a pickled estimator that says what it is and turns itself into the format of a lane.

A pickle given by path is code of whoever wrote it, so it is opened here, in the sandbox, and nowhere
else. What it says goes back as data: JSON on one line, then the bytes of the model file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .convert import convert, pickled
from .format import Agreement, Lane
from .frames import Array
from .inspecting import ModelFacts, inspect_estimator


class Opened(msgspec.Struct, frozen=True):
    """The line before the model file: what the model says of itself, and how it was kept."""

    facts: ModelFacts
    lane: Lane
    agreement: Agreement | None
    reason: str


class OpenedModel:
    """A pickled estimator; ``joblib``'s own files are read too where joblib is installed.

    Parameters
    ----------
    path
        The pickle.
    """

    input_shape = None
    output_shape = None

    def __init__(self, path: Path) -> None:
        try:
            import joblib
        except ImportError:
            self._model = pickle.loads(path.read_bytes())  # noqa: S301 - inside the sandbox, which is what it is for
        else:
            self._model = joblib.load(path)
        if hasattr(self._model, "predict_proba"):
            self.predict_proba: Callable[[Array], Array] = self._predict_proba

    def predict(self, X: Array) -> Any:
        """Return the estimator's own answers."""
        return self._model.predict(self._table(X))

    def _predict_proba(self, X: Array) -> Any:
        return self._model.predict_proba(self._table(X))

    def convert(self, X: Array, asked: Array) -> Array:
        """Return the model in the safest lane, or in the python lane if that is `asked`, with its facts."""
        rows = self._table(X)
        facts = inspect_estimator(self._model, rows)
        kept = (
            pickled(self._model, "asked for") if asked.item() else convert(self._model, rows, facts.classes)
        )
        head = msgspec.json.encode(Opened(facts, kept.lane, kept.agreement, kept.reason))
        return np.frombuffer(head + b"\n" + kept.data, np.uint8)

    def _table(self, X: Array) -> Any:
        names = getattr(self._model, "feature_names_in_", None)
        if names is None:
            return X
        if X.shape[1] != len(names):
            raise ValueError(
                f"it was fitted on {len(names)} columns and these rows have {X.shape[1]}; "
                "the column with the labels is named by --target"
            )
        import pandas as pd

        return pd.DataFrame(X, columns=names)
