"""The messages by which nodes find each other, compare what they hold, and spread news.

They are part of :mod:`.messages`, which adds the messages that carry records, trees and cards, and obey its
rules. They stand apart because they belong to gossip alone: who only reads records and catalogues needs none
of them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .encoding import HashOrNone, HeadId
from .limits import (
    ANNOUNCED_HEADS_MAX,
    ENVELOPE_BYTES_MAX,
    OFFERED_IDS_MAX,
    RECONCILE_LEGS_MAX,
    RECONCILE_RANGES_MAX,
    RECORD_KEYS_MAX,
)
from .reconcile import Range

ShortId = Annotated[bytes, Meta(min_length=8, max_length=8)]
"""The first bytes of a record's hash."""
KeyPrefix = Annotated[bytes, Meta(min_length=8, max_length=32)]
"""The first bytes of a node key or of an owner's id."""


class Neighbour(Struct, frozen=True, tag_field="type", tag="neighbour"):
    """The first message of who dialled: whether it has no other link."""

    alone: bool


class Full(Struct, frozen=True, tag_field="type", tag="full"):
    """The sender has links enough: the receiver may stay for a repair, and should then look elsewhere."""


class Offer(Struct, frozen=True, tag_field="type", tag="offer"):
    """Names node records that the sender holds; with ``wants_offer`` it asks for the same.

    ``more`` says that the network is larger than a full membership: the sender knows more than it names.
    """

    ids: Annotated[tuple[ShortId, ...], Meta(max_length=OFFERED_IDS_MAX)]
    wants_offer: bool
    more: bool = False


class NodesRequest(Struct, frozen=True, tag_field="type", tag="nodes?"):
    """Asks for offered node records; they come as ``records``."""

    ids: Annotated[tuple[ShortId, ...], Meta(min_length=1, max_length=OFFERED_IDS_MAX)]


class Ranges(Struct, frozen=True, tag_field="type", tag="ranges"):
    """One leg of a reconciliation, see :mod:`.reconcile`."""

    scope: HashOrNone
    leg: Annotated[int, Meta(ge=1, le=RECONCILE_LEGS_MAX)]
    ranges: Annotated[tuple[Range, ...], Meta(max_length=RECONCILE_RANGES_MAX)]


class RecordsRequest(Struct, frozen=True, tag_field="type", tag="records?"):
    """Asks for the newest heads of node keys, and the charters of owners, whose first bytes are given."""

    scope: HashOrNone
    keys: Annotated[tuple[KeyPrefix, ...], Meta(min_length=1, max_length=RECORD_KEYS_MAX)]


class NewestRequest(Struct, frozen=True, tag_field="type", tag="newest?"):
    """Asks for the newest head of the sender's own key, before it signs the first one after a start."""

    scope: HashOrNone


class Newest(Struct, frozen=True, tag_field="type", tag="newest"):
    """Answers ``newest?``: the head's envelope, empty when the sender holds none."""

    scope: HashOrNone
    envelope: Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)]


class IHave(Struct, frozen=True, tag_field="type", tag="ihave"):
    """Names heads that the sender could push."""

    scope: HashOrNone
    heads: Annotated[tuple[HeadId, ...], Meta(min_length=1, max_length=ANNOUNCED_HEADS_MAX)]


class Graft(Struct, frozen=True, tag_field="type", tag="graft"):
    """Asks for an announced head, and to push from now on; without a head only the latter."""

    scope: HashOrNone
    head: HashOrNone


class Prune(Struct, frozen=True, tag_field="type", tag="prune"):
    """Asks to announce from now on instead of pushing: the pushes come several times."""

    scope: HashOrNone


EXCHANGE_TYPES: tuple[type[Struct], ...] = (
    Neighbour,
    Full,
    Offer,
    NodesRequest,
    Ranges,
    RecordsRequest,
    NewestRequest,
    Newest,
    IHave,
    Graft,
    Prune,
)
"""The messages of this module."""
