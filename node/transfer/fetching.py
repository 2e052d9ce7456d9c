"""Full specifications by name: from this node's blobs, the cache, or a node that holds the card.

Theory of operation. A specification's name is the root of its hash tree, so it does not matter who sends
it. What came is verified before it is kept: the leaf list against the name, then every leaf against the
list, as it arrives; the first wrong leaf ends the transfer. The cache is a blob store of its own, bounded,
oldest use out first.

Rules of this file:

1. Bytes that were not verified reach neither the disk's blobs nor a caller.
2. An address that failed is left alone for a while; a search waits for no dead owner twice.
3. Concurrent requests for one name share one transfer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from skerry.errors import NotFound, SkerryError, StorageError, TransportError, Unavailable
from skerry.node.directory import PUBLIC
from skerry.node.limits import (
    CACHE_BYTES_MAX,
    COPIES_PEERS_MAX,
    DIAL_SECONDS_MAX,
    FETCH_FAILURE_SECONDS,
    FETCH_SECONDS_MAX,
    FETCHES_CONCURRENT_MAX,
    OWNERS_SECONDS_SHARE,
    PINNED_CLIENTS_MAX,
    UNWRITTEN_BYTES_MAX,
)
from skerry.node.network.tls import NodeClient, node_client, reason
from skerry.node.network.ways import DIRECT, Proxies, Way, of_source
from skerry.package.hashtree import HASH_BYTES, HashTree, leaf_count, verify_leaf, verify_leaves
from skerry.package.limits import LEAF_BYTES
from skerry.spec.limits import SPECIFICATION_BYTES_MAX

from . import batches
from .pace import UNLIMITED, Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from skerry.node.directory import Directory
    from skerry.node.network.ranges import Ranges
    from skerry.node.search.index import CardIndex, Entry
    from skerry.package.blobs import BlobStore
    from skerry.protocol.api import Source

    Reach = Callable[[Entry], Awaitable[Sequence[Source]]]

log: Final = structlog.get_logger()


class SpecificationCache:
    """Specification blobs of live cards.

    Parameters
    ----------
    own
        The blobs of this node.
    cache
        The blobs fetched from others.
    index, directory
        Which cards name a blob, and which of their nodes cannot be dialled.
    reach
        Returns how a card's nodes are reached, with tokens where they want one.
    proxies
        The proxy that outgoing connections take.
    ranges
        How nodes that cannot be dialled are asked.
    pace
        Limits all transfers together.
    peers
        Returns how nodes that are connected now are reached, for copies.
    on_fetched
        Told of a blob that arrived, and its bytes.
    """

    def __init__(
        self,
        own: BlobStore,
        cache: BlobStore,
        index: CardIndex,
        directory: Directory,
        reach: Reach,
        proxies: Proxies,
        ranges: Ranges,
        *,
        pace: Pace = UNLIMITED,
        peers: Callable[[], Sequence[Source]] = tuple,
        on_fetched: Callable[[bytes, int], None] = lambda *_: None,
    ) -> None:
        self._peers = peers
        self._own = own
        self._cache = cache
        self._index = index
        self._directory = directory
        self._reach = reach
        self._fetcher = Fetcher(proxies, pace)
        self._on_fetched = on_fetched
        self._ranges = ranges
        self._running: dict[bytes, asyncio.Task[bytes]] = {}
        self._unwritten: dict[bytes, bytes] = {}
        """Verified blobs on their way to the cache."""
        self._unwritten_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._used: OrderedDict[bytes, int] = OrderedDict()
        """Size of each blob in the cache, by last use; those from before the start once one is written."""
        self._used_bytes = 0
        self._counted = False

    async def get(self, root: bytes) -> bytes:
        """Return the specification blob with this root.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-SPECIFICATION``: no live card names it.
        Unavailable
            ``E-UNAVAILABLE-SPECIFICATION``: none of the nodes that hold the card sent it, nor a copy.
        """
        entry = self._index.by_specification(root)
        if entry is None:
            raise NotFound(
                "No live learnware has this specification", where=root.hex(), code="E-NOTFOUND-SPECIFICATION"
            )
        try:
            return await self.of(entry)
        except Unavailable:
            copies: dict[bytes, bytes] = {}
            await self._from_peers([entry], copies)
            if root not in copies:
                raise
            return copies[root]

    async def held(self, roots: AbstractSet[bytes]) -> dict[bytes, bytes]:
        """Return those of some blobs that are here, by root: read together, since a search wants hundreds."""
        found = {root: self._unwritten[root] for root in roots if root in self._unwritten}
        found |= await asyncio.to_thread(_read_all, (self._own, self._cache), roots - found.keys())
        for root in self._used.keys() & found.keys():
            self._used.move_to_end(root)
        return found

    async def gather(self, entries: Iterable[Entry], deadline: float) -> dict[bytes, bytes]:
        """Return, by root, those specification blobs of cards that could be had before a deadline.

        Each owner is asked at the same time: for all of its blobs at once, then for each that did not come.
        What owners did not send after a while is asked of connected nodes, which may have copies.

        Parameters
        ----------
        deadline
            Monotonic seconds.
        """
        by_root = {entry.card.specification.root: entry for entry in entries}
        found = await self.held(by_root.keys())
        missing: defaultdict[tuple[bytes, bytes], list[Entry]] = defaultdict(list)
        for root, entry in by_root.items():
            if root not in found:
                missing[min(entry.places)].append(entry)
        if missing:
            tasks = [asyncio.create_task(self._from_owner(part, found)) for part in missing.values()]
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(tasks, timeout=OWNERS_SECONDS_SHARE * left)
            rest = [entry for root, entry in by_root.items() if root not in found and _is_public(entry)]
            if rest:
                tasks.append(asyncio.create_task(self._from_peers(rest, found)))
            pending = {task for task in tasks if not task.done()}
            while pending and len(found) < len(by_root) and (left := deadline - time.monotonic()) > 0:
                _, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return dict(found)

    async def _from_owner(self, entries: Sequence[Entry], found: dict[bytes, bytes]) -> None:
        """Fetch the blobs of cards that stand in one catalogue, and put them into `found` as they come."""
        sizes = {entry.card.specification.root: entry.card.specification.size for entry in entries}
        if len(sizes) > 1 and (sources := await self._reach(entries[0])):
            async for root, data in self._fetcher.fetch_many(sizes, sources[0]):
                found[root] = data
                self._keep(root, data)
        rest = [entry for entry in entries if entry.card.specification.root not in found]
        await asyncio.gather(*(self._alone(entry, found) for entry in rest))

    async def _from_peers(self, entries: Sequence[Entry], found: dict[bytes, bytes]) -> None:
        """Fetch copies of blobs of public cards, and put them into `found` as they come."""
        for source in self._peers()[:COPIES_PEERS_MAX]:
            blobs = [
                entry.card.specification for entry in entries if entry.card.specification.root not in found
            ]
            sizes = {blob.root: blob.size for blob in blobs}
            async for root, data in self._fetcher.fetch_many(sizes, source, "/copies"):
                found[root] = data
                self._keep(root, data)

    async def _alone(self, entry: Entry, found: dict[bytes, bytes]) -> None:
        try:
            found[entry.card.specification.root] = await self.of(entry)
        except SkerryError as error:
            log.info("specification missing", card=entry.hash.hex(), error=str(error))

    async def of(self, entry: Entry) -> bytes:
        """Return the specification blob of a card; the errors are those of :meth:`get`."""
        root = entry.card.specification.root
        if root in self._unwritten:
            return self._unwritten[root]
        for store in (self._own, self._cache):
            if store.exists(root):
                if root in self._used:
                    self._used.move_to_end(root)
                return await asyncio.to_thread(_read, store, root)
        if root not in self._running:
            task = asyncio.create_task(self._fetch(entry))
            self._running[root] = task
            task.add_done_callback(lambda _: self._running.pop(root))
        return await asyncio.shield(self._running[root])

    async def close(self) -> None:
        """End all transfers, and write what was fetched."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._writing is not None:
            await self._writing
        await self._fetcher.close()

    async def _fetch(self, entry: Entry) -> bytes:
        blob = entry.card.specification
        data = await self._over_connections(entry)
        if data is None:
            data = await self._fetcher.fetch(blob.root, blob.size, await self._reach(entry))
        self._keep(blob.root, data)
        return data

    def _keep(self, root: bytes, data: bytes) -> None:
        """Have a verified blob in the cache soon: nobody waits for the disk to use it."""
        self._on_fetched(root, len(data))
        if root in self._used or root in self._unwritten or self._unwritten_bytes > UNWRITTEN_BYTES_MAX:
            return
        self._unwritten[root] = data
        self._unwritten_bytes += len(data)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what waits for the disk."""
        if not self._counted:
            self._counted = True
            for root, size in (await asyncio.to_thread(_sizes, self._cache)).items():
                self._used[root] = size
                self._used.move_to_end(root, last=False)
            self._used_bytes = sum(self._used.values())
        while self._unwritten:
            waiting = dict(self._unwritten)
            try:
                await asyncio.to_thread(_put_all, self._cache, waiting)
            except StorageError as error:
                log.warning("fetched specifications are not kept", error=str(error))
            else:
                new = {root: len(data) for root, data in waiting.items() if root not in self._used}
                self._used.update(new)
                self._used_bytes += sum(new.values())
            for root, data in waiting.items():
                del self._unwritten[root]
                self._unwritten_bytes -= len(data)
            self._make_room()

    async def _over_connections(self, entry: Entry) -> bytes | None:
        """Return the blob from a node that cannot be dialled, over a connection with it; None without one."""
        blob = entry.card.specification
        for _, node_key in entry.places:
            if self._directory.hidden(node_key) and blob.size <= SPECIFICATION_BYTES_MAX:
                try:
                    return await self._ranges.whole(node_key, blob.root, blob.size)
                except SkerryError as error:
                    log.info("no specification over a connection", peer=node_key.hex(), error=str(error))
        return None

    def _make_room(self) -> None:
        while self._used_bytes > CACHE_BYTES_MAX:
            oldest, size = self._used.popitem(last=False)
            self._used_bytes -= size
            self._cache.remove(oldest)


def _is_public(entry: Entry) -> bool:
    return any(scope == PUBLIC for scope, _ in entry.places)


class Fetcher:
    """Fetches blobs from other nodes over TLS and verifies them."""

    def __init__(self, proxies: Proxies = DIRECT, pace: Pace = UNLIMITED) -> None:
        self._pace = pace
        self._proxies = proxies
        self._clients: OrderedDict[bytes, NodeClient] = OrderedDict()
        self._slots = asyncio.Semaphore(FETCHES_CONCURRENT_MAX)
        self._failed: dict[str, float] = {}

    async def fetch(self, root: bytes, size: int, sources: Sequence[Source]) -> bytes:
        """Return the blob from the first source that has it.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-SPECIFICATION`` when none has.
        """
        reasons = [] if size <= SPECIFICATION_BYTES_MAX else [f"{size} bytes are too many"]
        async with self._slots:
            for source in sources if not reasons else ():
                way = of_source(source)
                for address in way.addresses:
                    try:
                        return await self._try(root, size, way, address, source)
                    except (aiohttp.ClientError, OSError, TimeoutError, SkerryError) as error:
                        reasons.append(f"{address}: {reason(error)}")
        raise Unavailable(
            "The specification cannot be had now",
            where=root.hex(),
            why="; ".join(reasons) or "no address of its owner is known",
            todo="Try again when its owner's node is reachable.",
            code="E-UNAVAILABLE-SPECIFICATION",
        )

    async def fetch_many(
        self, sizes: Mapping[bytes, int], source: Source, path: str = "/blobs"
    ) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yield (root, blob) of those of some small blobs that a node sends together.

        Whatever goes wrong ends it: what did not come is fetched one by one, and the error told then.
        """
        way = of_source(source)
        if source.prefix or not way.addresses or time.monotonic() < self._failed.get(way.addresses[0], 0.0):
            return
        url = f"https://{way.addresses[0]}{path}"
        for roots in batches.portions(sizes):
            await self._pace.take(sum(sizes[root] for root in roots))
            try:
                async with self._slots:
                    client = await self._client(way)
                    async with client.post(url, b"".join(roots), bearer(source.token)) as response:
                        _require_ok(response, url)
                        async for piece in batches.pieces_of(response, roots):
                            yield piece
            except (aiohttp.ClientError, OSError, TimeoutError, EOFError, SkerryError) as error:
                log.info("not sent together", url=url, error=reason(error))
                if not isinstance(error, Unavailable):
                    self._failed[way.addresses[0]] = time.monotonic() + FETCH_FAILURE_SECONDS
                return

    async def close(self) -> None:
        """Close all connections."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def _try(self, root: bytes, size: int, way: Way, address: str, source: Source) -> bytes:
        if time.monotonic() < self._failed.get(address, 0.0):
            raise Unavailable("it failed a moment ago")
        try:
            client = await self._client(way)
            url = f"https://{address}{source.prefix}/blob/{root.hex()}"
            data = await _download(client, url, root, size, bearer(source.token), self._pace)
        except (aiohttp.ClientError, OSError, TimeoutError, SkerryError):
            self._failed[address] = time.monotonic() + FETCH_FAILURE_SECONDS
            raise
        self._failed.pop(address, None)
        return data

    async def _client(self, way: Way) -> NodeClient:
        if way.binding not in self._clients:
            if len(self._clients) >= PINNED_CLIENTS_MAX:
                await self._clients.popitem(last=False)[1].aclose()
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS_MAX, sock_connect=DIAL_SECONDS_MAX)
            self._clients[way.binding] = node_client(way, timeout, self._proxies)
        self._clients.move_to_end(way.binding)
        return self._clients[way.binding]


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _download(
    client: NodeClient, url: str, root: bytes, size: int, headers: dict[str, str], pace: Pace
) -> bytes:
    """Return the blob, verified; a blob of one leaf needs no leaf list."""
    leaves = () if size <= LEAF_BYTES else await _leaves(client, url, root, size, headers)
    data = bytearray()
    async with client.get(url, headers) as response:
        _require_ok(response, url)
        for index in range(max(1, len(leaves))):
            await pace.take(min(LEAF_BYTES, size - index * LEAF_BYTES))
            leaf = await _read_leaf(response, min(LEAF_BYTES, size - index * LEAF_BYTES))
            if leaves and not verify_leaf(leaves, index, leaf):
                raise _corrupt(url, f"leaf {index} does not have its hash")
            data += leaf
    if not leaves and HashTree.of(bytes(data)).root != root:
        raise _corrupt(url, "the bytes do not have the blob's name")
    return bytes(data)


async def _leaves(
    client: NodeClient, url: str, root: bytes, size: int, headers: dict[str, str]
) -> tuple[bytes, ...]:
    wanted = leaf_count(size) * HASH_BYTES
    async with client.get(url + "/leaves", headers) as response:
        _require_ok(response, url)
        data = await _read_leaf(response, wanted)
    leaves = tuple(data[start : start + HASH_BYTES] for start in range(0, wanted, HASH_BYTES))
    if not verify_leaves(root, size, leaves):
        raise _corrupt(url, "the leaf list does not have the blob's name")
    return leaves


async def _read_leaf(response: aiohttp.ClientResponse, size: int) -> bytes:
    try:
        return await response.content.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise _corrupt(str(response.url), f"{len(error.partial)} of {size} bytes came") from error


def _require_ok(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status != 200:
        raise Unavailable("the node does not serve it", where=url, why=f"HTTP status {response.status}")


def _corrupt(url: str, why: str) -> TransportError:
    return TransportError(
        "What a node sent is not what it should be", where=url, why=why, code="E-TRANSPORT-CORRUPT"
    )


def _sizes(cache: BlobStore) -> dict[bytes, int]:
    """Return the size of each blob in the cache; of up to 100,000, so that no start waits for it."""
    return {root: cache.path(root).stat().st_size for root in cache.roots()}


def _put_all(cache: BlobStore, blobs: Mapping[bytes, bytes]) -> None:
    for data in blobs.values():
        cache.put_bytes(data)


def _read_all(stores: Sequence[BlobStore], roots: Iterable[bytes]) -> dict[bytes, bytes]:
    read = ((root, store.read(root)) for root in roots for store in stores)
    return {root: data for root, data in read if data is not None}


def _read(store: BlobStore, root: bytes) -> bytes:
    with store.open(root) as file:
        return file.read()
