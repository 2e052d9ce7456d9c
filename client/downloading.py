"""Downloading the missing leaves of one blob from several places at once.

Theory of operation. The leaves that are missing stand in a queue of short runs. Workers take a run, ask
their place for it as one range, and verify and keep every leaf as it arrives. A worker chooses the place
that has the fewest workers: one owner gets several connections, an owner and its mirrors share them. What a
worker could not get goes back into the queue, for the same place after a pause, or for another.

Rules of this file:

1. A wrong leaf is a strike against its source: it costs that leaf, and the connection. At the second strike
   the source is dropped, and all its connections end.
2. A place that cannot be reached, or breaks off before a leaf came, is tried a few times; one that refuses is
   not asked again.
3. Nobody waits for a silent place once all leaves are here: its connections are cut.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from skerry.errors import NotFound, TransportError
from skerry.package.blobs import PartialBlob
from skerry.package.hashtree import leaf_size
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.api import Source
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .limits import (
    FETCH_ATTEMPTS_MAX,
    FETCH_CONNECTIONS_MAX,
    FETCH_LEAVES_PER_REQUEST_MAX,
    FETCH_LEAVES_PER_REQUEST_MIN,
    FETCH_REQUESTS_PER_CONNECTION,
    FETCH_RETRY_SECONDS,
    FETCH_STRIKES_MAX,
)
from .owner import connect

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole blob."""

WHOLE: Final = (http.client.OK, http.client.PARTIAL_CONTENT)
"""Statuses of an answer that holds all bytes of what was asked for, even if that was asked for as a range."""
FINAL: Final = (RemoteProtocolError, TransportError, NotFound)
"""Failures that the same place would repeat: it has no such blob, or it is not who it should be."""
_PART: Final = (http.client.PARTIAL_CONTENT,)


class Place:
    """One address of one source, and how it fared."""

    def __init__(self, source: Source, address: str) -> None:
        self.source = source
        self.address = address
        self.failure: Exception | None = None
        self.failures = 0
        self.workers = 0
        self.usable = True
        self.connections: list[http.client.HTTPSConnection] = []


class _Line:
    """What one worker has beside its connection: room for a leaf, and the leaves that came over it so far."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(LEAF_BYTES))
        self.brought = 0


class Download:
    """The leaves that are missing from one partial blob.

    Parameters
    ----------
    partial
        Where verified leaves go.
    places
        Who has them, best first.
    progress
        Told about every leaf; called from several threads, one at a time.
    bytes_per_second
        Limit for this download; 0 for none.
    """

    def __init__(
        self, partial: PartialBlob, places: Sequence[Place], progress: Progress, bytes_per_second: int = 0
    ) -> None:
        missing = partial.missing()
        self._partial = partial
        self._places = places
        self._progress = progress
        self._rate = bytes_per_second
        self._free_at = time.monotonic()
        self._changed = threading.Condition()
        self._runs = deque(_runs(missing))
        self._left = len(missing)
        size = partial.tree.size
        self._have = size - sum(leaf_size(size, index) for index in missing)
        self._strikes: Counter[tuple[str, str]] = Counter()
        self._stopped = False

    def run(self) -> bool:
        """Fetch what is missing, and return whether all of it came; the places say why not."""
        self._progress(self._have, self._partial.tree.size)
        count = min(FETCH_CONNECTIONS_MAX, max(1, len(self._runs))) if self._places else 0
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for worker in workers:
            worker.start()
        with self._changed:
            while self._left and any(place.usable for place in self._places):
                self._changed.wait()
            self._stopped = True
            self._changed.notify_all()
            for place in self._places:
                _cut(place)
        return not self._left

    # What workers do.

    def _work(self) -> None:
        line = _Line()
        while (place := self._take_place()) is not None:
            line.brought = 0
            try:
                self._serve(place, line)
            except (OSError, http.client.HTTPException, *FINAL) as error:
                self._failed(place, error, line.brought)
            finally:
                with self._changed:
                    place.workers -= 1
                    self._changed.notify_all()

    def _take_place(self) -> Place | None:
        """Wait for work, and return the usable place with the fewest workers; None at the end."""
        with self._changed:
            while not self._stopped and self._left:
                usable = [place for place in self._places if place.usable]
                if not usable:
                    break
                if self._runs:
                    place = min(usable, key=lambda one: (one.failures, one.workers))
                    place.workers += 1
                    return place
                self._changed.wait()
            return None

    def _serve(self, place: Place, line: _Line) -> None:
        """Fetch runs from one place over one connection, until there are none or it fails."""
        connection = connect(place.source, place.address)
        with self._changed:
            place.connections.append(connection)
        try:
            while (run := self._take_run(place)) is not None:
                self._fetch_run(place, connection, run, line)
        finally:
            connection.close()
            with self._changed:
                place.connections.remove(connection)

    def _take_run(self, place: Place) -> range | None:
        with self._changed:
            if self._stopped or not place.usable or not self._runs:
                return None
            return self._runs.popleft()

    def _fetch_run(
        self, place: Place, connection: http.client.HTTPSConnection, run: range, line: _Line
    ) -> None:
        """Ask for a run of leaves, and keep each as it comes."""
        kept = run.start
        try:
            size = self._partial.tree.size
            first, last = run.start * LEAF_BYTES, min(run.stop * LEAF_BYTES, size) - 1
            path = f"{place.source.prefix}/blob/{self._partial.tree.root.hex()}"
            connection.request(
                "GET", path, headers={"Range": f"bytes={first}-{last}", **bearer(place.source)}
            )
            with connection.getresponse() as response:
                expect(response, place.address, *(WHOLE if last - first + 1 == size else _PART))
                for index in run:
                    self._keep(place, index, _read(response, line.room[: leaf_size(size, index)]))
                    kept = index + 1
                    line.brought += 1
                response.read()
        finally:
            if kept < run.stop:
                with self._changed:
                    self._runs.appendleft(range(kept, run.stop))

    def _keep(self, place: Place, index: int, data: memoryview) -> None:
        """Verify a leaf and write it down; several threads do so at a time."""
        if self._stopped:
            raise ConnectionError("the download has ended")
        if not self._partial.write_leaf(index, data):
            raise _unverified(place.address, f"leaf {index} is not the one that the signed card names")
        with self._changed:
            place.failures = 0
            self._left -= 1
            self._have += len(data)
            self._progress(self._have, self._partial.tree.size)
            pause = self._pause(len(data))
        if pause > 0:
            time.sleep(pause)

    def _pause(self, size: int) -> float:
        """Book `size` bytes against the limit, and return how long to wait before more are read."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at - now

    def _failed(self, place: Place, error: Exception, brought: int) -> None:
        """Judge a place whose line failed after `brought` leaves: try it again after a pause, or drop it."""
        with self._changed:
            if self._stopped or not place.usable:
                return
            place.failure = error
            # Several lines may break at once: what counts is that this one was good for something.
            place.failures += not brought
            if isinstance(error, RemoteProtocolError):
                source = (place.source.node_key, place.source.certificate)
                self._strikes[source] += 1
                if self._strikes[source] >= FETCH_STRIKES_MAX:
                    self._drop(source)
                return
            if isinstance(error, FINAL) or place.failures >= FETCH_ATTEMPTS_MAX:
                place.usable = False
                _cut(place)
                return
            self._changed.wait(FETCH_RETRY_SECONDS * max(1, place.failures))

    def _drop(self, source: tuple[str, str]) -> None:
        for place in self._places:
            if (place.source.node_key, place.source.certificate) == source:
                place.usable = False
                place.failure = place.failure or _unverified(place.address, "it sent wrong leaves elsewhere")
                _cut(place)


def bearer(source: Source) -> dict[str, str]:
    """Return the header that shows the owner's node for whose people this is; none for what is public."""
    return {"Authorization": f"Bearer {source.token}"} if source.token else {}


def expect(response: http.client.HTTPResponse, address: str, *statuses: int) -> None:
    """Raise unless the answer has one of `statuses`."""
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


def _cut(place: Place) -> None:
    """End the connections of a place at once: one that waits for a silent owner would hold up everybody."""
    for connection in place.connections:
        if connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, leaf: memoryview) -> memoryview:
    """Fill `leaf` with what comes next."""
    have = 0
    while have < len(leaf):
        came = response.readinto(leaf[have:])
        if not came:
            raise ConnectionError("the connection ended in the middle of an answer")
        have += came
    return leaf


def _runs(indices: Sequence[int]) -> Iterator[range]:
    """Yield neighbouring indices as ranges of bounded length, longer ones when there are many."""
    shared = len(indices) // (FETCH_CONNECTIONS_MAX * FETCH_REQUESTS_PER_CONNECTION)
    most = min(max(FETCH_LEAVES_PER_REQUEST_MIN, shared), FETCH_LEAVES_PER_REQUEST_MAX)
    start = 0
    for end in range(1, len(indices) + 1):
        whole = end == len(indices) or indices[end] != indices[end - 1] + 1
        if whole or end - start == most:
            yield range(indices[start], indices[end - 1] + 1)
            start = end


def _unverified(address: str, why: str) -> RemoteProtocolError:
    return RemoteProtocolError(Violation.HASH_WRONG, why, where=address)
