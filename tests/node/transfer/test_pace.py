"""A limit on bytes a second allows its rate, saves up little, and hands out no more than a moment's worth."""

from __future__ import annotations

import pytest

from skerry.node.limits import PACE_TURN_BYTES_MIN
from skerry.node.transfer.pace import Pace


def test_a_pace_allows_its_rate_and_saves_up_little() -> None:
    now = 0.0
    pace = Pace(100, lambda: now)
    assert pace.delay(50) == pytest.approx(0.5)
    now = 10.0
    assert pace.delay(10) == 0.0
    assert pace.delay(100) == pytest.approx(1.0)
    assert Pace(0).delay(10**12) == 0.0


@pytest.mark.parametrize(
    ("rate", "asked", "given"),
    [(0, 10**9, 10**9), (4_000_000, 10**9, 1_000_000), (4_000_000, 5, 5), (1000, 10**9, PACE_TURN_BYTES_MIN)],
)
def test_a_turn_is_a_moment_of_the_rate(rate: int, asked: int, given: int) -> None:
    assert Pace(rate).turn(asked) == given
