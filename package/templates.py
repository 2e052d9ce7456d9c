"""The Python source that goes into packages: what the reference engine, and our python lane, run.

A template depends on numpy and ``learnware.model.BaseModel`` alone. ``predict`` of a classifier answers
with positions in the list of classes, from 0, as the reference's format has it; ``skerry.json`` says
which labels they stand for.
"""

from __future__ import annotations

from typing import Final

_HEAD: Final = '''"""A model as published by its owner with Skerry."""

import os
import pickle

import numpy as np
from learnware.model import BaseModel


class Model(BaseModel):
    def __init__(self, input_shape, output_shape, columns=None):
        super().__init__(input_shape=tuple(input_shape), output_shape=tuple(output_shape))
        self.columns = columns
        folder = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(folder, "model.pkl"), "rb") as file:
            self.model = pickle.load(file)

    def _table(self, X):
        if self.columns is None:
            return X
        import pandas

        return pandas.DataFrame(X, columns=self.columns)
'''

_PREDICT_NUMBERS: Final = """
    def predict(self, X):
        return np.asarray(self.model.predict(self._table(X)))
"""

_PREDICT_CLASSES: Final = """
    def predict(self, X):
        return np.searchsorted(self.model.classes_, self.model.predict(self._table(X)))
"""

_PREDICT_PROBABILITIES: Final = """
    def predict_proba(self, X):
        return np.asarray(self.model.predict_proba(self._table(X)))
"""

_FINETUNE_NUMBERS: Final = """
    def finetune(self, X, y):
        self.model.partial_fit(self._table(X), y)
"""

_FINETUNE_CLASSES: Final = """
    def finetune(self, X, y):
        self.model.partial_fit(self._table(X), self.model.classes_[np.asarray(y, dtype=int)])
"""


def pickled_model(*, classifier: bool, probabilities: bool, finetune: bool) -> str:
    """Return the ``__init__.py`` for a model that lies beside it as ``model.pkl``."""
    parts = [_HEAD, _PREDICT_CLASSES if classifier else _PREDICT_NUMBERS]
    if probabilities:
        parts.append(_PREDICT_PROBABILITIES)
    if finetune:
        parts.append(_FINETUNE_CLASSES if classifier else _FINETUNE_NUMBERS)
    return "".join(parts)
