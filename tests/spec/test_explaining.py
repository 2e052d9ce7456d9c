from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skerry.errors import SpecificationError
from skerry.spec import explain, fit_table, kernel_cosine, mmd2, noise_floor, unreduced

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(400, 3))


def test_another_sample_of_the_same_is_mostly_within_the_noise() -> None:
    floor = noise_floor(ROWS)
    requirement = unreduced(ROWS)
    draws = np.random.default_rng(1).normal(size=(30, 2, 400, 3))
    same = [mmd2(unreduced(first), unreduced(second)) for first, second in draws]
    assert floor.mean == pytest.approx(np.mean(same), rel=0.15)
    assert np.mean(np.array(same) <= floor.upper) >= 0.8
    assert mmd2(requirement, unreduced(ROWS + 0.5)) > 3 * floor.upper


def test_a_drawn_part_gives_the_same_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = noise_floor(ROWS)
    monkeypatch.setattr("skerry.spec.explaining.NOISE_ROWS_MAX", 150)
    assert noise_floor(ROWS).mean == pytest.approx(whole.mean, rel=0.15)


def test_the_seed_decides() -> None:
    assert noise_floor(ROWS, seed=1) == noise_floor(ROWS, seed=1)
    assert noise_floor(ROWS, seed=1) != noise_floor(ROWS, seed=2)


def test_the_floor_of_points_is_on_the_safe_side() -> None:
    assert noise_floor(fit_table(ROWS, 40)).mean > noise_floor(ROWS).mean


def test_too_few_rows_have_no_floor() -> None:
    with pytest.raises(SpecificationError, match="4"):
        noise_floor(ROWS[:3])


def test_the_column_that_moved_is_named() -> None:
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    moved = frame.assign(b=frame.b * 2 + 3)
    requirement, candidate = fit_table(frame), fit_table(moved)
    explanation = explain(requirement, candidate)
    first = explanation.columns[0]
    assert (first.name, first.share > 0.9) == ("b", True)
    assert first.shift == pytest.approx(3, abs=0.2)
    assert first.spread_ratio == pytest.approx(2, rel=0.05)
    assert sum(column.share for column in explanation.columns) == pytest.approx(1)
    assert explanation.mmd2 == mmd2(requirement, candidate)
    assert explanation.cosine == kernel_cosine(requirement, candidate)
    assert explanation.uncovered is None


def test_rows_that_the_learnware_never_saw_are_listed() -> None:
    far = RNG.normal(8, 1, size=(40, 3))
    data = np.concatenate([ROWS, far])
    explanation = explain(fit_table(data), fit_table(ROWS), data)
    assert explanation.uncovered is not None
    assert set(range(400, 440)) <= set(explanation.uncovered.tolist())
    assert explanation.uncovered_rate == pytest.approx(40 / 440, abs=0.03)


def test_equal_specifications_have_nothing_to_explain() -> None:
    rkme = fit_table(ROWS)
    explanation = explain(rkme, rkme, ROWS)
    assert explanation.mmd2 == pytest.approx(0, abs=1e-12)
    assert explanation.uncovered_rate == 0


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(SpecificationError, match="X"):
        explain(fit_table(ROWS), fit_table(ROWS), ROWS[:, :2])
