"""MessagePack in and out: strict, bounded, and the same answer on every machine.

Theory of operation. Each record and message is a frozen msgspec struct; a :class:`Format` encodes it and
decodes it with its types and limits checked while the bytes are read. Two things msgspec leaves open would
let two readers disagree, so they are closed here before it runs:

- a field given twice (msgspec keeps the last one, others the first), and
- how deep an unknown field may nest (msgspec goes as far as the interpreter's stack allows).

Both need a field that the struct does not have, or has already. In a map of exactly the struct's length such
a field takes the place of a known one, so the map is refused in any case: as "missing field", or, where
msgspec meets a deep value first, by its recursion limit. Maps of that length therefore go straight to
msgspec; any other is walked first, and so is every map of a struct with a field that may be missing.
Structs inside a record are closed (``forbid_unknown_fields``): later versions add fields to the record
itself.

Rules of this file:

1. :meth:`Format.decode` raises RemoteProtocolError and nothing else, whatever the bytes.
2. Sizes are checked before anything is decoded, and no length that the bytes claim is ever allocated.
3. Nothing is encoded again in order to be verified: callers keep the bytes that they received.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from .errors import RemoteProtocolError
from .limits import INTEGER_MAX, NESTING_DEPTH_MAX
from .violations import Violation

T = TypeVar("T", bound=msgspec.Struct)

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A SHA-256, an id or a nonce."""
HeadId = Annotated[bytes, Meta(min_length=8, max_length=32)]
"""The first bytes of the hash of a head that both sides are likely to know."""
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An Ed25519 public key."""
HashOrNone = Annotated[bytes, Meta(max_length=32)]
"""A hash, or no bytes; whoever reads it checks that the length is 0 or 32."""
Natural = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
"""A whole number from 0 that every language holds exactly."""

_encoder = msgspec.msgpack.Encoder()


class Format(Generic[T]):
    """How one kind of value is written and read.

    Parameters
    ----------
    struct
        The msgspec struct.
    name
        What errors call it.
    bytes_max
        Longest encoding that is accepted.
    """

    def __init__(self, struct: type[T], name: str, bytes_max: int) -> None:
        self.name = name
        self.bytes_max = bytes_max
        self._decoder = msgspec.msgpack.Decoder(struct, strict=True)
        config = struct.__struct_config__
        fields = len(struct.__struct_fields__) + (config.tag is not None)
        self._known_start = b"" if config.array_like else _map_start(fields)
        # Where a field may be missing, a field given twice could stand in its place.
        self._walk_always = bool(struct.__struct_defaults__) and not config.array_like

    def encode(self, value: T) -> bytes:
        """Return the one encoding of a value: all fields, in the struct's order."""
        return _encoder.encode(value)

    def decode(self, data: bytes) -> T:
        """Return the value that the bytes hold.

        Raises
        ------
        RemoteProtocolError
            The bytes are too long, nested too deep, or not exactly one value of this form.
        """
        if len(data) > self.bytes_max:
            raise RemoteProtocolError(
                Violation.TOO_LARGE, f"{len(data)} bytes of at most {self.bytes_max}", where=self.name
            )
        if self._walk_always or not data.startswith(self._known_start):
            _check_unknown_fields(data, self.name)
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(Violation.MALFORMED, str(error), where=self.name) from error


def _map_start(entries: int) -> bytes:
    """Return the first bytes of a map with so many entries."""
    return bytes([0x80 | entries]) if entries < 16 else b"\xde" + entries.to_bytes(2, "big")


def _check_unknown_fields(data: bytes, name: str) -> None:
    """Refuse a map that nests too deep, holds a field twice, or is no map of plain values at all."""
    check_depth(data, name)
    try:
        untyped = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise RemoteProtocolError(Violation.MALFORMED, str(error), where=name) from error
    if not isinstance(untyped, dict) or not data.startswith(_map_start(len(untyped))):
        raise RemoteProtocolError(Violation.MALFORMED, "no map, or a field given twice", where=name)


# First bytes of MessagePack whose value follows: bytes of its length field, and bytes after that field.
_BYTES_WITH_LENGTH = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0)}  # bin
_BYTES_WITH_LENGTH |= {0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}  # ext
_BYTES_WITH_LENGTH |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}  # str
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Bytes of the length field, and values per entry (a map's entry is two)."""
_FIXED_BYTES = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9}  # nil, booleans, floats
_FIXED_BYTES |= {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}  # integers
_FIXED_BYTES |= {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}  # fixext


def _step(data: bytes, position: int) -> tuple[int, int]:
    """Return how many values the one at ``position`` contains, and where they, or the next one, begin."""
    first = data[position]
    if first < 0x80 or first >= 0xE0:
        return 0, position + 1
    if first < 0xA0:
        return (first & 15) * (2 if first < 0x90 else 1), position + 1
    if first < 0xC0:
        return 0, position + 1 + (first & 31)
    if first in _FIXED_BYTES:
        return 0, position + _FIXED_BYTES[first]
    if first in _BYTES_WITH_LENGTH:
        width, extra = _BYTES_WITH_LENGTH[first]
        length = int.from_bytes(data[position + 1 : position + 1 + width], "big")
        return 0, position + 1 + width + extra + length
    width, values = _CONTAINERS[first]
    return values * int.from_bytes(data[position + 1 : position + 1 + width], "big"), position + 1 + width


def check_depth(data: bytes, name: str) -> None:
    """Refuse bytes that nest deeper than the limit or end early, in time proportional to their length."""
    position = 0
    unread = [1]
    try:
        while unread:
            if unread[-1] == 0:
                unread.pop()
                continue
            unread[-1] -= 1
            contained, position = _step(data, position)
            if contained:
                unread.append(contained)
            if len(unread) > NESTING_DEPTH_MAX + 1:
                raise RemoteProtocolError(
                    Violation.TOO_DEEP, f"more than {NESTING_DEPTH_MAX} levels", where=name
                )
    except (IndexError, KeyError) as error:
        raise RemoteProtocolError(
            Violation.MALFORMED, f"no MessagePack at byte {position}", where=name
        ) from error
