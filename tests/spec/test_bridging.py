from __future__ import annotations

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Column, Match, Rkme, align, align_across, bridge, bridge_of, fit_table, mmd2
from skerry.spec.rkme import Floats


def weather(seed: int, count: int = 800) -> Floats:
    """Temperature, humidity that falls with it, and a column that depends on both in a curve."""
    rng = np.random.default_rng(seed)
    temperature = rng.normal(15, 8, count)
    humidity = 80 - 1.5 * temperature + rng.normal(0, 4, count)
    ozone = 40 + 0.1 * (temperature - 15) ** 2 + rng.normal(0, 2, count)
    return np.column_stack([temperature, humidity, ozone])


OWNER = fit_table(weather(0), columns=["temperature", "humidity", "ozone"], units=["degC", "%", "ug/m3"])
TEMPERATURE, HUMIDITY, OZONE = (
    Column("temperature", "degC"),
    Column("humidity", "%"),
    Column("ozone", "ug/m3"),
)


def test_order_and_units_are_exact() -> None:
    rows = weather(1)
    searcher = [
        Column("ozone", "mg/m3"),
        Column("extra"),
        Column("humidity", "1"),
        Column("temperature", "K"),
    ]
    data = np.column_stack([rows[:, 2] / 1000, rows[:, 0], rows[:, 1] / 100, rows[:, 0] + 273.15])
    built = bridge(OWNER, searcher)
    assert (built.shared, built.missing, built.unused) == (
        ("temperature", "humidity", "ozone"),
        (),
        ("extra",),
    )
    np.testing.assert_allclose(built.transform(data), rows, rtol=1e-9)


def test_what_is_missing_follows_from_what_is_there() -> None:
    rows = weather(1)
    built = bridge(OWNER, [TEMPERATURE])
    filled = built.transform(rows[:, :1])
    assert built.missing == ("humidity", "ozone")
    np.testing.assert_array_equal(filled[:, 0], rows[:, 0])
    for column in (1, 2):
        by_mean = rows[:, column].std()
        error = np.sqrt(((filled[:, column] - rows[:, column]) ** 2).mean())
        assert error < 0.6 * by_mean, column
    assert built.explained[0] > 0.8


def test_a_column_that_depends_on_nothing_is_not_called_explained() -> None:
    rng = np.random.default_rng(0)
    owner = fit_table(rng.normal(size=(600, 2)), columns=["a", "b"])
    assert bridge(owner, [Column("a")]).explained[0] < 0.15


def test_far_rows_fall_back_to_the_regression() -> None:
    filled = bridge(OWNER, [TEMPERATURE]).transform([[1e6]])
    assert np.isfinite(filled).all()


def test_missing_values_stay_and_still_give_an_answer() -> None:
    filled = bridge(OWNER, [TEMPERATURE]).transform([[np.nan]])
    assert np.isnan(filled[0, 0])
    np.testing.assert_allclose(filled[0, 1:], OWNER.marginals.location[1:], rtol=0.2)


def test_an_owner_with_a_constant_column() -> None:
    rows = weather(0)
    rows[:, 0] = 15
    owner = fit_table(rows, columns=["temperature", "humidity", "ozone"])
    assert np.isfinite(bridge(owner, [Column("temperature")]).transform([[3.0]])).all()


def test_align_projects_both_to_what_they_share() -> None:
    rows = weather(1)
    columns = ["humidity", "temperature", "wind"]
    data = np.column_stack([rows[:, 1] / 100, rows[:, 0] + 273.15, rows[:, 2]])
    requirement = fit_table(data, columns=columns, units=["1", "K", "m/s"])
    first, second = align(requirement, OWNER)
    assert first.columns == second.columns == (Column("humidity", "1"), Column("temperature", "K"))
    np.testing.assert_allclose(second.marginals.location[1], OWNER.marginals.location[0] + 273.15)
    np.testing.assert_allclose(second.marginals.spread[0], OWNER.marginals.spread[1] / 100)
    assert mmd2(first, second) < 0.01


def test_what_a_bridge_joins_is_compared_in_the_requirements_units() -> None:
    rows = weather(1)
    requirement = fit_table(np.column_stack([rows[:, 1] / 100, rows[:, 0] * 1.8 + 32]), columns=["rh", "F"])
    matches = [Match(0, 1, 100.0, 0.0, 0.9), Match(1, 0, 1 / 1.8, -32 / 1.8, 0.8)]
    found = bridge_of(OWNER, requirement.columns or (), matches)
    first, second = align_across(requirement, OWNER, found)
    assert first.columns == second.columns == (Column("rh"), Column("F"))
    np.testing.assert_allclose(second.marginals.location[1], OWNER.marginals.location[0] * 1.8 + 32)
    assert mmd2(first, second) < 0.01
    with pytest.raises(SpecificationError, match="do not have"):
        align_across(fit_table(rows[:, :1]), OWNER, found)


def test_equal_islands_need_no_bridge() -> None:
    assert align(OWNER, OWNER) == (OWNER, OWNER)


@pytest.mark.parametrize(
    "columns",
    [[Column("wind")], [Column("temperature", "kg")], []],
    ids=["other names", "other quantity", "none"],
)
def test_nothing_shared_is_reported(columns: list[Column]) -> None:
    with pytest.raises(SpecificationError, match="no column is shared"):
        bridge(OWNER, columns)


def test_columns_without_names_cannot_be_matched() -> None:
    unnamed = fit_table(weather(0))
    with pytest.raises(SpecificationError, match="no names"):
        bridge(unnamed, [TEMPERATURE])
    other: Rkme = fit_table(weather(0)[:, :2])
    with pytest.raises(SpecificationError, match="no names"):
        align(other, OWNER)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(SpecificationError, match="X"):
        bridge(OWNER, [TEMPERATURE, HUMIDITY]).transform([[1.0]])
