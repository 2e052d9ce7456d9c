"""The bounds on callers: a bucket refills with time, and one caller's does not empty another's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from skerry.node.api.limiting import Limiter
from skerry.node.api.problems import TooMany
from skerry.node.limits import API_REQUESTS_BURST


def exhaust(count: Callable[[], None]) -> None:
    for _ in range(100_000):
        count()


def test_callers_do_not_take_from_each_other() -> None:
    limiter = Limiter()
    for _ in range(int(API_REQUESTS_BURST)):
        limiter.admit("script")
    with pytest.raises(TooMany, match="E-API-RATE"):
        exhaust(lambda: limiter.admit("script"))
    limiter.admit("console")


def test_strangers_share_one_bucket() -> None:
    limiter = Limiter()
    with pytest.raises(TooMany):
        exhaust(limiter.refuse)
    limiter.admit("console")
