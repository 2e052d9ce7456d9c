"""What a node received from others, decoded: for tests that ask what it could have learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from skerry.protocol import MESSAGE

BINARY = 2


def streams(tap: Path) -> list[bytes]:
    """Return what came over each connection of a node that runs with a tap."""
    folder = tap.with_name(tap.name + ".received")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def messages(tap: Path) -> list[Struct]:
    """Return every gossip message that a node received; anything that is none fails here."""
    return [MESSAGE.decode(frame) for stream in streams(tap) for frame in frames(stream)]


def frames(stream: bytes) -> Iterator[bytes]:
    """Yield the payloads of the binary frames behind the greeting of a WebSocket (RFC 6455, section 5.2)."""
    head, _, rest = stream.partition(b"\r\n\r\n")
    if b"websocket" not in head.lower():
        return
    position = 0
    while position + 2 <= len(rest):
        first, second = rest[position], rest[position + 1]
        size, start = second & 0x7F, position + 2
        if size in (126, 127):
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(rest[start : start + width], "big"), start + width
        start += 4 if second & 0x80 else 0  # the mask; the tap took it off the payload
        if start + size > len(rest):
            return
        if first & 0x0F == BINARY:
            assert first & 0x80, "a message in pieces"
            yield rest[start : start + size]
        position = start + size


def scopes(message: Struct) -> set[bytes]:
    """Return the scopes that a message names."""
    return {value for name, value in structs.asdict(message).items() if name == "scope"}
