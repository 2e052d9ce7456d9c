"""The Python source that goes into packages: what the reference engine, and our python lane, run.

A template depends on numpy, ``learnware.model.BaseModel`` and the library of its lane alone. ``predict`` of
a classifier answers with positions in the list of classes, from 0, as the reference's format has it;
``skerry.json`` says which labels they stand for. In the safe lanes our own worker reads the model file
itself and never runs this source.
"""

from __future__ import annotations

from typing import Final

from .format import Lane

_HEAD: Final = '''"""A model as published by its owner with Skerry."""

import os

import numpy as np
from learnware.model import BaseModel


class Model(BaseModel):
    def __init__(self, input_shape, output_shape, columns=None, classes=None):
        super().__init__(input_shape=tuple(input_shape), output_shape=tuple(output_shape))
        self.columns = columns
        self.classes = classes
        folder = os.path.dirname(os.path.abspath(__file__))
        self.model = self._load(folder)

    def _table(self, X):
        if self.columns is None:
            return X
        import pandas

        return pandas.DataFrame(X, columns=self.columns)
'''

_LOAD: Final = {
    "python": """
    def _load(self, folder):
        import pickle

        with open(os.path.join(folder, "model.pkl"), "rb") as file:
            return pickle.load(file)
""",
    "skops": """
    def _load(self, folder):
        import skops.io

        path = os.path.join(folder, "model.skops")
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
""",
    "onnx": """
    def _load(self, folder):
        import onnxruntime

        path = os.path.join(folder, "model.onnx")
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def _run(self, X, output):
        values = np.asarray(X, dtype=np.float32)
        names = [each.name for each in self.model.get_outputs()]
        return np.asarray(self.model.run([names[output]], {self.model.get_inputs()[0].name: values})[0])
""",
    "lightgbm": """
    def _load(self, folder):
        import lightgbm

        return lightgbm.Booster(model_file=os.path.join(folder, "model.txt"))

    def _scores(self, X):
        scores = np.asarray(self.model.predict(X))
        return scores if self.classes is None or scores.ndim > 1 else np.column_stack([1 - scores, scores])
""",
}

_ESTIMATOR_NUMBERS: Final = """
    def predict(self, X):
        return np.asarray(self.model.predict(self._table(X)))
"""
_ESTIMATOR_CLASSES: Final = """
    def predict(self, X):
        return np.searchsorted(self.model.classes_, self.model.predict(self._table(X)))
"""
_ESTIMATOR_PROBABILITIES: Final = """
    def predict_proba(self, X):
        return np.asarray(self.model.predict_proba(self._table(X)))
"""
_ESTIMATOR_FINETUNE_NUMBERS: Final = """
    def finetune(self, X, y):
        self.model.partial_fit(self._table(X), y)
"""
_ESTIMATOR_FINETUNE_CLASSES: Final = """
    def finetune(self, X, y):
        self.model.partial_fit(self._table(X), self.model.classes_[np.asarray(y, dtype=int)])
"""
_ONNX_NUMBERS: Final = """
    def predict(self, X):
        answer = self._run(X, 0)
        return answer.reshape(len(answer), -1)
"""
_ONNX_CLASSES: Final = """
    def predict(self, X):
        positions = {label: position for position, label in enumerate(self.classes)}
        return np.asarray([positions[label] for label in self._run(X, 0).ravel().tolist()])
"""
_ONNX_PROBABILITIES: Final = """
    def predict_proba(self, X):
        return self._run(X, -1)
"""
_LIGHTGBM_NUMBERS: Final = """
    def predict(self, X):
        return self._scores(X)
"""
_LIGHTGBM_CLASSES: Final = """
    def predict(self, X):
        return self._scores(X).argmax(axis=1)
"""
_LIGHTGBM_PROBABILITIES: Final = """
    def predict_proba(self, X):
        return self._scores(X)
"""

_ESTIMATOR: Final = {
    ("predict", False): _ESTIMATOR_NUMBERS,
    ("predict", True): _ESTIMATOR_CLASSES,
    ("predict_proba", True): _ESTIMATOR_PROBABILITIES,
    ("finetune", False): _ESTIMATOR_FINETUNE_NUMBERS,
    ("finetune", True): _ESTIMATOR_FINETUNE_CLASSES,
}
_METHODS: Final[dict[str, dict[tuple[str, bool], str]]] = {
    "python": _ESTIMATOR,
    "skops": _ESTIMATOR,
    "onnx": {
        ("predict", False): _ONNX_NUMBERS,
        ("predict", True): _ONNX_CLASSES,
        ("predict_proba", True): _ONNX_PROBABILITIES,
    },
    "lightgbm": {
        ("predict", False): _LIGHTGBM_NUMBERS,
        ("predict", True): _LIGHTGBM_CLASSES,
        ("predict_proba", True): _LIGHTGBM_PROBABILITIES,
    },
}


def offered(lane: Lane, methods: tuple[str, ...], *, classifier: bool) -> tuple[str, ...]:
    """Return those of a model's methods that it keeps in a lane."""
    return tuple(name for name in methods if (name, classifier) in _METHODS[lane])


def source(lane: Lane, methods: tuple[str, ...], *, classifier: bool) -> str:
    """Return the ``__init__.py`` for a model that lies beside it in the file of its lane."""
    parts = [_METHODS[lane][name, classifier] for name in offered(lane, methods, classifier=classifier)]
    return "".join([_HEAD, _LOAD[lane], *parts])
