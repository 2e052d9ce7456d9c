"""The shift is near 1 for a sample and large for rows from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from skerry.spec.fit import fit_table
from skerry.spec.shift import SHIFT_MAX, shift


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [20, 100, 500])
def test_a_sample_has_not_moved(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2000, 6)) * [1, 10, 100, 0.1, 1, 1]
    assert shift(fit_table(rows), rows[rng.choice(2000, count, replace=False)]) < SHIFT_MAX


@pytest.mark.parametrize("count", [20, 40, 60, 300])
def test_all_rows_of_a_small_search_are_a_sample_of_it(count: int) -> None:
    rows = np.random.default_rng(count).normal(size=(count, 6))
    assert shift(fit_table(rows), rows) < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_rows_from_elsewhere_have_moved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    requirement = fit_table(rng.normal(size=(2000, 6)))
    assert shift(requirement, rng.normal(0.7, 1, (100, 6))) > 2 * SHIFT_MAX
    assert shift(requirement, rng.normal(0, 0.3, (100, 6))) > 2 * SHIFT_MAX


def test_rows_that_are_all_alike_are_no_sample() -> None:
    requirement = fit_table(np.random.default_rng(0).normal(size=(500, 2)))
    assert shift(requirement, np.zeros((10, 2))) > SHIFT_MAX
