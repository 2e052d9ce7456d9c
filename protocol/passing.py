"""The messages of nodes that cannot be dialled: dial requests that are passed on, and ranges of blobs.

They are part of :mod:`.messages` and obey its rules. A range is asked for and answered by two nodes with a
connection between them, whoever opened it; :mod:`.reaching` says who may ask for what.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .encoding import Hash, Key, Natural
from .limits import RANGE_BYTES_MAX


class DialRequest(Struct, frozen=True, tag_field="type", tag="dial?"):
    """Asks a peer that a node names in ``via`` to have that node dial the sender."""

    node: Key


class Dial(Struct, frozen=True, tag_field="type", tag="dial"):
    """Passes on that a node would like to be dialled by the receiver; its record was sent before."""

    node: Key


class RangeRequest(Struct, frozen=True, tag_field="type", tag="range?"):
    """Asks for a part of one of the receiver's blobs, or with ``leaves`` of the blob's leaf hashes."""

    ticket: Natural
    root: Hash
    leaves: bool
    offset: Natural
    length: Annotated[int, Meta(ge=1, le=RANGE_BYTES_MAX)]


class RangePart(Struct, frozen=True, tag_field="type", tag="range"):
    """Answers ``range?``: the bytes from the offset on; fewer at the end, none where it is not there."""

    ticket: Natural
    data: Annotated[bytes, Meta(max_length=RANGE_BYTES_MAX)]


PASSING_TYPES: tuple[type[Struct], ...] = (DialRequest, Dial, RangeRequest, RangePart)
"""The messages of this module."""
