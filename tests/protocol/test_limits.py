"""Every limit that is part of the wire format stands in the document with its value, and no other."""

from __future__ import annotations

import re

from skerry.protocol import limits
from tests.tree import ROOT

SOURCE = (ROOT / "protocol" / "limits.py").read_text(encoding="utf-8")
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
VERSIONS = {"PROTOCOL_VERSION_MIN", "PROTOCOL_VERSION_MAX"}
"""Which version this is says the document's first sentence."""


def wire_limits() -> dict[str, int]:
    """The constants whose documentation begins with (W)."""
    names = re.findall(r'^([A-Z_]+) = [^\n]+\n"""\(W\)', SOURCE, flags=re.MULTILINE)
    return {name: getattr(limits, name) for name in names if name not in VERSIONS}


def documented() -> dict[str, int]:
    """The limits of the format, which stand in the first section."""
    section = DOCUMENT.split("### Limits of the format")[1].split("## 2.")[0]
    return {name: int(value) for name, value in rows_of(section).items()}


def rows_of(section: str) -> dict[str, float]:
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| ([\d.]+) \|", section, flags=re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_the_limits_of_the_format_are_documented_with_their_values() -> None:
    assert documented() == wire_limits()
    assert len(wire_limits()) > 40


def test_every_limit_says_what_it_is_for() -> None:
    constants = re.findall(r"^([A-Z_]+) = ", SOURCE, flags=re.MULTILINE)
    explained = re.findall(r'^([A-Z_]+) = [^\n]+\n(?:[A-Z_]+ = [^\n]+\n)?"""', SOURCE, flags=re.MULTILINE)
    paired = re.findall(r'^[A-Z_]+ = [^\n]+\n([A-Z_]+) = [^\n]+\n"""', SOURCE, flags=re.MULTILINE)
    assert sorted({*explained, *paired}) == sorted(constants)
