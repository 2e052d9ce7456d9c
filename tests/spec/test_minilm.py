"""The network that is written down as an ONNX graph, held against the same in plain numpy."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import erf, softmax
from tokenizers import Tokenizer

from skerry.errors import SpecificationError
from skerry.spec import fit_text, text_features
from skerry.spec.extractors import minilm
from skerry.spec.rkme import Floats

TEXTS = [
    "A ferry crossed the strait before noon.",
    "Before midday the boat had sailed over the channel.",
    "Interest rates rose again.",
    "",
    "ok",
]


def normalised(x: Floats, gain: Floats, bias: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    result: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * gain + bias
    return result


def plain(ids: list[int], w: dict[str, Floats]) -> Floats:
    """BERT's encoder for one text in float64, mean of the last layer, at length one."""
    w = {name: values.astype(np.float64) for name, values in w.items() if values.dtype == np.float32}

    def dense(x: Floats, name: str) -> Floats:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Floats, name: str) -> Floats:
        return normalised(x, w[f"{name}.weight"], w[f"{name}.bias"])

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids] + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}.token_type_embeddings.weight"][0], f"{e}.LayerNorm")
    for layer in range(6):
        p = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{p}.attention.self.{name}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        mixed = (softmax(q @ k.transpose(0, 2, 1) / np.sqrt(32), axis=-1) @ v).transpose(1, 0, 2)
        out = f"{p}.attention.output"
        x = norm(x + dense(mixed.reshape(len(ids), -1), f"{out}.dense"), f"{out}.LayerNorm")
        inner = dense(x, f"{p}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = norm(x + dense(inner, f"{p}.output.dense"), f"{p}.output.LayerNorm")
    mean = x.mean(axis=0)
    unit: Floats = mean / np.linalg.norm(mean)
    return unit


def test_rows_are_those_of_the_network_whatever_the_batch() -> None:
    folder = minilm._folder()
    tokenizer, weights = (
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        load_file(folder / "model.safetensors"),
    )
    tokenizer.no_padding()
    rows = text_features(TEXTS, "minilm")
    for text, row in zip(TEXTS, rows, strict=True):
        if text:
            np.testing.assert_allclose(row, plain(tokenizer.encode(text).ids, weights), atol=1e-5)
    assert not rows[3].any()
    assert rows[0] @ rows[1] > 0.6 > 0.2 > rows[0] @ rows[2]


def test_it_is_an_island_of_its_own() -> None:
    rkme = fit_text(TEXTS, extractor="minilm")
    assert (rkme.dimension, rkme.meta["empty_texts"]) == (384, 1)
    assert rkme.island.extractor == minilm.MINILM


def test_long_texts_are_cut_off() -> None:
    rows = text_features(
        ["harbour " * 126 + "and much more", "harbour " * 126 + "and nothing else"], "minilm"
    )
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_batches_hold_all_texts_in_order_and_little_padding() -> None:
    lengths = sorted(np.random.default_rng(0).integers(3, 128, 500).tolist())
    batches = minilm._batches(lengths)
    assert [place for batch in batches for place in range(batch.start, batch.stop)] == list(range(500))
    for batch in batches:
        assert lengths[batch.stop - 1] * (batch.stop - batch.start) <= minilm.BATCH_TOKENS
    assert minilm._batches([]) == []


def test_missing_weights_are_said_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda name: None if name == minilm.WEIGHTS else find_spec(name))
    assert not minilm.available()
    with pytest.raises(SpecificationError, match="no-deps") as caught:
        minilm.MiniLm()
    assert caught.value.code == "E-SPEC-EXTRACTOR"
