from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_wine

from skerry.errors import SpecificationError
from skerry.spec import exposure, fit_table, require_no_copies, unreduced, without_copies

ROWS = np.random.default_rng(0).normal([1, 100, 0], [1, 20, 1e-3], size=(400, 3))


def test_a_fit_of_the_default_size_copies_nobody() -> None:
    for rows in (ROWS, load_wine().data):
        found = exposure(fit_table(rows), rows)
        assert len(found.copies) == 0
        assert np.median(found.distances) > 0.2 * found.neighbour_distance


def test_points_that_are_rows_are_copies() -> None:
    found = exposure(unreduced(ROWS), ROWS)
    assert len(found.copies) == 400
    assert found.distances.max() < 1e-3 * found.neighbour_distance
    with pytest.raises(SpecificationError, match="E-SPEC-COPIES"):
        require_no_copies(unreduced(ROWS), ROWS)


def test_one_row_is_its_own_copy() -> None:
    with pytest.raises(SpecificationError, match="E-SPEC-COPIES"):
        require_no_copies(fit_table(ROWS[:1]), ROWS[:1])


def test_what_many_rows_share_is_nobodys() -> None:
    categories = np.random.default_rng(0).integers(0, 2, size=(300, 3))
    assert len(exposure(fit_table(categories, 8), categories).copies) == 0
    lonely = np.concatenate([categories, [[5, 5, 5]]])
    assert 0 < len(exposure(unreduced(lonely), lonely).copies) < 5


def test_the_copy_of_a_lonely_row_is_dropped_with_its_weight_and_answer() -> None:
    rows = np.concatenate([ROWS, [[900, -9000, 9]]])
    fitted = fit_table(rows, 40, responses=lambda points: points[:, 0])
    copies = exposure(fitted, rows).copies
    assert len(copies) == 1
    kept = without_copies(fitted, rows)
    require_no_copies(kept, rows)
    assert len(kept) == len(fitted) - 1
    assert kept.weights.sum() == pytest.approx(1)
    assert kept.responses is not None
    np.testing.assert_allclose(kept.responses[:, 0], kept.points[:, 0], rtol=1e-6)
    assert without_copies(fit_table(ROWS), ROWS) == fit_table(ROWS)
    chosen = fit_table(rows, responses=lambda points: points[:, 0])
    assert len(chosen) == 39  # where the size is not asked for, the copy never comes into being
    assert chosen.responses is not None
    assert len(exposure(chosen, rows).copies) == 0


@pytest.mark.parametrize("count", [1, 400])
def test_what_is_mostly_copies_is_refused_and_not_thinned(count: int) -> None:
    with pytest.raises(SpecificationError, match="E-SPEC-COPIES"):
        without_copies(unreduced(ROWS[:count]), ROWS[:count])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rkme = fit_table(ROWS, 100)
    whole = exposure(rkme, ROWS)
    monkeypatch.setattr("skerry.spec.backend.BLOCK_FLOATS_MAX", 1000)
    parts = exposure(rkme, ROWS)
    np.testing.assert_allclose(parts.distances, whole.distances)
    assert parts.neighbour_distance == pytest.approx(whole.neighbour_distance)
    np.testing.assert_array_equal(parts.copies, whole.copies)


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(SpecificationError, match="X"):
        exposure(fit_table(ROWS), ROWS[:, :2])
