from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Column, fit_chunks, fit_table, merge, mmd2, unreduced
from skerry.spec.merging import pooled_marginals
from skerry.spec.rkme import Floats
from skerry.spec.table import marginals_of

RNG = np.random.default_rng(0)
PARTS = [
    RNG.normal(shift, scale, size=(count, 4))
    for shift, scale, count in [(0, 1, 600), (3, 0.5, 200), (-2, 2, 400)]
]
WHOLE = np.concatenate(PARTS)


def test_parts_merge_to_what_the_whole_would_give() -> None:
    parts = [fit_table(part, 100) for part in PARTS]
    merged = merge(parts, [len(part) for part in PARTS])
    exact = unreduced(WHOLE)
    direct = mmd2(exact, fit_table(WHOLE, 100))
    assert mmd2(exact, merged) < 5 * direct + 1e-3
    assert mmd2(exact, merged) < min(mmd2(exact, part) for part in parts) / 20
    assert merged.weights.sum() == pytest.approx(1)


def test_marginals_pool_exactly() -> None:
    rows = WHOLE.copy()
    rows[::3, 1] = np.nan
    parts = [rows[:100], rows[100:700], rows[700:]]
    shares = np.array([len(part) for part in parts]) / len(rows)
    pooled, exact = pooled_marginals([marginals_of(part) for part in parts], shares), marginals_of(rows)
    for name in ("location", "spread", "missing_rate"):
        np.testing.assert_allclose(getattr(pooled, name), getattr(exact, name), atol=1e-12)


def test_chunks_give_what_the_whole_would_give() -> None:
    def chunks() -> Iterator[Floats]:
        yield from np.array_split(np.random.default_rng(1).permutation(WHOLE), 7)

    rkme = fit_chunks(chunks())
    exact = unreduced(WHOLE)
    assert len(rkme) == 100
    assert mmd2(exact, rkme) < 5 * mmd2(exact, fit_table(WHOLE)) + 1e-3


def test_many_chunks_are_merged_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skerry.spec.merging.CHUNK_POINTS_MAX", 20)
    monkeypatch.setattr("skerry.spec.merging.MERGE_POINTS_MAX", 60)
    rkme = fit_chunks(np.array_split(np.random.default_rng(1).permutation(WHOLE), 12), 20)
    np.testing.assert_allclose(rkme.marginals.location, WHOLE.mean(axis=0), atol=1e-9)
    assert mmd2(unreduced(WHOLE), rkme) < 0.01


def test_frames_keep_their_columns_through_chunks() -> None:
    frame = pd.DataFrame(WHOLE, columns=list("abcd"))
    rkme = fit_chunks([frame[:500], frame[500:]], units={"b": "kg"})
    assert rkme.columns == (Column("a"), Column("b", "kg"), Column("c"), Column("d"))


def test_a_few_rows_in_all_give_few_points() -> None:
    assert len(fit_chunks([WHOLE[:30], WHOLE[30:50]])) == 5


def test_refusals() -> None:
    first = fit_table(PARTS[0], 5)
    other = fit_table(PARTS[0][:, :2], 5)
    for rkmes, weights, field in [
        ([], [], "weights"),
        ([first], [1, 1], "weights"),
        ([first, first], [1, 0], "weights"),
        ([first, first], [1, float("nan")], "weights"),
        ([first, other], [1, 1], "island"),
    ]:
        with pytest.raises(SpecificationError, match="E-SPEC-MERGE") as caught:
            merge(rkmes, weights)
        assert caught.value.where == field
    with pytest.raises(SpecificationError):
        fit_chunks([])
