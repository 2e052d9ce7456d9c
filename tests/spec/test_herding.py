from __future__ import annotations

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import fit_table, mmd2, unreduced

ROWS = np.random.default_rng(0).normal([5, -100], [1, 20], size=(500, 2))
RKME = fit_table(ROWS)


def test_herded_rows_stand_for_the_data_better_than_random_points() -> None:
    herded = RKME.herd(40)
    assert herded.shape == (40, 2)
    drawn = [ROWS[np.random.default_rng(seed).choice(500, 40)] for seed in range(10)]
    distances = [mmd2(RKME, unreduced(rows)) for rows in drawn]
    assert mmd2(RKME, unreduced(herded)) < 0.5 * min(distances)


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(RKME.herd(5, seed=1), RKME.herd(5, seed=1))


@pytest.mark.parametrize("n", [0, -1, 10_001])
def test_impossible_numbers_are_refused(n: int) -> None:
    with pytest.raises(SpecificationError, match="n"):
        RKME.herd(n)
