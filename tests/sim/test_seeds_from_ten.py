"""The second half of the drawn networks; see :mod:`tests.sim.test_seeds`."""

from __future__ import annotations

import pytest

from tests.sim.plan import Plan
from tests.sim.run import Run
from tests.sim.test_seeds import NODES, SECONDS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_mix_of_faults_heals(seed: int) -> None:
    Run(Plan.draw(seed, NODES, SECONDS)).run()
