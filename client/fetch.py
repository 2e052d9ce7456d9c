"""Fetching blobs straight from the nodes that serve them, into the one cache.

Theory of operation. A blob's name is the root of its hash tree, so it does not matter who sends it. The
leaf list comes first and must hash to the name; then ranges of leaves are asked for over a few connections
in parallel, from its owner and its mirrors (see :mod:`.downloading`), and every leaf is verified before it is
written. What was written counts, whatever happens next: after a broken line, another source, or a ``kill
-9``, the next attempt asks for the missing leaves only. The whole blob appears in the cache by one rename
(see :mod:`skerry.package.blobs`).

Rules of this file:

1. No byte is kept that was not verified.
2. A source that fails costs an attempt, not the fetch; when all fail, the error names each address and
   its reason.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from pathlib import Path

from skerry.errors import SkerryError, Unavailable
from skerry.package.blobs import BlobStore
from skerry.package.hashtree import HASH_BYTES, leaf_count, verify_leaves
from skerry.protocol.api import Source
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .downloading import FINAL, WHOLE, Download, Place, Progress, bearer, expect
from .limits import FETCH_ATTEMPTS_MAX, FETCH_RETRY_SECONDS
from .owner import connect

__all__ = ["Progress", "fetch", "no_progress"]


def no_progress(have: int, size: int) -> None:
    """Show nothing."""


def fetch(
    cache: BlobStore,
    root: bytes,
    size: int,
    sources: Sequence[Source],
    progress: Progress = no_progress,
    *,
    bytes_per_second: int = 0,
) -> Path:
    """Return the path of a blob in the cache, fetched if it is not there.

    Parameters
    ----------
    cache
        Where blobs lie; shared by all processes of a user.
    root
        The blob's name, 32 bytes.
    size
        Its bytes, as the card says.
    sources
        Nodes that serve it: its owner and its mirrors.
    progress
        Told about every leaf; called from several threads, one at a time.
    bytes_per_second
        Limit for this blob; 0 for none.

    Raises
    ------
    Unavailable
        ``E-FETCH-SOURCES``: nobody could be reached.
    NotFound
        ``E-FETCH-GONE``: the owner answers, but no longer serves it.
    RemoteProtocolError
        ``E-PROTOCOL-HASH-WRONG``: what came is not what was named.
    TransportError
        ``E-FETCH-PIN``: another node answers at the owner's address.
    """
    if cache.exists(root):
        return cache.path(root)
    places = [Place(source, address) for source in sources for address in source.addresses]
    leaves = _leaf_list(cache, root, size, places)
    if leaves is not None:
        partial = cache.partial(root, size, leaves)
        if Download(partial, places, progress, bytes_per_second).run():
            return partial.finish()
    raise _failed(root, places)


def _leaf_list(cache: BlobStore, root: bytes, size: int, places: Sequence[Place]) -> tuple[bytes, ...] | None:
    """Return the verified leaf list: the one kept from an earlier attempt, or the first source's that has it.

    A place that does not have it notes why; None when none has.
    """
    for tree in cache.resumable():
        if tree.root == root and tree.size == size:
            return tree.leaves
    for attempt in range(FETCH_ATTEMPTS_MAX):
        if attempt and any(place.usable for place in places):
            time.sleep(FETCH_RETRY_SECONDS * attempt)
        for place in places:
            if not place.usable:
                continue
            try:
                return _leaves_from(place, root, size)
            except FINAL as error:
                place.failure, place.usable = error, False
            except (OSError, http.client.HTTPException) as error:
                place.failure = error
    return None


def _leaves_from(place: Place, root: bytes, size: int) -> tuple[bytes, ...]:
    connection = connect(place.source, place.address)
    try:
        path = f"{place.source.prefix}/blob/{root.hex()}/leaves"
        connection.request("GET", path, headers=bearer(place.source))
        with connection.getresponse() as response:
            expect(response, place.address, *WHOLE)
            raw = response.read(leaf_count(size) * HASH_BYTES + 1)
    finally:
        connection.close()
    leaves = tuple(raw[start : start + HASH_BYTES] for start in range(0, len(raw), HASH_BYTES))
    if not verify_leaves(root, size, leaves):
        why = "its leaf list does not hash to the name in the signed card"
        raise RemoteProtocolError(Violation.HASH_WRONG, why, where=place.address)
    return leaves


def _failed(root: bytes, places: Sequence[Place]) -> SkerryError:
    """Return the error that says most: a wrong sender before an absent blob before a silent address."""
    failures = {place.address: place.failure for place in places if place.failure is not None}
    for kind in FINAL:
        for error in failures.values():
            if isinstance(error, kind):
                return error
    reasons = [f"{address}: {error}" for address, error in failures.items()]
    return Unavailable(
        "The owner cannot be reached",
        where=root.hex()[:16],
        why="; ".join(reasons) or "no address of it is known",
        todo="Try again later: what arrived so far is kept",
        code="E-FETCH-SOURCES",
    )
