"""The document is complete: what goes over the wire, and what a node does of its own accord, is named."""

from __future__ import annotations

import re

import pytest
from msgspec import Struct
from msgspec.structs import fields

from skerry.protocol import limits
from skerry.protocol.messages import MESSAGE_TYPES, Hello, HelloProof
from skerry.protocol.records import KNOWN_TYPES

from .test_limits import DOCUMENT, SOURCE, rows_of

BEHAVIOUR = DOCUMENT.split("## 11. What a node does")[1]
TABLED = [kind for kind in MESSAGE_TYPES if kind not in (Hello, HelloProof)]
OWN_BUSINESS = re.compile(
    r"^(HISTORY|WHY|PULL|DIAL_FORGOTTEN|PUBLISH_QUEUE|BOOTSTRAP|ANCHORS|STRETCH|LOST|NETWORK_PREFIX|SCORE|ADDRESSES_REMEMBERED)"
)
"""How a node keeps its own house: nobody else can tell."""


@pytest.mark.parametrize("kind", TABLED, ids=lambda kind: kind.__struct_config__.tag)
def test_a_message_stands_in_the_table_with_its_fields_in_order(kind: type[Struct]) -> None:
    tag = str(kind.__struct_config__.tag)
    (row,) = re.findall(rf"^\| `{re.escape(tag)}` \|((?:[^|\\]|\\.)*)\|", DOCUMENT, flags=re.MULTILINE)
    plain = re.sub(r":[^,]*", "", row.replace(" or ", ", "))
    assert [name.strip() for name in plain.split(",") if name.strip()] == [item.name for item in fields(kind)]


@pytest.mark.parametrize("kind", sorted(KNOWN_TYPES))
def test_a_record_type_is_described(kind: str) -> None:
    assert f"`{kind}`" in DOCUMENT.split("## 3.")[0]


def test_what_a_node_does_of_its_own_accord_stands_there_with_its_values() -> None:
    written = rows_of(BEHAVIOUR)
    assert written == {name: getattr(limits, name) for name in written}
    assert len(written) > 30


def test_no_timer_and_no_number_of_links_is_left_out() -> None:
    section = SOURCE.split("# --- Gossip: membership")[1]
    timers = re.findall(
        r"^((?:[A-Z0-9_]+_SECONDS(?:_[A-Z]+)?)|LINKS_[A-Z_]+) = ", section, flags=re.MULTILINE
    )
    wire = re.findall(r'^([A-Z_]+) = [^\n]+\n"""\(W\)', SOURCE, flags=re.MULTILINE)
    expected = {name for name in timers if not OWN_BUSINESS.match(name)} - set(wire)
    assert expected - rows_of(BEHAVIOUR).keys() <= {"HEAD_OLD_SECONDS", "REACH_SECONDS", "VIA_SECONDS"}
