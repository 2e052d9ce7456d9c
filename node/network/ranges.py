"""Ranges of blobs over gossip connections: how a node that cannot be dialled serves, and how it is asked.

Theory of operation. Whoever holds a connection to such a node asks for pieces of ``RANGE_BYTES_MAX``, a few
at a time, puts leaves together and verifies each against the leaf list, which was verified against the
blob's name. The other side reads from its store what its live cards name,
as far as the peer may see them.

Rules of this file:

1. A leaf that does not verify is handed to nobody, and ends the transfer.
2. So many pieces are under way at one peer that gossip on the same connection is not held up for long.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from skerry.errors import TransportError, Unavailable
from skerry.node.limits import (
    RANGE_SECONDS_MAX,
    RANGES_PER_PEER_MAX,
    RANGES_READ_MAX,
    REACH_POLL_SECONDS,
    REACH_WAIT_SECONDS,
)
from skerry.package.hashtree import HASH_BYTES, leaf_count, leaf_size, verify_leaf, verify_leaves
from skerry.package.limits import LEAF_BYTES
from skerry.protocol import effects, events
from skerry.protocol.limits import RANGE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from skerry.node.driver import Driver
    from skerry.node.network.transport import Transport
    from skerry.package.blobs import BlobStore

Ticket = tuple[bytes, int]
"""Peer and number of a piece that was asked for."""


class Ranges:
    """Both sides of the exchange.

    Parameters
    ----------
    driver, transport
        Where requests go, and which connections there are.
    blobs
        The store that this side serves from.
    may_have
        Whether a connected peer may have the blob with a root now.
    dialable
        Whether others can connect to this node; if not, there is no point in asking for it.
    """

    def __init__(
        self,
        driver: Driver,
        transport: Transport,
        blobs: BlobStore,
        may_have: Callable[[bytes, bytes], bool],
        *,
        dialable: bool,
    ) -> None:
        self._dialable = dialable
        self._driver = driver
        self._transport = transport
        self._blobs = blobs
        self._may_have = may_have
        self._tickets = count(1)
        self._asked: dict[Ticket, asyncio.Future[bytes]] = {}
        self._slots: dict[bytes, asyncio.Semaphore] = {}
        self._reading: set[asyncio.Task[None]] = set()

    # Serving.

    def asked(self, what: effects.RangeAsked) -> None:
        """Read what a peer asks for, unless so much is being read that it has to ask again."""
        if len(self._reading) < RANGES_READ_MAX:
            task = asyncio.create_task(self._answer(what))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _answer(self, what: effects.RangeAsked) -> None:
        data = b""
        if self._may_have(what.root, what.peer) and self._blobs.exists(what.root):
            data = await asyncio.to_thread(_read, self._blobs, what)
        self._driver.post(events.RangeRead(what.peer, what.ticket, data))

    # Asking.

    def came(self, what: effects.RangeCame) -> None:
        """Hand a piece to whoever waits for it."""
        waiting = self._asked.pop((what.peer, what.ticket), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(what.data)

    def connected(self, node_key: bytes) -> bool:
        """Return whether there is a connection to a node."""
        return node_key in self._transport.connections

    async def reach(self, node_key: bytes) -> None:
        """Return when there is a connection to a node that cannot be dialled.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-RELAY``: it did not come about.
        """
        if node_key in self._transport.connections:
            return
        if self._dialable:
            self._driver.post(events.Reach(node_key))
        deadline = asyncio.get_running_loop().time() + (REACH_WAIT_SECONDS if self._dialable else 0.0)
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(REACH_POLL_SECONDS)
            if node_key in self._transport.connections:
                return
        raise Unavailable(
            "The node cannot be reached now",
            where=node_key.hex(),
            why="it cannot be dialled, and did not open a connection when it was asked to",
            todo="Try again later.",
            code="E-UNAVAILABLE-RELAY",
        )

    async def leaves(self, node_key: bytes, root: bytes, size: int) -> tuple[bytes, ...]:
        """Return the verified leaf list of a blob of `size` bytes.

        Raises
        ------
        TransportError
            ``E-TRANSPORT-CORRUPT``: what came does not have the blob's name.
        Unavailable
            ``E-UNAVAILABLE-RELAY``: the node did not answer.
        """
        raw = await self._all(node_key, root, 0, leaf_count(size) * HASH_BYTES, leaves=True)
        leaves = tuple(raw[start : start + HASH_BYTES] for start in range(0, len(raw), HASH_BYTES))
        if not verify_leaves(root, size, leaves):
            raise _corrupt(node_key, "the leaf list does not have the blob's name")
        return leaves

    async def leaf(
        self, node_key: bytes, root: bytes, size: int, leaves: tuple[bytes, ...], index: int
    ) -> bytes:
        """Return one verified leaf; the errors are those of :meth:`leaves`."""
        data = await self._all(node_key, root, index * LEAF_BYTES, leaf_size(size, index), leaves=False)
        if not verify_leaf(leaves, index, data):
            raise _corrupt(node_key, f"leaf {index} does not have its hash")
        return data

    async def whole(self, node_key: bytes, root: bytes, size: int) -> bytes:
        """Return a small blob; the errors are those of :meth:`reach` and :meth:`leaves`."""
        await self.reach(node_key)
        leaves = await self.leaves(node_key, root, size)
        return b"".join([await self.leaf(node_key, root, size, leaves, i) for i in range(len(leaves))])

    async def _all(self, node_key: bytes, root: bytes, start: int, size: int, *, leaves: bool) -> bytes:
        """Return `size` bytes from `start` on, asked for in pieces side by side."""
        offsets = range(start, start + size, RANGE_BYTES_MAX)
        asked = [
            self._piece(node_key, root, offset, min(RANGE_BYTES_MAX, start + size - offset), leaves=leaves)
            for offset in offsets
        ]
        return b"".join(await asyncio.gather(*asked))

    async def _piece(self, node_key: bytes, root: bytes, offset: int, length: int, *, leaves: bool) -> bytes:
        slots = self._slots.setdefault(node_key, asyncio.Semaphore(RANGES_PER_PEER_MAX))
        async with slots:
            ticket = (node_key, next(self._tickets))
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._asked[ticket] = future
            try:
                self._driver.post(events.AskRange(*ticket, root, leaves, offset, length))
                async with asyncio.timeout(RANGE_SECONDS_MAX):
                    data = await future
            except TimeoutError as error:
                raise _silent(node_key) from error
            finally:
                self._asked.pop(ticket, None)
        if len(data) != length:
            raise _silent(node_key)
        return data


def _read(blobs: BlobStore, what: effects.RangeAsked) -> bytes:
    """Read a piece of a blob, or of its leaf list."""
    if what.leaves:
        return b"".join(blobs.tree(what.root).leaves)[what.offset : what.offset + what.length]
    with blobs.open(what.root) as file:
        file.seek(what.offset)
        return file.read(what.length)


def _silent(node_key: bytes) -> Unavailable:
    return Unavailable(
        "The node did not send what was asked for",
        where=node_key.hex(),
        why="the blob is not there any more, or the node has too much to do",
        todo="Try again later.",
        code="E-UNAVAILABLE-RELAY",
    )


def _corrupt(node_key: bytes, why: str) -> TransportError:
    return TransportError(
        "What a node sent is not what it should be",
        where=node_key.hex(),
        why=why,
        code="E-TRANSPORT-CORRUPT",
    )
