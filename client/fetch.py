"""Fetching blobs straight from the node that owns them, into the one cache.

Theory of operation. A blob's name is the root of its hash tree, so it does not matter who sends it. The
leaf list comes first and must hash to the name; then ranges of leaves are asked for over a few
connections in parallel, and every leaf is verified before it is written. What was written counts,
whatever happens next: after a broken line, another source, or a ``kill -9``, the next attempt asks for
the missing leaves only. The whole blob appears in the cache by one rename (see
:mod:`skerry.package.blobs`).

Rules of this file:

1. No byte is kept that was not verified; a source that sends a wrong one is not asked again.
2. A source that fails costs an attempt, not the fetch; when all fail, the error names each address and
   its reason.
"""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from skerry.errors import NotFound, SkerryError, TransportError, Unavailable
from skerry.package.blobs import BlobStore, PartialBlob
from skerry.package.hashtree import HASH_BYTES, leaf_count, leaf_size, verify_leaves
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.api import Source
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .limits import (
    FETCH_ATTEMPTS_MAX,
    FETCH_CONNECTIONS_MAX,
    FETCH_LEAVES_PER_REQUEST_MAX,
    FETCH_RETRY_SECONDS,
)
from .owner import connect

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole blob."""

_PART: Final = (http.client.PARTIAL_CONTENT,)
_WHOLE: Final = (http.client.OK, http.client.PARTIAL_CONTENT)
"""Statuses of an answer that holds all bytes of what was asked for, even if that was asked for as a range."""
_FINAL: Final = (RemoteProtocolError, TransportError, NotFound)
"""Failures that the same source would repeat: it has no such blob, or it is not who it should be."""


def no_progress(have: int, size: int) -> None:
    """Show nothing."""


def fetch(
    cache: BlobStore, root: bytes, size: int, sources: Sequence[Source], progress: Progress = no_progress
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
        Nodes that serve it, tried in order.
    progress
        Told about every leaf; called from several threads, one at a time.

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
    failures: dict[str, Exception] = {}
    for attempt in range(FETCH_ATTEMPTS_MAX):
        if attempt:
            time.sleep(FETCH_RETRY_SECONDS * attempt)
        for source, address in _addresses(sources):
            if isinstance(failures.get(address), _FINAL):
                continue
            try:
                return _from_address(cache, root, size, source, address, progress)
            except (OSError, http.client.HTTPException, *_FINAL) as error:
                failures[address] = error
    raise _failed(root, failures)


def _from_address(
    cache: BlobStore, root: bytes, size: int, source: Source, address: str, progress: Progress
) -> Path:
    partial = cache.partial(root, size, _leaf_list(cache, root, size, source, address))
    _Download(partial, source, address, progress).run()
    return partial.finish()


def _leaf_list(cache: BlobStore, root: bytes, size: int, source: Source, address: str) -> tuple[bytes, ...]:
    """Return the verified leaf list: the one kept from an earlier attempt, or the source's."""
    for tree in cache.resumable():
        if tree.root == root and tree.size == size:
            return tree.leaves
    connection = connect(source, address)
    try:
        connection.request("GET", f"{source.prefix}/blob/{root.hex()}/leaves")
        response = connection.getresponse()
        _expect(response, address, *_WHOLE)
        raw = response.read(leaf_count(size) * HASH_BYTES + 1)
    finally:
        connection.close()
    leaves = tuple(raw[start : start + HASH_BYTES] for start in range(0, len(raw), HASH_BYTES))
    if not verify_leaves(root, size, leaves):
        raise _unverified(address, "its leaf list does not hash to the name in the signed card")
    return leaves


class _Download:
    """The leaves that are missing from one partial blob, from one address, over several connections."""

    def __init__(self, partial: PartialBlob, source: Source, address: str, progress: Progress) -> None:
        self._partial = partial
        self._source = source
        self._address = address
        self._progress = progress
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._connections: list[http.client.HTTPSConnection] = []
        self._runs: queue.SimpleQueue[range] = queue.SimpleQueue()

    def run(self) -> None:
        """Fetch all missing leaves, or raise what the first connection that failed ran into."""
        runs = list(_runs(self._partial.missing()))
        for run in runs:
            self._runs.put(run)
        self._report()
        if not runs:
            return
        with ThreadPoolExecutor(min(FETCH_CONNECTIONS_MAX, len(runs))) as pool:
            try:
                for done in [pool.submit(self._work) for _ in range(min(FETCH_CONNECTIONS_MAX, len(runs)))]:
                    done.result()
            finally:
                self._stop()

    def _work(self) -> None:
        connection = connect(self._source, self._address)
        self._connections.append(connection)
        try:
            while not self._stopped.is_set():
                self._fetch_run(connection, self._runs.get_nowait())
        except queue.Empty:
            return
        finally:
            connection.close()

    def _fetch_run(self, connection: http.client.HTTPSConnection, run: range) -> None:
        size = self._partial.tree.size
        first, last = run.start * LEAF_BYTES, min(run.stop * LEAF_BYTES, size) - 1
        path = f"{self._source.prefix}/blob/{self._partial.tree.root.hex()}"
        connection.request("GET", path, headers={"Range": f"bytes={first}-{last}"})
        response = connection.getresponse()
        whole = last - first + 1 == size
        _expect(response, self._address, *(_WHOLE if whole else _PART))
        for index in run:
            if self._stopped.is_set():
                return
            self._keep(index, response.read(leaf_size(size, index)))
        response.read()

    def _keep(self, index: int, data: bytes) -> None:
        if len(data) < leaf_size(self._partial.tree.size, index):
            raise ConnectionError("the connection ended in the middle of an answer")
        with self._lock:
            if not self._partial.write_leaf(index, data):
                raise _unverified(self._address, f"leaf {index} is not the one that the signed card names")
            self._report()

    def _report(self) -> None:
        size = self._partial.tree.size
        missing = sum(leaf_size(size, index) for index in self._partial.missing())
        self._progress(size - missing, size)

    def _stop(self) -> None:
        """End the connections at once: one that waits for a silent owner would hold up everybody."""
        self._stopped.set()
        for connection in self._connections:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


def _runs(indices: Sequence[int]) -> Iterator[range]:
    """Yield neighbouring indices as ranges of bounded length."""
    start = 0
    for end in range(1, len(indices) + 1):
        whole = end == len(indices) or indices[end] != indices[end - 1] + 1
        if whole or end - start == FETCH_LEAVES_PER_REQUEST_MAX:
            yield range(indices[start], indices[end - 1] + 1)
            start = end


def _addresses(sources: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    for source in sources:
        for address in source.addresses:
            yield source, address


def _expect(response: http.client.HTTPResponse, address: str, *statuses: int) -> None:
    if response.status == http.client.NOT_FOUND:
        raise NotFound(
            "The owner does not serve this any more",
            where=address,
            why="it was withdrawn, or you may not have it",
            todo="Search again for what is there now",
            code="E-FETCH-GONE",
        )
    if response.status not in statuses:
        raise ConnectionError(f"the answer has status {response.status}")


def _failed(root: bytes, failures: dict[str, Exception]) -> SkerryError:
    """Return the error that says most: a wrong sender before an absent blob before a silent address."""
    for kind in _FINAL:
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


def _unverified(address: str, why: str) -> RemoteProtocolError:
    return RemoteProtocolError(Violation.HASH_WRONG, why, where=address)
