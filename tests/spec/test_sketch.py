"""The sketch against its written description, by a second implementation in plain Python."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import sketch
from skerry.spec.island import Column, Island, Kind
from skerry.spec.limits import SKETCH_NOISE_MAX
from skerry.spec.rkme import Rkme
from skerry.spec.sketch import (
    SKETCH_FEATURES,
    Sketch,
    SketchBlock,
    check_sketch,
    follow_from,
    noisy_sketch,
    sketch_of,
)

ARRAYS = ("vector", "means", "spreads")
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sketch.json").read_text())


def rkme(columns: int = 5, count: int = 20, kind: Kind = "table", seed: int = 0) -> Rkme:
    rng = np.random.default_rng(seed)
    points = rng.normal(rng.normal(size=columns), rng.uniform(0.1, 3, columns), (count, columns))
    weights = rng.dirichlet(np.ones(count))
    return Rkme(
        points.astype(np.float32), weights, Island(kind, None, columns, "" if kind == "table" else "e/1")
    )


def written_down(points: list[list[float]], weights: list[float], island: bytes, kind: str) -> list[int]:
    """Return the 256 entries, computed step by step as the module's description says."""
    dimension = len(points[0])
    stream = b"".join(
        hashlib.sha256(b"skerry/sketch/1\x00" + island + counter.to_bytes(8, "big")).digest()
        for counter in range(32 * dimension)
    )
    h = 1 / math.sqrt(dimension) if kind == "table" else 1.0
    cosines, sines = [0.0] * 128, [0.0] * 128
    for row, weight in zip(points, weights, strict=True):
        length = math.sqrt(sum(x * x for x in row))
        table_row = [math.copysign(math.log(1 + abs(x)), x) for x in row]
        x_row = table_row if kind == "table" else [x / length if length else 0.0 for x in row]
        for f in range(128):
            starts = [8 * (128 * j + f) for j in range(dimension)]
            omega = [h * (sum(stream[start : start + 8]) - 1020) / math.sqrt(43690) for start in starts]
            t = sum(x * o for x, o in zip(x_row, omega, strict=True))
            cosines[f] += weight * math.cos(t)
            sines[f] += weight * math.sin(t)
    return [max(-127, min(127, round(127 * value))) for value in cosines + sines]


def frozen(case: dict[str, Any]) -> Rkme:
    points = np.array(case["points"], np.float32)
    names = case["columns"] and tuple(Column(name, unit) for name, unit in case["columns"])
    return Rkme(
        points, np.array(case["weights"]), Island(case["kind"], names, points.shape[1], case["extractor"])
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_frozen_vectors(case: dict[str, Any]) -> None:
    version, vector, means, spreads = sketch_of(frozen(case)).to_bytes()
    assert frozen(case).island.id.hex() == case["island"]
    assert (version, means.hex(), spreads.hex()) == (case["version"], case["means"], case["spreads"])
    # The library's cosine may differ in the last bit from one machine to the next.
    stored = np.frombuffer(bytes.fromhex(case["vector"]), np.int8).astype(int)
    assert np.count_nonzero(stored != np.frombuffer(vector, np.int8)) <= 2
    assert (
        check_sketch(Sketch.from_bytes(version, bytes.fromhex(case["vector"]), means, spreads), frozen(case))
        is None
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_description_is_enough_for_a_second_implementation(case: dict[str, Any]) -> None:
    expected = written_down(case["points"], case["weights"], bytes.fromhex(case["island"]), case["kind"])
    vector = np.frombuffer(bytes.fromhex(case["vector"]), np.int8)
    assert np.abs(vector.astype(int) - expected).max() <= 1
    assert np.count_nonzero(vector != np.array(expected)) <= 2


def test_noise_is_as_large_as_asked_for_and_stays_a_sketch() -> None:
    rng = np.random.default_rng(4)
    exact = sketch_of(rkme(columns=20))
    noisy = noisy_sketch(exact, 0.1, rng)
    assert 0.08 < ((noisy.vector.astype(float) - exact.vector) / 127).std() < 0.12
    assert 0.05 < ((noisy.means - exact.means) / exact.spreads).std() < 0.15
    assert np.all(noisy.spreads > 0)
    assert np.array_equal(noisy_sketch(exact, 0.0, rng).vector, exact.vector)
    for wrong in (-0.1, SKETCH_NOISE_MAX + 0.01, math.nan):
        with pytest.raises(SpecificationError, match="noise"):
            noisy_sketch(exact, wrong, rng)


def test_columns_are_those_of_the_points_in_their_units() -> None:
    example = rkme()
    own = sketch_of(example)
    assert own.means == pytest.approx(example.weights @ example.points, rel=1e-6)
    deviation = np.sqrt(example.weights @ (example.points - example.weights @ example.points) ** 2)
    assert own.spreads == pytest.approx(deviation, rel=1e-6)


def test_sixty_four_columns_have_means_and_sixty_five_have_none() -> None:
    assert sketch_of(rkme(64)).columns == 64
    assert sketch_of(rkme(65)).columns == 0
    assert np.any(sketch_of(rkme(65)).vector != 0)


def test_the_unit_of_a_text_row_does_not_count_but_that_of_a_table_row_does() -> None:
    text, table = rkme(kind="text"), rkme()
    assert np.array_equal(sketch_of(text).vector, sketch_of(replace(text, points=text.points * 4)).vector)
    assert not np.array_equal(
        sketch_of(table).vector, sketch_of(replace(table, points=table.points * 4)).vector
    )


def test_islands_have_different_frequencies() -> None:
    named = replace(rkme(1), island=Island("table", (Column("age"),), 1))
    assert not np.array_equal(sketch_of(rkme(1)).vector, sketch_of(named).vector)


def test_near_rkmes_have_near_sketches() -> None:
    example = rkme()
    nudged = replace(example, points=example.points + np.float32(0.01))
    moved = replace(example, points=example.points + np.float32(1))
    squared = [
        np.sum((sketch_of(example).vector.astype(int) - sketch_of(other).vector) ** 2)
        for other in (nudged, moved)
    ]
    assert squared[0] * 20 < squared[1]


@pytest.mark.parametrize("kind", ["table", "text", "image"])
def test_extreme_points_give_a_finite_sketch(kind: Kind) -> None:
    points = np.array([[1e30, -1e30, 0.0], [0.0, 0.0, 0.0], [1e-30, 5e-324, -1e-30]])
    extreme = Rkme(points, np.full(3, 1 / 3), Island(kind, None, 3, "" if kind == "table" else "e/1"))
    assert np.all(np.isfinite(sketch_of(extreme).means))
    assert check_sketch(sketch_of(extreme), extreme) is None


def altered(vector: np.ndarray, places: int, by: int) -> np.ndarray:
    changed = vector.astype(int)
    changed[:places] += np.where(changed[:places] > 0, -by, by)
    return changed.astype(np.int8)


@pytest.mark.parametrize(
    ("places", "by", "convicted"),
    [(0, 0, False), (16, 1, False), (16, 2, False), (17, 1, True), (1, 3, True), (256, 1, True)],
)
def test_a_sketch_is_convicted_beyond_what_rounding_explains(places: int, by: int, convicted: bool) -> None:
    example = rkme()
    true = sketch_of(example)
    claimed = replace(true, vector=altered(true.vector, places, by))
    assert (check_sketch(claimed, example) is not None) == convicted


@pytest.mark.parametrize("name", ["means", "spreads"])
def test_false_columns_are_convicted_and_named(name: str) -> None:
    example = rkme()
    true = sketch_of(example)
    values = getattr(true, name).copy()
    values[3] *= 1.001
    reason = check_sketch(replace(true, **{name: values}), example)
    assert reason is not None
    assert reason.startswith(f"{name}: column 3")


def test_missing_columns_are_convicted() -> None:
    example = rkme()
    nothing = np.empty(0, np.float32)
    reason = check_sketch(replace(sketch_of(example), means=nothing, spreads=nothing), example)
    assert reason is not None
    assert reason.startswith("means")


def test_the_sketch_of_another_rkme_is_convicted() -> None:
    assert check_sketch(sketch_of(rkme(seed=1)), rkme(seed=2)) is not None


def block_of(sketches: list[Sketch]) -> SketchBlock:
    return SketchBlock(*(np.stack([getattr(one, name) for one in sketches]) for name in ARRAYS))


@pytest.mark.parametrize(
    ("kind", "columns", "count"),
    [("table", 5, 20), ("table", 1, 1), ("text", 40, 30), ("image", 70, 8), ("table", 65, 300)],
)
def test_many_are_judged_as_each_is(kind: Kind, columns: int, count: int) -> None:
    examples = [rkme(columns, count, kind, seed) for seed in range(12)]
    true = [sketch_of(example) for example in examples]
    changes = [(0, 0), (15, 1), (16, 1), (16, 2), (17, 1), (1, 3), (256, 1), (256, 2), (1, 1), (1, 2), (0, 0)]
    claimed = [
        replace(one, vector=altered(one.vector, *change)) for one, change in zip(true, changes, strict=False)
    ]
    claimed.append(replace(true[-1], means=true[-1].means * np.float32(1.001)))
    follows = follow_from(block_of(claimed), examples).tolist()
    assert follows == [
        check_sketch(one, example) is None for one, example in zip(claimed, examples, strict=True)
    ]
    assert follows[:-1] == [places < 17 and by < 3 for places, by in changes]
    assert not follow_from(block_of(true), examples[::-1]).any()


@pytest.mark.parametrize("kind", ["table", "text"])
@pytest.mark.parametrize("size", [1, 100, 4096])
def test_float32_is_within_its_bound(kind: Kind, size: int) -> None:
    rng = np.random.default_rng(size)
    points = rng.normal(0, 10.0 ** rng.uniform(-3, 12, 6), (size, 6)).astype(np.float32)
    example = Rkme(
        points,
        rng.dirichlet(np.ones(size)),
        Island(kind, None, 6, "" if kind == "table" else "e/1"),
    )
    rows, weights = sketch._stacked([example])
    single, double = (
        sketch._entries(rows, weights, example, precision) for precision in (np.float32, np.float64)
    )
    assert np.abs(single - double).max() < sketch._entry_error(size) / 2


def test_columns_of_another_number_follow_from_nothing() -> None:
    example = rkme()
    nothing = np.empty(0, np.float32)
    claimed = replace(sketch_of(example), means=nothing, spreads=nothing)
    assert follow_from(block_of([claimed]), [example]).tolist() == [False]


def test_card_fields_round_trip() -> None:
    own = sketch_of(rkme())
    again = Sketch.from_bytes(*own.to_bytes())
    assert again.to_bytes() == own.to_bytes()
    assert [len(field) for field in own.to_bytes()[1:]] == [256, 20, 20]


GOOD = {"version": 1, "vector": bytes(256), "means": bytes(8), "spreads": bytes(8)}
NAN, NEGATIVE = np.array([0, np.nan], "<f4").tobytes(), np.array([0, -1], "<f4").tobytes()


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("version", 2, "sketch_version"),
        ("vector", bytes(255), "vector"),
        ("vector", b"", "vector"),
        ("means", bytes(7), "means"),
        ("means", bytes(4 * 65), "means"),
        ("means", NAN, "means"),
        ("spreads", bytes(12), "spreads"),
        ("spreads", NAN, "spreads"),
        ("spreads", NEGATIVE, "spreads"),
    ],
)
def test_a_bad_field_is_refused_by_name(field: str, value: object, where: str) -> None:
    with pytest.raises(SpecificationError) as refusal:
        Sketch.from_bytes(**{**GOOD, field: value})  # type: ignore[arg-type] # deliberately wrong
    assert refusal.value.where == where
    assert refusal.value.code == "E-SPEC-SKETCH"


@given(st.integers(0, 3), st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_hostile_fields_give_a_sketch_or_a_refusal(
    version: int, vector: bytes, means: bytes, spreads: bytes
) -> None:
    try:
        read = Sketch.from_bytes(version, vector, means, spreads)
    except SpecificationError:
        return
    assert len(read.vector) == SKETCH_FEATURES
    assert np.all(np.isfinite(read.means))
