"""Hypothesis strategies for specifications."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from skerry.spec import Column, Island, Marginals, Rkme

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), NAMES
)


@st.composite
def rkmes(draw: st.DrawFn) -> Rkme:
    """Valid RKMEs of all kinds, small, with and without every optional field."""
    count, dimension = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["table", "text", "image"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.lists(NAMES, min_size=dimension, max_size=dimension, unique=True))
    columns = draw(st.sampled_from([None, tuple(Column(name, "kg") for name in names)]))
    if columns is not None and len({column.name for column in columns}) < dimension:
        columns = None
    weights = rng.random(count) + 1e-3
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    marginals = Marginals(
        rng.normal(size=dimension),
        rng.random(dimension),
        draw(st.sampled_from([0.0, 0.5, 1.0])) * np.ones(dimension),
    )
    return Rkme(
        points=(rng.normal(size=(count, dimension)) * 10.0 ** draw(st.integers(-20, 20))).astype(dtype),
        weights=weights / weights.sum(),
        island=Island(kind, columns, dimension, "" if kind == "table" else "extractor"),
        gamma=draw(st.sampled_from([None, 0.1, 7.0])),
        marginals=marginals,
        responses=draw(st.sampled_from([None, rng.normal(size=(count, 2))])),
        meta=draw(st.dictionaries(NAMES, SCALARS, max_size=3)),
    )
