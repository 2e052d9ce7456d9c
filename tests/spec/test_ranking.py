"""Ranking against ``mmd2`` one by one, for candidates of all sizes, kinds and extremes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Column, Island, Marginals, Rkme, Scale, kernel_cosine, mmd2, rank, ranking
from skerry.spec.island import Kind
from skerry.spec.metric import Metric


def rkme(rng: np.random.Generator, columns: int, count: int, kind: Kind = "table") -> Rkme:
    points = rng.normal(rng.normal(size=columns) * 0.5, rng.uniform(0.3, 2, columns), (count, columns))
    units = 10.0 ** np.arange(-4, columns - 4)
    island = Island(kind, None, columns, "" if kind == "table" else "extractor")
    return Rkme((points * units + 7 * units).astype(np.float32), rng.dirichlet(np.ones(count)), island)


def market(seed: int, kind: Kind = "table", count: int = 12) -> tuple[Rkme, list[Rkme]]:
    rng = np.random.default_rng(seed)
    columns = int(rng.integers(1, 9))
    sizes = rng.choice([1, 2, 7, 30], count)
    return rkme(rng, columns, 20, kind), [rkme(rng, columns, size, kind) for size in sizes]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(["table", "text", "image"]))
def test_distances_and_cosines_are_those_of_each_pair(seed: int, kind: Kind) -> None:
    requirement, candidates = market(seed, kind)
    found = rank(requirement, candidates)
    alone = [mmd2(requirement, candidates[index]) for index in found.indices]
    cosines = [kernel_cosine(requirement, candidates[index]) for index in found.indices]
    assert sorted(found.indices.tolist()) == list(range(len(candidates)))
    assert found.mmd2 == pytest.approx(alone, abs=2e-6)
    assert found.cosines == pytest.approx(cosines, abs=1e-5)
    assert np.all(np.diff(found.mmd2) >= 0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_the_reference_metric_is_exact(seed: int) -> None:
    requirement, candidates = market(seed)
    found = rank(requirement, candidates, metric="reference")
    alone = [mmd2(requirement, candidates[index], "reference") for index in found.indices]
    assert found.mmd2 == pytest.approx(alone, rel=1e-6, abs=1e-9)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    requirement, candidates = market(5, count=40)
    whole = rank(requirement, candidates)
    monkeypatch.setattr(ranking, "CACHED_FLOATS", 1)
    assert rank(requirement, candidates).mmd2 == pytest.approx(whole.mmd2, abs=1e-6)
    monkeypatch.setattr(ranking, "BLOCK_FLOATS_MAX", 100)
    assert rank(requirement, candidates).mmd2 == pytest.approx(whole.mmd2, abs=1e-6)


def test_threads_give_the_same_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "CACHED_FLOATS", 2_000)
    requirement, candidates = market(8, count=60)
    alone = rank(requirement, candidates)
    with ThreadPoolExecutor(4) as pool:
        together = rank(requirement, candidates, run=pool.map)
    assert np.array_equal(alone.indices, together.indices)
    assert np.array_equal(alone.mmd2, together.mmd2)


def test_k_cuts_the_ranking() -> None:
    requirement, candidates = market(3)
    whole = rank(requirement, candidates)
    top = rank(requirement, candidates, k=5)
    assert len(top) == 5
    assert top.indices.tolist() == whole.indices[:5].tolist()
    assert len(rank(requirement, candidates, k=10**6)) == len(candidates)


def test_copies_stand_together_and_equal_distances_keep_their_order() -> None:
    requirement, candidates = market(3)
    found = rank(requirement, [*candidates, *candidates])
    pairs = (found.indices % len(candidates)).reshape(-1, 2)
    assert np.array_equal(pairs[:, 0], pairs[:, 1])
    point = Rkme(requirement.points[:1], np.ones(1), requirement.island)
    assert rank(requirement, [point] * 9).indices.tolist() == list(range(9))


def test_nobody_to_rank() -> None:
    found = rank(market(1)[0], [])
    assert (len(found), found.mmd2.shape, found.cosines.shape) == (0, (0,), (0,))


def test_the_requirement_itself_is_nearest() -> None:
    requirement, candidates = market(2)
    found = rank(requirement, [*candidates, requirement])
    assert found.indices[0] == len(candidates)
    assert found.mmd2[0] == pytest.approx(0, abs=1e-6)
    assert found.cosines[0] == pytest.approx(1, abs=1e-6)


def test_a_column_without_values_has_no_say() -> None:
    requirement, candidates = market(4)
    first = candidates[0]
    missing = np.zeros(first.dimension)
    missing[0] = 1
    marginals = Marginals(first.marginals.location, first.marginals.spread, missing)
    changed = Rkme(first.points, first.weights, first.island, marginals=marginals)
    both = rank(requirement, [changed, first])
    alone = {0: mmd2(requirement, changed), 1: mmd2(requirement, first)}
    assert both.mmd2 == pytest.approx([alone[index] for index in both.indices.tolist()], abs=2e-6)
    assert alone[0] != alone[1]


def test_far_candidates_are_measured_as_well_as_near_ones() -> None:
    requirement, candidates = market(6)
    scale = Scale.of(requirement)
    shifted = [
        Rkme(np.float64(c.points) + distance * scale.spread, c.weights, c.island)
        for c, distance in zip(candidates, np.geomspace(1, 1e4, len(candidates)), strict=True)
    ]
    found = rank(requirement, shifted)
    alone = [mmd2(requirement, shifted[index]) for index in found.indices]
    assert found.mmd2 == pytest.approx(alone, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-30, -1.0, 1e12, 1e30, -1e30]), min_size=6, max_size=6))
def test_distances_are_finite_whatever_a_candidate_holds(values: list[float]) -> None:
    requirement, _ = market(0)
    plain = Rkme(requirement.points[:, :1], requirement.weights, Island("table", None, 1))
    hostile = Rkme(np.array(values)[:, None], np.full(6, 1 / 6), Island("table", None, 1))
    for asking, candidates in ((plain, [hostile, plain]), (hostile, [plain, hostile])):
        found = rank(asking, candidates)
        assert np.all(np.isfinite(found.mmd2))
        assert np.all(np.isfinite(found.cosines))
        assert found.mmd2.max() <= 2 + 1e-6


def test_another_island_is_refused() -> None:
    requirement, candidates = market(0)
    names = tuple(Column(f"c{place}") for place in range(requirement.dimension + 1))
    wide = Rkme(np.ones((2, len(names))), np.full(2, 0.5), Island("table", names, len(names)))
    with pytest.raises(SpecificationError) as refusal:
        rank(requirement, [*candidates, wide])
    assert refusal.value.where == "island"


@pytest.mark.parametrize(("metric", "k", "where"), [("cosine", None, "metric"), ("searcher", 0, "k")])
def test_a_bad_argument_is_refused_by_name(metric: Metric, k: int | None, where: str) -> None:
    requirement, candidates = market(0)
    with pytest.raises(SpecificationError) as refusal:
        rank(requirement, candidates, metric, k)
    assert refusal.value.where == where
