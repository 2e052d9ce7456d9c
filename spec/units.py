"""Units of measurement: which can be turned into each other, and how.

A unit is a quantity, a factor and an offset to that quantity's base unit: ``base = factor * value + offset``.
Only spellings that mean one thing are listed; a unit that is not listed matches itself and nothing else.
Factors are those of the SI brochure (BIPM, 9th edition, 2019) and of NIST Special Publication 811.
"""

from __future__ import annotations

from typing import Final

UNITS: Final[dict[str, tuple[str, float, float]]] = {
    "m": ("length", 1.0, 0.0),
    "km": ("length", 1e3, 0.0),
    "cm": ("length", 1e-2, 0.0),
    "mm": ("length", 1e-3, 0.0),
    "um": ("length", 1e-6, 0.0),
    "in": ("length", 0.0254, 0.0),
    "ft": ("length", 0.3048, 0.0),
    "mi": ("length", 1609.344, 0.0),
    "kg": ("mass", 1.0, 0.0),
    "g": ("mass", 1e-3, 0.0),
    "mg": ("mass", 1e-6, 0.0),
    "ug": ("mass", 1e-9, 0.0),
    "t": ("mass", 1e3, 0.0),
    "lb": ("mass", 0.45359237, 0.0),
    "s": ("time", 1.0, 0.0),
    "ms": ("time", 1e-3, 0.0),
    "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0),
    "d": ("time", 86400.0, 0.0),
    "a": ("time", 31557600.0, 0.0),
    "K": ("temperature", 1.0, 0.0),
    "degC": ("temperature", 1.0, 273.15),
    "degF": ("temperature", 5 / 9, 459.67 * 5 / 9),
    "Pa": ("pressure", 1.0, 0.0),
    "hPa": ("pressure", 1e2, 0.0),
    "kPa": ("pressure", 1e3, 0.0),
    "mbar": ("pressure", 1e2, 0.0),
    "bar": ("pressure", 1e5, 0.0),
    "atm": ("pressure", 101325.0, 0.0),
    "mmHg": ("pressure", 133.322, 0.0),
    "m/s": ("speed", 1.0, 0.0),
    "km/h": ("speed", 1 / 3.6, 0.0),
    "mph": ("speed", 0.44704, 0.0),
    "g/m3": ("mass concentration", 1.0, 0.0),
    "mg/m3": ("mass concentration", 1e-3, 0.0),
    "ug/m3": ("mass concentration", 1e-6, 0.0),
    "g/l": ("mass concentration", 1e3, 0.0),
    "mg/dl": ("mass concentration", 10.0, 0.0),
    "J": ("energy", 1.0, 0.0),
    "kJ": ("energy", 1e3, 0.0),
    "cal": ("energy", 4.184, 0.0),
    "kcal": ("energy", 4184.0, 0.0),
    "Wh": ("energy", 3600.0, 0.0),
    "kWh": ("energy", 3.6e6, 0.0),
    "W": ("power", 1.0, 0.0),
    "kW": ("power", 1e3, 0.0),
    "1": ("ratio", 1.0, 0.0),
    "%": ("ratio", 1e-2, 0.0),
    "rad": ("angle", 1.0, 0.0),
    "deg": ("angle", 0.017453292519943295, 0.0),
    "l": ("volume", 1e-3, 0.0),
    "ml": ("volume", 1e-6, 0.0),
    "m3": ("volume", 1.0, 0.0),
}

_SPELLINGS: Final = {
    "°C": "degC",
    "°F": "degF",
    "°": "deg",
    "µm": "um",
    "μm": "um",
    "µg": "ug",
    "μg": "ug",
    "µg/m3": "ug/m3",
    "μg/m3": "ug/m3",
    "µg/m³": "ug/m3",
    "μg/m³": "ug/m3",
    "mg/m³": "mg/m3",
    "g/m³": "g/m3",
    "m³": "m3",
    "L": "l",
    "mL": "ml",
    "mg/dL": "mg/dl",
    "g/L": "g/l",
}


def conversion(source: str, target: str) -> tuple[float, float] | None:
    """Return (factor, offset) with ``target value = factor * source value + offset``, or None.

    Equal spellings need no table; an empty unit is unknown and counts as the other side's.
    """
    source, target = _SPELLINGS.get(source, source), _SPELLINGS.get(target, target)
    if source == target or not source or not target:
        return 1.0, 0.0
    if source not in UNITS or target not in UNITS:
        return None
    quantity, factor, offset = UNITS[source]
    other_quantity, other_factor, other_offset = UNITS[target]
    if quantity != other_quantity:
        return None
    return factor / other_factor, (offset - other_offset) / other_factor
