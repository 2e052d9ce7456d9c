from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.spec.units import UNITS, conversion


@pytest.mark.parametrize(
    ("source", "target", "value", "result"),
    [
        ("degC", "degF", 100, 212),
        ("degF", "°C", 32, 0),
        ("K", "degC", 273.15, 0),
        ("hPa", "mbar", 1013, 1013),
        ("mmHg", "kPa", 120, 15.99864),
        ("µg/m³", "mg/m3", 50, 0.05),
        ("km/h", "m/s", 36, 10),
        ("%", "1", 25, 0.25),
        ("mg/dl", "g/l", 90, 0.9),
        ("furlong", "furlong", 3, 3),
        ("", "kg", 3, 3),
    ],
)
def test_known_values(source: str, target: str, value: float, result: float) -> None:
    turned = conversion(source, target)
    assert turned is not None
    assert turned[0] * value + turned[1] == pytest.approx(result, abs=1e-9)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.floats(-1e3, 1e3))
def test_there_and_back(source: str, target: str, value: float) -> None:
    there, back = conversion(source, target), conversion(target, source)
    assert (there is None) == (back is None) == (UNITS[source][0] != UNITS[target][0])
    if there and back:
        assert back[0] * (there[0] * value + there[1]) + back[1] == pytest.approx(value, rel=1e-9, abs=1e-6)


def test_unknown_units_match_themselves_only() -> None:
    assert conversion("furlong", "m") is None
    assert conversion("kg", "m") is None
