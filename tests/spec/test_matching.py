"""Columns are found again under other names, units and orders, and doubt is said where there is doubt."""

from __future__ import annotations

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Column, Rkme, bridge_of, fit_bridge, fit_table, match_columns
from skerry.spec.limits import MATCHED_COLUMNS_MAX
from skerry.spec.matching import abbreviation, words

RNG = np.random.default_rng(3)
SIZE = 3000
AGE = RNG.gamma(9, 6, SIZE)
PRESSURE = 90 + 0.6 * AGE + RNG.normal(0, 9, SIZE)
TEMPERATURE = RNG.normal(37, 0.6, SIZE)
SMOKER = (RNG.random(SIZE) < 0.2).astype(float)
ROWS = np.stack([AGE, PRESSURE, TEMPERATURE, SMOKER], axis=1)
OWNER = fit_table(ROWS, 60, columns=["age", "systolic bp", "body temperature", "smoker"])
ORDER = [2, 0, 3, 1]
TURNED = np.stack([1.8 * TEMPERATURE + 32, AGE, SMOKER, PRESSURE / 10], axis=1)


def pairs(ours: Rkme, theirs: Rkme) -> dict[int, int]:
    return {match.source: match.target for match in match_columns(ours, theirs)}


@pytest.mark.parametrize("names", [["temp (F)", "Age", "SMK", "sysBP"], ["w", "x", "y", "z"], None])
def test_columns_are_found_by_names_or_without_them(names: list[str] | None) -> None:
    assert pairs(fit_table(TURNED, 60, columns=names), OWNER) == dict(enumerate(ORDER))


def test_usual_changes_of_units_are_exact() -> None:
    matches = match_columns(fit_table(TURNED[::2], 60), OWNER)
    degrees, years, smokers, pressures = matches
    assert (degrees.factor, degrees.offset) == (pytest.approx(5 / 9), pytest.approx(-160 / 9))
    assert (years.factor, smokers.factor, pressures.factor) == (1.0, 1.0, 10.0)


def test_an_unusual_unit_is_met_by_mean_and_spread() -> None:
    found = match_columns(fit_table(ROWS * [31.7, 1, 1, 1] + [50_000, 0, 0, 0], 60), OWNER)[0]
    assert found.factor == pytest.approx(1 / 31.7, rel=0.05)
    assert found.factor * (31.7 * 60 + 50_000) + found.offset == pytest.approx(60, rel=0.02)


def test_units_that_are_known_decide() -> None:
    owner = fit_table(ROWS[:, :2], 40, columns=[Column("a", "a"), Column("b", "mmHg")])
    right = fit_table(ROWS[:, 1::-1] * [0.133322, 1], 40, columns=[Column("p", "kPa"), Column("q", "a")])
    assert pairs(right, owner) == {0: 1, 1: 0}
    assert match_columns(right, owner)[0].factor == pytest.approx(1 / 0.133322, rel=1e-3)
    other = fit_table(ROWS[:, 1::-1], 40, columns=[Column("p", "kg"), Column("q", "a")])
    assert pairs(other, owner) == {1: 0}


def test_tables_of_different_widths_leave_columns_out() -> None:
    found = pairs(fit_table(TURNED[:, :3], 60), OWNER)
    assert found == {0: 2, 1: 0, 2: 3}
    wide = fit_table(np.c_[TURNED, np.random.default_rng(0).exponential(size=SIZE)], 60)
    assert {source: target for source, target in pairs(wide, OWNER).items() if source < 4} == dict(
        enumerate(ORDER)
    )


def test_confidence_is_low_where_two_columns_are_alike() -> None:
    twins = np.random.default_rng(1).normal(size=(SIZE, 2))
    doubtful = match_columns(fit_table(twins, 60), fit_table(twins[:, ::-1] * 7, 60))
    sure = match_columns(fit_table(TURNED, 60, columns=["temperature", "age", "smoker", "bp"]), OWNER)
    assert max(match.confidence for match in doubtful) < 0.3 < min(match.confidence for match in sure)


def test_matching_is_the_same_every_time() -> None:
    ours = fit_table(TURNED, 60)
    assert match_columns(ours, OWNER, seed=5) == match_columns(ours, OWNER, seed=5)


def test_a_learned_bridge_feeds_the_owners_model_its_own_columns() -> None:
    bridge = fit_bridge(OWNER, fit_table(TURNED, 60))
    back = bridge.transform(TURNED[:50])
    assert np.allclose(back, ROWS[:50], rtol=0.02, atol=0.05)
    assert 0 < bridge.confidence < 1
    assert bridge.shared == ("age", "systolic bp", "body temperature", "smoker")


def test_columns_without_a_match_are_imputed() -> None:
    bridge = fit_bridge(OWNER, fit_table(TURNED[:, :3], 60))
    assert bridge.missing == ("systolic bp",)
    error = bridge.transform(TURNED[:, :3])[:, 1] - PRESSURE
    assert np.sqrt(np.mean(error**2)) < 0.8 * PRESSURE.std()


def test_a_bridge_over_columns_that_are_not_there_is_refused() -> None:
    good = match_columns(fit_table(TURNED, 60), OWNER)
    with pytest.raises(SpecificationError, match="E-SPEC-BRIDGE"):
        bridge_of(OWNER, [Column("a")], good)
    with pytest.raises(SpecificationError, match="E-SPEC-BRIDGE"):
        bridge_of(OWNER, [Column(name) for name in "abcd"], [*good, good[0]])


def test_too_many_columns_are_refused() -> None:
    wide = fit_table(np.random.default_rng(0).normal(size=(50, MATCHED_COLUMNS_MAX + 1)))
    with pytest.raises(SpecificationError, match="E-SPEC-BRIDGE"):
        match_columns(wide, OWNER)


def test_names_are_read_as_people_write_them() -> None:
    assert words("airTemp_C") == "air temp c"
    assert abbreviation("dewp", "dew point") == 0.75
    assert abbreviation("fbs", "fasting blood sugar") == pytest.approx(2 / 3)
    assert abbreviation("co", "coarse particles") <= 0.5
    assert abbreviation("", "anything") == 0
