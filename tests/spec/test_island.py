from __future__ import annotations

import hashlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Column, Island
from skerry.spec.island import ISLAND_DOMAIN
from tests.spec.strategies import NAMES

FROZEN_ID = "1410b541c9ad61a13e6061f07f9e57a7141471076235f4d9169cf0d1fdde1d0c"


def test_id_follows_the_written_form() -> None:
    island = Island("table", (Column("age", "a"), Column("weight", "kg")), 2)
    written = msgpack.packb(["table", [["age", "a"], ["weight", "kg"]], 2, ""])
    assert island.id == hashlib.sha256(ISLAND_DOMAIN + written).digest()
    # Frozen: a change of this value orphans every published learnware.
    assert island.id.hex() == FROZEN_ID


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True))
def test_every_part_counts(names: list[str]) -> None:
    try:
        columns = tuple(Column(name) for name in names)
        island = Island("table", columns, len(columns))
    except SpecificationError:
        return  # two names that are equal in normal form
    others = [
        Island("table", columns[::-1], len(columns)),
        Island("table", None, len(columns)),
        Island("table", (Column(names[0], "m"), *columns[1:]), len(columns)),
        Island("text", columns, len(columns)),
        Island("table", columns, len(columns), "extractor"),
    ]
    assert len({island.id, *(other.id for other in others)}) == 6


def test_names_are_compared_in_normal_form() -> None:
    assert Column("u\u0308ber") == Column("über")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("tables", None, 2), "kind"),
        (("table", None, 0), "dimension"),
        (("table", None, 10**5), "dimension"),
        (("table", (Column("a"),), 2), "columns"),
        (("table", (Column("a"), Column("a")), 2), "columns"),
        (("text", None, 2, "x" * 101), "island.extractor"),
    ],
)
def test_refusals_name_the_field(arguments: tuple[object, ...], field: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        Island(*arguments)  # type: ignore[arg-type] # wrong on purpose
    assert caught.value.where == field


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "x" * 201, "\ud800", 5])
def test_bad_names_are_refused(name: object) -> None:
    with pytest.raises(SpecificationError, match=r"columns\.name"):
        Column(name)  # type: ignore[arg-type] # wrong on purpose
