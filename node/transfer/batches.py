"""Many small blobs in one answer: ``POST /blobs``, for a search that compares hundreds of specifications.

Theory of operation. The request is the names, 32 bytes each. The answer is a *piece* for each blob that is
here, that the reader may have, and that fits: its name, its length in four bytes, and its bytes. What is left
out is asked for by its own name (``GET /blob/NAME``), which says why.

Rules of this file:

1. What is not there, what is not for this reader, and what is too large are left out alike.
2. A reader takes only what it asked for, and nothing before its bytes have its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skerry.errors import TransportError
from skerry.node.api.problems import BadRequest
from skerry.node.limits import BATCH_BLOB_BYTES_MAX, BATCH_BYTES_MAX, BATCH_ROOTS_MAX
from skerry.package.hashtree import HASH_BYTES, HashTree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

    import aiohttp

    from skerry.package.blobs import BlobStore

_LENGTH_BYTES: Final = 4


def asked_roots(body: bytes) -> list[bytes]:
    """Return the names in a request.

    Raises
    ------
    BadRequest
        ``E-API-NAME``: the body is no list of names, or one of too many.
    """
    if not body or len(body) % HASH_BYTES or len(body) > BATCH_ROOTS_MAX * HASH_BYTES:
        raise BadRequest(
            "The body is no list of names",
            where="POST /blobs",
            why=f"{len(body)} bytes instead of 1 to {BATCH_ROOTS_MAX} names of {HASH_BYTES}",
            code="E-API-NAME",
        )
    return [body[start : start + HASH_BYTES] for start in range(0, len(body), HASH_BYTES)]


def read_pieces(store: BlobStore, roots: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return (name, bytes) of the blobs that are here, as many as fit into one answer."""
    pieces, total = [], 0
    for root in roots:
        data = store.read(root)
        if data is None or len(data) > BATCH_BLOB_BYTES_MAX or total + len(data) > BATCH_BYTES_MAX:
            continue
        total += len(data)
        pieces.append((root, data))
    return pieces


def joined(pieces: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the body of an answer."""
    return b"".join(
        part for root, data in pieces for part in (root, len(data).to_bytes(_LENGTH_BYTES, "big"), data)
    )


def portions(sizes: Mapping[bytes, int]) -> list[list[bytes]]:
    """Return the names of the blobs that may be asked for together, given their sizes, a list a request."""
    made: list[list[bytes]] = []
    room = 0
    for root, size in sizes.items():
        if size > BATCH_BLOB_BYTES_MAX:
            continue
        if not made or size > room or len(made[-1]) == BATCH_ROOTS_MAX:
            made.append([])
            room = BATCH_BYTES_MAX
        made[-1].append(root)
        room -= size
    return made


async def pieces_of(
    response: aiohttp.ClientResponse, wanted: Collection[bytes]
) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield (name, bytes) of the verified blobs of an answer.

    Raises
    ------
    TransportError
        ``E-TRANSPORT-CORRUPT``: the answer holds something else than was asked for.
    """
    left = set(wanted)
    while not response.content.at_eof():
        head = await response.content.read(HASH_BYTES + _LENGTH_BYTES)
        if not head:
            return
        while len(head) < HASH_BYTES + _LENGTH_BYTES:
            head += await _exactly(response, HASH_BYTES + _LENGTH_BYTES - len(head))
        root, size = head[:HASH_BYTES], int.from_bytes(head[HASH_BYTES:], "big")
        if root not in left or size > BATCH_BLOB_BYTES_MAX:
            raise _corrupt(response, "a blob that was not asked for")
        data = await _exactly(response, size)
        if HashTree.of(data).root != root:
            raise _corrupt(response, "the bytes do not have the blob's name")
        left.discard(root)
        yield root, data


async def _exactly(response: aiohttp.ClientResponse, size: int) -> bytes:
    data: Sequence[int] = await response.content.readexactly(size)
    return bytes(data)


def _corrupt(response: aiohttp.ClientResponse, why: str) -> TransportError:
    return TransportError(
        "What a node sent is not what it should be",
        where=str(response.url),
        why=why,
        code="E-TRANSPORT-CORRUPT",
    )
