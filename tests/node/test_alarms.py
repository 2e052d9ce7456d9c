"""Alarms stand until their cause is gone."""

from __future__ import annotations

from skerry.node.alarms import Alarms
from skerry.protocol.effects import MayBeCutOff, OwnKeyElsewhere, PutCatalogue, RenewalFailed


def test_an_alarm_stands_until_its_cause_is_gone() -> None:
    alarms = Alarms()
    alarms.told(MayBeCutOff(alarmed=True, old=5, heads=8))
    alarms.told(RenewalFailed(b"", "the key ends"))
    alarms.told(OwnKeyElsewhere(b"", 1, 7))
    alarms.told(OwnKeyElsewhere(b"", 1, 9))
    cut_off, renewal, key = alarms.lines()
    assert "5 of 8" in cut_off
    assert "the key ends" in renewal
    assert "seq 9" in key
    alarms.told(MayBeCutOff(alarmed=False, old=0, heads=8))
    alarms.stored(PutCatalogue(b"", b"n" * 32, b"head", {}, ()))  # another's
    assert alarms.lines() == [renewal, key]
    alarms.stored(PutCatalogue(b"", b"n" * 32, b"head", {}, (), own=True))
    assert alarms.lines() == [key]
