"""The onnx lane: a graph of standard operators in one file.

Refused before the runtime sees the file: operators of other domains than ONNX's own two (a runtime
loads code for them), functions defined in the model, tensors in other files (they name any path), and
graphs nested too deep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FILE_NAME: Final = "model.onnx"
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
GRAPH_DEPTH_MAX: Final = 16
"""Graphs within graphs; loops in real models nest two or three deep."""

Array = npt.NDArray[Any]
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(string)": np.str_,
}


def load(data: bytes, classes: Sequence[Any] | None) -> OnnxModel:
    """Check and load a model file."""
    check(data)
    return OnnxModel(data, classes)


def check(data: bytes) -> None:
    """Refuse a model that does more than standard operators on its own numbers.

    Raises
    ------
    ValueError
        It is no ONNX model, or holds what this lane refuses; says what.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # ships without types

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ValueError("the file is no ONNX model") from error
    if model.functions:
        raise ValueError(f"it defines a function of its own, {model.functions[0].name!r}")
    if foreign := {entry.domain for entry in model.opset_import} - DOMAINS:
        raise ValueError(f"it imports operators of the domain {min(foreign)!r}")
    if model.training_info:
        raise ValueError("it holds training graphs")
    for graph in _graphs(model.graph, 0):
        _check_graph(graph)


def _graphs(graph: Any, depth: int) -> Iterator[Any]:
    if depth > GRAPH_DEPTH_MAX:
        raise ValueError(f"its graphs are nested over {GRAPH_DEPTH_MAX} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _graphs(inner, depth + 1)


def _check_graph(graph: Any) -> None:
    import onnx

    tensors = [*graph.initializer]
    for sparse in graph.sparse_initializer:
        tensors += [sparse.values, sparse.indices]
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise ValueError(f"it uses the operator {node.op_type!r} of the domain {node.domain!r}")
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(f"its tensor {tensor.name!r} lies in another file")


class OnnxModel:
    """A model whose first output are labels or numbers, and whose second, if any, are probabilities."""

    output_shape: tuple[int, ...] = (1,)

    def __init__(self, data: bytes, classes: Sequence[Any] | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            raise ValueError("it does not take one table of numbers or strings")
        self._input = inputs[0].name
        self._type = _TYPES[inputs[0].type]
        self._outputs = [output.name for output in outputs]
        self._classes = None if classes is None else list(classes)
        self.input_shape: tuple[Any, ...] = tuple(size for size in inputs[0].shape[1:])
        if self._has_probabilities():
            self.predict_proba: Callable[[Array], Array] = self._probabilities

    def predict(self, X: Array) -> Array:
        """Return positions in the list of classes, or numbers."""
        answer = self._run(self._outputs[0], X)
        if self._classes is None:
            return answer.reshape(len(answer), -1).squeeze(1) if answer.size == len(answer) else answer
        if answer.ndim > 1 and answer.shape[1] == len(self._classes):
            return np.asarray(answer.argmax(axis=1))
        positions = {label: position for position, label in enumerate(self._classes)}
        return np.asarray([positions[label] for label in answer.ravel().tolist()])

    def _probabilities(self, X: Array) -> Array:
        """Return class probabilities; a graph that ends in them, or in a second output, has them."""
        return self._run(self._outputs[-1], X)

    def _has_probabilities(self) -> bool:
        if self._classes is None:
            return False
        shape = self._session.get_outputs()[-1].shape
        return len(shape) == 2 and shape[1] in {len(self._classes), None}

    def _run(self, output: str, X: Array) -> Array:
        answer = self._session.run([output], {self._input: np.asarray(X).astype(self._type)})[0]
        return np.asarray(answer)
