"""What nodes say to each other on a connection, one message a frame.

A message is a MessagePack map whose first field is ``type``; a frame has at most 64 KiB. Within version 1 a
message of a type that the reader does not know is ignored (:class:`UnknownMessage`), so that later versions
can add some.

Rules of this file:

1. A message decodes to a struct whose sizes are within limits; whether it may come *now*, and whether what it
   carries is true, is for the state to judge.
2. Requests end in ``?`` on the wire, and every answer repeats what was asked, so that it can be matched.
3. A list that could outgrow a frame is sent in several messages; :func:`chunk` cuts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from .encoding import Format, Hash, HashOrNone, HeadId, Natural
from .errors import LocalProtocolError, RemoteProtocolError
from .exchange import EXCHANGE_TYPES
from .limits import (
    CARD_BYTES_MAX,
    CARD_HASHES_MAX,
    CHAIN_CHARTERS_MAX,
    CHAIN_WORK,
    CHARTER_BYTES_MAX,
    ENVELOPE_BYTES_MAX,
    ENVELOPE_WORK,
    FRAME_BYTES_MAX,
    FRAME_ITEMS_MAX,
    GROUPS_MAX,
    ITEM_BYTES_OVERHEAD,
    JOIN_HOPS_MAX,
    MESSAGE_BYTES_OVERHEAD,
    MESSAGE_TYPE_CHARACTERS_MAX,
    NETWORK_CHARACTERS_MAX,
    REMOVED_IDS_MAX,
    ROSTER_TIPS_MAX,
    TOKEN_BYTES_MAX,
    TREE_BITS_MAX,
)
from .node_record import Versions
from .passing import PASSING_TYPES
from .tree import CHILD_BYTES, LEAF_BYTES_MAX, LEVEL_MAX, TOP_LEVEL
from .violations import Violation

EnvelopeBytes = Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)]
CharterBytes = Annotated[bytes, Meta(max_length=CHARTER_BYTES_MAX)]
CharterChain = Annotated[tuple[CharterBytes, ...], Meta(min_length=1, max_length=CHAIN_CHARTERS_MAX)]
CardBytes = Annotated[bytes, Meta(max_length=CARD_BYTES_MAX)]
Level = Annotated[int, Meta(ge=0, le=TOP_LEVEL)]
Index = Annotated[int, Meta(ge=0, lt=2**TREE_BITS_MAX)]


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The first message of each side: what it speaks, and a nonce that the other's proof must cover."""

    versions: Versions
    network: Annotated[str, Meta(max_length=NETWORK_CHARACTERS_MAX)]
    nonce: Hash


class HelloProof(Struct, frozen=True, tag_field="type", tag="proof"):
    """The second message of each side: who it is."""

    charters: CharterChain
    node: EnvelopeBytes
    proof: EnvelopeBytes


class Digest(Struct, frozen=True, tag_field="type", tag="digest"):
    """All verified heads that the sender holds in a scope, as one fingerprint."""

    scope: HashOrNone
    count: Natural
    fingerprint: Hash


class Records(Struct, frozen=True, tag_field="type", tag="records"):
    """Envelopes, and before them the charter chains of their owners."""

    charters: Annotated[tuple[CharterChain, ...], Meta(max_length=FRAME_ITEMS_MAX)]
    envelopes: Annotated[tuple[EnvelopeBytes, ...], Meta(max_length=FRAME_ITEMS_MAX)]

    @property
    def work(self) -> float:
        """Return the units that it costs its sender where nobody asked for it."""
        return CHAIN_WORK * len(self.charters) + ENVELOPE_WORK * len(self.envelopes)


class Join(Struct, frozen=True, tag_field="type", tag="join"):
    """A newcomer's node record on its walk: it is passed on ``hops`` times more, and then dialled."""

    charters: CharterChain
    record: EnvelopeBytes
    hops: Annotated[int, Meta(ge=0, le=JOIN_HOPS_MAX)]


class TreeRequest(Struct, frozen=True, tag_field="type", tag="tree?"):
    """Asks for what is below one node of a tree: of a shelf, or with no island of the catalogue itself."""

    head: Hash
    island: HashOrNone
    level: Level
    index: Index


class Tree(Struct, frozen=True, tag_field="type", tag="tree"):
    """The children of a tree node, or at level 0 the leaves of a bucket; the other list is empty."""

    head: Hash
    island: HashOrNone
    level: Annotated[int, Meta(ge=0, le=LEVEL_MAX)]
    index: Index
    k: Annotated[int, Meta(ge=0, le=TREE_BITS_MAX)]
    children: Annotated[
        tuple[Annotated[bytes, Meta(min_length=CHILD_BYTES, max_length=CHILD_BYTES)], ...],
        Meta(max_length=FRAME_ITEMS_MAX),
    ]
    leaves: Annotated[
        tuple[Annotated[bytes, Meta(max_length=LEAF_BYTES_MAX)], ...], Meta(max_length=FRAME_ITEMS_MAX)
    ]


class CardsRequest(Struct, frozen=True, tag_field="type", tag="cards?"):
    """Asks for cards of a catalogue by their hashes."""

    head: Hash
    hashes: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=CARD_HASHES_MAX)]


class Cards(Struct, frozen=True, tag_field="type", tag="cards"):
    """Cards that were asked for."""

    head: Hash
    cards: Annotated[tuple[CardBytes, ...], Meta(max_length=FRAME_ITEMS_MAX)]


class News(Struct, frozen=True, tag_field="type", tag="news"):
    """A new head, with the changes after seq ``since`` when they fit: cards added, ids of cards removed."""

    envelope: EnvelopeBytes
    since: Natural
    cards: Annotated[tuple[CardBytes, ...], Meta(max_length=FRAME_ITEMS_MAX)]
    removed: Annotated[tuple[Hash, ...], Meta(max_length=REMOVED_IDS_MAX)]

    @property
    def work(self) -> float:
        """Return the units that it costs its sender where nobody asked for it."""
        return ENVELOPE_WORK + len(self.cards)


class Missing(Struct, frozen=True, tag_field="type", tag="missing"):
    """Says that the sender no longer has a head it was asked about."""

    head: HeadId


class Groups(Struct, frozen=True, tag_field="type", tag="groups"):
    """The sender's groups, blinded for this connection; always ``GROUPS_MAX`` tags, the rest at random."""

    tags: Annotated[tuple[Hash, ...], Meta(min_length=GROUPS_MAX, max_length=GROUPS_MAX)]


class RosterTips(Struct, frozen=True, tag_field="type", tag="roster"):
    """The hashes of the newest rosters of a group that the sender knows."""

    scope: Hash
    tips: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=ROSTER_TIPS_MAX)]


class Token(Struct, frozen=True, tag_field="type", tag="token"):
    """What the receiver sends with requests for the sender's blobs, so that it is known for a member."""

    token: Annotated[bytes, Meta(max_length=TOKEN_BYTES_MAX)]
    seconds: Natural


MESSAGE_TYPES: tuple[type[Struct], ...] = (
    Hello,
    HelloProof,
    Digest,
    Records,
    Join,
    TreeRequest,
    Tree,
    CardsRequest,
    Cards,
    News,
    Missing,
    Groups,
    RosterTips,
    Token,
    *EXCHANGE_TYPES,
    *PASSING_TYPES,
)
"""Every message of this version."""

Message = Struct
"""One of MESSAGE_TYPES."""


class UnknownMessage(Struct, frozen=True):
    """A message of a type that this version does not know; to be ignored."""

    type: str


_TYPE_KEY = b"\xa4type"


class MessageFormat:
    """How messages are written and read: the type first decides the rest."""

    def __init__(self, types: Sequence[type[Struct]]) -> None:
        self._formats: dict[str, Format[Any]] = {
            str(item.__struct_config__.tag): Format(item, str(item.__struct_config__.tag), FRAME_BYTES_MAX)
            for item in types
        }

    def encode(self, message: Message) -> bytes:
        """Return the frame that carries a message.

        Raises
        ------
        LocalProtocolError
            It does not fit into a frame.
        """
        frame = self._formats[str(message.__struct_config__.tag)].encode(message)
        if len(frame) > FRAME_BYTES_MAX:
            raise LocalProtocolError(
                "a message is too large",
                where=type(message).__name__,
                why=f"{len(frame)} bytes of at most {FRAME_BYTES_MAX}",
                todo="send it in chunks",
            )
        return frame

    def decode(self, frame: bytes) -> Message:
        """Return the message in a frame, :class:`UnknownMessage` for a type that this version does not know.

        Raises
        ------
        RemoteProtocolError
            The frame is too large, or not exactly one well-formed message.
        """
        if len(frame) > FRAME_BYTES_MAX:
            raise RemoteProtocolError(Violation.TOO_LARGE, f"{len(frame)} bytes", where="frame")
        name = _type_of(frame)
        form = self._formats.get(name)
        message: Message = UnknownMessage(name) if form is None else form.decode(frame)
        return message


def _type_of(frame: bytes) -> str:
    """Return the type of a message: the first field of a map, a short string."""
    start = 3 if frame[:1] == b"\xde" else 1
    name_start = start + len(_TYPE_KEY) + 1
    head = frame[name_start - 1 : name_start]
    is_map = start == 3 or b"\x80" <= frame[:1] < b"\x90"
    if not is_map or frame[start : name_start - 1] != _TYPE_KEY or not b"\xa1" <= head < b"\xc0":
        raise RemoteProtocolError(Violation.MALFORMED, "a message begins with its type", where="frame")
    name = frame[name_start : name_start + (head[0] & MESSAGE_TYPE_CHARACTERS_MAX)]
    if not name.isascii():
        raise RemoteProtocolError(Violation.MALFORMED, "a type of other than ASCII", where="frame")
    return name.decode("ascii")


MESSAGE = MessageFormat(MESSAGE_TYPES)


def chunk(items: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut byte strings into lists that each fit a frame, in order; nothing for an empty sequence.

    Parameters
    ----------
    items
        Cards, envelopes or hashes.

    Raises
    ------
    LocalProtocolError
        One item alone is larger.
    """
    room_max = FRAME_BYTES_MAX - MESSAGE_BYTES_OVERHEAD
    part: list[bytes] = []
    room = room_max
    for item in items:
        need = len(item) + ITEM_BYTES_OVERHEAD
        if need > room_max:
            raise LocalProtocolError("an item is too large for a frame", why=f"{len(item)} bytes")
        if need > room or len(part) == FRAME_ITEMS_MAX:
            yield part
            part, room = [], room_max
        part.append(item)
        room -= need
    if part:
        yield part
