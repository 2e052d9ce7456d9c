"""What four nodes really sent: reading the taps, and looking for rows in them.

A node's tap holds every byte that it handed to its connections with other machines, above TLS. Three
things hide in it and are brought to light first: WebSocket frames from dialling nodes are masked (RFC
6455, 5.3), packages are zips, and both stand between the bytes of other connections. Then each row is
looked for as consecutive float64 or float32 of either byte order, at every offset, and as text in the
usual spellings.

The search finds what is contiguous. Blobs of the demo are far smaller than one leaf, so each was sent in
one piece.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from skerry.client.limits import INFLATED_BYTES_MAX

Floats = npt.NDArray[np.float64]

_MASKED_FRAME = re.compile(rb"[\x81\x82][\xfe\xff\x80-\xfd]")
_MESSAGE = re.compile(rb"[\x81-\x8f]\xa4type")
"""How every gossip message begins: a map whose first key is "type"."""
_LOCAL_HEADER: Final = b"PK\x03\x04"
_DEFLATED: Final = 8
_BLOB_ANSWER = re.compile(rb"HTTP/1\.1 20[06] [^\r]*\r\n((?:[^\r\n]+\r\n)+)\r\n")
_ETAG = re.compile(rb'etag: *"([0-9a-f]{64})"', re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]{16,}")
_BETWEEN: Final = b"\x00" * 16
"""Stands between the parts that are searched as one; it can hide no row, since rows stand within parts."""
_BINARY_TYPES: Final = ("<f8", ">f8", "<f4", ">f4")
_SEPARATORS: Final = (",", ", ", ";", "\t", " ")
_MISSING: Final = ("", "nan", "NaN", "null", "None", "?")


@dataclass(frozen=True)
class Sent:
    """What one node sent.

    Attributes
    ----------
    size
        Bytes in all.
    plain
        The bytes as sent, then everything that was masked or compressed in them.
    blobs
        Bytes of answers by the name of the blob that they were about.
    """

    size: int
    plain: tuple[bytes, ...]
    blobs: dict[str, int]


def read_tap(path: Path) -> Sent:
    """Return what the node with this tap sent."""
    data = path.read_bytes()
    return Sent(len(data), (data, *_unmasked(data), *_inflated(data)), _blob_bytes(data))


def rows_found(sent: Sequence[Sent], rows: Floats) -> set[int]:
    """Return which of these rows (n, d) occur in what the nodes sent, in any of the spellings."""
    data = _BETWEEN.join(part for one in sent for part in one.plain)
    found = {index for dtype in _BINARY_TYPES for index in _binary_rows(data, rows, dtype)}
    text = b"\n".join(_PRINTABLE.findall(data))
    return found | {index for index, row in enumerate(rows) if any(one in text for one in _spellings(row))}


def _binary_rows(data: bytes, rows: Floats, dtype: str) -> Iterator[int]:
    """Yield the rows that stand in `data` as consecutive numbers of a type, at whatever offset."""
    needles = {row.tobytes(): index for index, row in enumerate(rows.astype(dtype))}
    width = np.dtype(dtype).itemsize
    firsts = np.unique(rows[:, :2].astype(dtype), axis=0)
    length = rows.shape[1] * width
    for shift in range(width):
        count = (len(data) - shift) // width
        numbers = np.frombuffer(data, dtype=dtype, count=count, offset=shift)
        # Two columns narrow the places down to a few, where the whole row is then compared.
        pairs = np.isin(numbers[:-1], firsts[:, 0]) & np.isin(numbers[1:], firsts[:, 1])
        for place in np.flatnonzero(pairs):
            start = shift + int(place) * width
            if (index := needles.get(data[start : start + length])) is not None:
                yield index


def _spellings(row: Floats) -> Iterator[bytes]:
    """Yield a row as text: with and without decimals, with the usual separators and signs for missing."""
    missing = _MISSING if np.isnan(row).any() else ("",)
    for whole in ("{:g}", "{!r}"):
        for sign in missing:
            cells = [sign if np.isnan(value) else whole.format(float(value)) for value in row]
            for separator in _SEPARATORS:
                yield separator.join(cells).encode()


def _unmasked(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a dialling node's WebSocket frames."""
    for match in _MASKED_FRAME.finditer(data):
        length, start = _frame_length(data, match.start())
        mask, payload = data[start : start + 4], data[start + 4 : start + 4 + length]
        if len(mask) == 4 and len(payload) == length:
            message = _xor(payload, mask)
            if _MESSAGE.match(message):
                yield message


def _frame_length(data: bytes, start: int) -> tuple[int, int]:
    """Return the payload's length of the frame at `start`, and where its mask stands (RFC 6455, 5.2)."""
    short = data[start + 1] & 0x7F
    wide = {126: 2, 127: 8}.get(short, 0)
    end = start + 2 + wide
    return (int.from_bytes(data[start + 2 : end], "big") if wide else short), end


def _xor(payload: bytes, mask: bytes) -> bytes:
    key = np.frombuffer((mask * (len(payload) // 4 + 1))[: len(payload)], dtype=np.uint8)
    return np.bitwise_xor(np.frombuffer(payload, dtype=np.uint8), key).tobytes()


def _inflated(data: bytes) -> Iterator[bytes]:
    """Yield the content of every compressed zip member; a stored one is plain already."""
    start = data.find(_LOCAL_HEADER)
    while start >= 0:
        method = int.from_bytes(data[start + 8 : start + 10], "little")
        names = sum(int.from_bytes(data[start + at : start + at + 2], "little") for at in (26, 28))
        if method == _DEFLATED:
            yield _inflate(data[start + 30 + names :])
        start = data.find(_LOCAL_HEADER, start + 4)


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, INFLATED_BYTES_MAX)
    except zlib.error:
        return b""  # the four bytes stood there by chance


def _blob_bytes(data: bytes) -> dict[str, int]:
    """Return the bytes of blobs that were sent, by name: the answers say which they are about."""
    sizes: dict[str, int] = {}
    for match in _BLOB_ANSWER.finditer(data):
        name, length = _ETAG.search(match[1]), _LENGTH.search(match[1])
        if name and length:
            sizes[name[1].decode()] = sizes.get(name[1].decode(), 0) + int(length[1])
    return sizes
