"""An allowance refills with time, up to its bound, and may be overdrawn by what was used already."""

from __future__ import annotations

from skerry.protocol.allowance import Allowance


def test_it_refills_with_time_up_to_its_bound() -> None:
    allowance = Allowance(per_second=10.0, saved_max=50.0)
    assert allowance.spend(50.0, 0.0)
    assert not allowance.spend(1.0, 0.0)
    assert allowance.spend(10.0, 1.0)
    assert not allowance.spend(1.0, 1.0)
    assert not allowance.spend(51.0, 10.0**9)


def test_what_is_owed_is_paid_first() -> None:
    allowance = Allowance(per_second=10.0, saved_max=50.0)
    allowance.owe(70.0)
    assert not allowance.spend(1.0, 0.0)
    assert allowance.spend(10.0, 3.0)
    assert not allowance.spend(1.0, 3.0)
