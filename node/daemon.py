"""The composition root: the one place where a node's parts are made and put together.

Theory of operation. Everything is made in the order in which it is needed and ended in the opposite order:

1. the folder's lock, and both listening sockets, so that the node record can name the port;
2. keys, store and blobs;
3. the state machine from what the disk holds, and the driver that runs it;
4. the public listener, then the local API, and ``api.json`` last: who can read it finds a node that answers.

On SIGTERM or SIGINT the API takes no more requests and finishes those that run, then peers are told and
disconnected, then the driver stops, then the store. What was acknowledged is durable already, so a second
signal, or ``kill -9``, loses nothing but politeness.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import secrets
import signal
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web

from skerry.package.blobs import BlobStore
from skerry.protocol import effects, events
from skerry.protocol.api import Ready
from skerry.protocol.context import StateConfig
from skerry.protocol.hello import Handshake, Role
from skerry.protocol.state import State

from .alarms import Alarms
from .api.application import LocalApi
from .api.backups import BackupRoutes
from .api.bridges import BridgeRoutes
from .api.groups import GroupRoutes, SourceRoutes
from .api.metrics import Metrics
from .api.network import NetworkRoutes
from .api.operating import OperatingRoutes
from .api.owner import OwnerRoutes
from .api.problems import problems
from .api.publishing import PublishingRoutes
from .api.searching import SearchRoutes
from .api.tokens import TokenBook, TokenRoutes
from .api.why import WhyRoutes
from .audit import AuditLog
from .bridges import BridgeBook
from .config import parse_address
from .directory import Directory
from .driver import Driver
from .folder import write_private
from .groups.parts import GroupParts
from .groups.sources import token_of
from .keys import read_keyring
from .limits import COLLECT_AFTER_OBJECTS, DRAIN_SECONDS_MAX, SWITCH_SECONDS
from .network.front import front_of
from .network.listening import address_of, bind, serving
from .network.ranges import Ranges
from .network.transport import Transport
from .network.ways import Proxies
from .owners import OwnerService
from .progress import Progress
from .publishing import Publisher
from .search.index import CardIndex
from .search.service import SearchService
from .search.sketches import Change, Sketches
from .storage.store import Store
from .transfer.blobs_http import BlobRoutes
from .transfer.copies import CopyRoutes
from .transfer.fetching import SpecificationCache
from .transfer.pace import Pace
from .transfer.relay import RelayRoutes
from .view import NodeView

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from skerry.protocol.snapshot import Snapshot

    from .config import Config
    from .folder import Folder

log: Final = structlog.get_logger()


async def serve(folder: Folder, config: Config, announce: Callable[[Ready], None]) -> None:
    """Run the node in `folder` until SIGTERM or SIGINT.

    Parameters
    ----------
    folder, config
        Which node, and how.
    announce
        Called once, when the node serves.

    Raises
    ------
    SkerryError
        The node cannot start; says what to do.
    """
    folder.require()
    stop = _stop_on_signals()
    with (
        folder.lock(),
        bind(*parse_address(config.node.listen, "node.listen")) as public,
        bind(*parse_address(config.api.listen, "api.listen")) as local,
    ):
        node = Node(folder, config, public, local)
        try:
            await node.run(announce, stop)
        except BaseExceptionGroup as group:
            raise _cause(group) from group
        finally:
            node.close()


class Node:
    """The parts of one running node.

    Parameters
    ----------
    folder, config
        Which node, and how; the folder must be locked.
    public, local
        The listening sockets of the public listener and of the local API; the caller closes them.
    """

    def __init__(self, folder: Folder, config: Config, public: socket.socket, local: socket.socket) -> None:
        self._folder = folder
        self._config = config
        self._keyring = read_keyring(folder)
        self._public = public
        self._local = local
        self._front = front_of(config.node, folder, public, self._keyring.certificate)
        proxies = Proxies(config.node.proxy, tuple(config.node.proxy_except))
        self._store = Store(folder.database)
        self._blobs = BlobStore(folder.blobs)
        self._audit = AuditLog(folder.audit)
        self._progress = Progress()
        self._index = CardIndex(self._store.cards)
        self._directory = Directory(self._front.source(self._keyring.signer.public_key))
        self._sketches = Sketches(folder.sketches)
        self._alarms = Alarms()
        snapshot = self._store.read()
        records = dict(snapshot.records)
        self._state = self._new_state(snapshot)
        self._driver = Driver(self._state, self._store, self._delivered, self._stored, self._told)
        self._transport = self._new_transport(proxies)
        self._groups = GroupParts(
            self._keyring,
            self._front,
            proxies,
            state=self._state,
            driver=self._driver,
            store=self._store,
            transport=self._transport,
            directory=self._directory,
            index=self._index,
            mark=folder.incarnation,
        )
        self._owners = self._new_owners()
        self._bridges = BridgeBook(self._keyring, self._state, self._directory, self._driver, records)
        self._cache = BlobStore(folder.cache)
        self._ranges = self._new_ranges()
        self._specifications = SpecificationCache(
            self._blobs,
            self._cache,
            self._index,
            self._directory,
            self._groups.sources.ready,
            proxies,
            self._ranges,
            pace=Pace(config.transfer.download_bytes_per_second),
            peers=lambda: self._directory.sources(self._transport.connections),
            on_fetched=self._fetched,
        )
        self._view = self._new_view()
        self._search = self._new_search()
        self._metrics = Metrics(self._view.status)

    def _new_ranges(self) -> Ranges:
        return Ranges(
            self._driver,
            self._transport,
            self._blobs,
            self._groups.audience.peer_may_have,
            dialable=bool(self._front.addresses),
        )

    async def run(self, announce: Callable[[Ready], None], stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then end in order."""
        await self._driver.start(self._transport)
        self._driver.post(events.AddressesConfigured(tuple(self._config.node.bootstrap)))
        async with asyncio.TaskGroup() as group:
            driving = group.create_task(self._driver.run())
            await self._groups.start()
            await self._owners.start()
            tending = group.create_task(self._groups.run(self._config.groups.invites))
            async with serving(self._public_application(), self._public, self._front.context), self._on_lan():
                await self._serve_api(announce, stop)
                await self._transport.close()
            await self._search.close()
            await self._specifications.close()
            tending.cancel()
            driving.cancel()

    def _on_lan(self) -> AbstractAsyncContextManager[None]:
        """Look for nodes on the LAN, when that is asked for."""
        section = self._config.node
        if not section.lan:
            return nullcontext()
        from .network.lan import discovering

        def found(addresses: tuple[str, ...]) -> None:
            self._driver.post(events.AddressesConfigured((*section.bootstrap, *addresses)))

        return discovering(self._public, section.network, self._front.certificate, found)

    def close(self) -> None:
        """Write what is left and close the files."""
        self._sketches.close()
        self._store.close()
        self._audit.close()

    async def _serve_api(self, announce: Callable[[Ready], None], stop: asyncio.Event) -> None:
        api = self._new_api()
        url = f"http://{address_of(self._local)}"
        async with serving(api.application(), self._local):
            # Before any search and after all else of the start, which would share the interpreter with it.
            self._sketches.mend(self._index.columns, self._store.read_cards)
            _tune_interpreter()
            write_private(self._folder.endpoint, msgspec.json.encode(api.endpoint(url)))
            try:
                announce(self._ready(url))
                await stop.wait()
            finally:
                self._folder.endpoint.unlink(missing_ok=True)
                asyncio.get_running_loop().call_later(DRAIN_SECONDS_MAX, _give_up)

    def _ready(self, url: str) -> Ready:
        status = self._view.status()
        return Ready(status.name, status.owner, status.bootstrap, url, str(self._folder.root), os.getpid())

    def _public_application(self) -> web.Application:
        application = web.Application(middlewares=[problems, *self._front.middlewares()])
        self._transport.add_to(application)
        self._groups.add_to(application)
        limit = self._config.transfer.upload_bytes_per_second
        blobs = BlobRoutes(self._blobs, self._groups.audience.may_have, limit, self._served)
        blobs.add_to(application)
        CopyRoutes(self._cache, self._index, blobs.pace).add_to(application)
        if self._config.node.relay:
            RelayRoutes(self._ranges, self._state, self._directory).add_to(application)
        return application

    def _new_view(self) -> NodeView:
        return NodeView(
            self._keyring,
            self._state,
            self._index,
            self._directory,
            self._transport,
            self._alarms,
            self._front.bootstrap,
        )

    def _new_owners(self) -> OwnerService:
        return OwnerService(
            self._keyring,
            self._folder.charters,
            state=self._state,
            driver=self._driver,
            store=self._store,
            directory=self._directory,
            index=self._index,
        )

    def _new_search(self) -> SearchService:
        return SearchService(
            self._keyring.owner,
            self._index,
            self._sketches,
            self._directory,
            self._view,
            self._store,
            self._specifications,
            self._driver,
            self._state.coming,
        )

    def _new_api(self) -> LocalApi:
        owner = self._keyring.owner
        tokens = TokenBook(self._folder.tokens)
        publisher = Publisher(
            owner,
            self._blobs,
            self._driver,
            self._index,
            self._view,
            self._store,
            self._progress,
            self._groups.visibility,
        )
        return LocalApi(
            tokens=tokens,
            hosts=frozenset(self._config.api.hosts),
            routes=(
                *NetworkRoutes(self._view, self._transport.dial, self._audit).routes(),
                *SearchRoutes(self._view, self._search, self._specifications).routes(),
                *PublishingRoutes(self._view, publisher, self._audit).routes(),
                *OperatingRoutes(self._audit, self._progress).routes(),
                *BackupRoutes(self._folder, self._audit).routes(),
                *WhyRoutes(self._driver).routes(),
                *BridgeRoutes(self._bridges).routes(),
                *TokenRoutes(tokens, self._audit).routes(),
                *OwnerRoutes(self._owners, self._audit).routes(),
                *GroupRoutes(self._groups.service, self._audit).routes(),
                *SourceRoutes(self._index, self._groups.sources).routes(),
            ),
            metrics=self._metrics,
            progress=self._progress,
        )

    def _new_state(self, snapshot: Snapshot) -> State:
        """Return the state machine as of what the disk holds."""
        keyring = self._keyring
        known: list[effects.StoreOperation] = [
            *(effects.PutCharters(owner, chains) for owner, chains in snapshot.chains.items()),
            effects.PutCharters(keyring.owner, (keyring.charters,)),
            *(effects.PutNodeRecord(key, record) for key, record in snapshot.node_records.items()),
            *(effects.PutHead(*place, held.head) for place, held in snapshot.catalogues.items() if held.head),
        ]
        for operation in known:
            self._directory.apply(operation)
        store = self._store
        self._index.load(store.read_facts(), store.read_places(), store.read_scenarios())
        front = self._front
        config = StateConfig(
            addresses=front.addresses,
            certificate=front.certificate,
            host=front.host,
            token_secret=secrets.token_bytes(32),
        )
        rng = random.Random(secrets.randbits(256))  # noqa: S311 - jitter and sampling; keys are not drawn here
        return State(config, keyring.signer, rng, keyring.charters, snapshot)

    def _new_transport(self, proxies: Proxies) -> Transport:
        return Transport(
            self._driver,
            self._new_handshake,
            binding=self._front.binding,
            node_key=self._keyring.signer.public_key,
            proxies=proxies,
        )

    def _new_handshake(self, role: Role, binding: bytes) -> Handshake:
        return Handshake(
            role,
            self._state.identity(),
            network=self._config.node.network,
            binding=binding,
            nonce=secrets.token_bytes(32),
            now=int(time.time()),
            known=self._state.owners().get,
        )

    def _told(self, event: events.Event) -> None:
        """Let those who listen to events know of peers that come and go."""
        match event:
            case events.Connected(peer=key, record=record):
                self._directory.met(key, record)
                self._progress.tell("peer", key.hex(), "connected")
            case events.Disconnected(peer=key):
                self._directory.parted(key)
                self._progress.tell("peer", key.hex(), "disconnected")
            case events.ConnectFailed(target):
                name = target if isinstance(target, str) else target.hex()
                self._progress.tell("peer", name, "unreachable")
            case _:
                pass

    def _stored(self, operation: effects.StoreOperation) -> None:
        """Take in what was stored."""
        self._directory.apply(operation)
        self._alarms.stored(operation)
        self._groups.stored(operation)
        self._bridges.stored(operation)
        if isinstance(operation, effects.DropCatalogue):
            self._cards_changed(self._index.drop((operation.scope, operation.node_key)))

    def _cards_changed(self, changes: Mapping[bytes, Change]) -> None:
        self._sketches.submit(changes)
        self._search.forget([digest for digest, change in changes.items() if change.card is None])

    def _served(self, request: web.Request, root: bytes, size: int) -> None:
        """Count, write down and tell that a part of a blob was sent."""
        self._metrics.served(size)
        token = token_of(request.headers.get("Authorization", ""))
        owner = self._state.tokens().bearer(token, time.time())
        self._audit.fetched(owner.hex() if owner else f"address {request.remote}", root.hex())
        self._progress.tell("transfer", root.hex(), "served", size, size)

    def _fetched(self, root: bytes, size: int) -> None:
        self._progress.tell("transfer", root.hex(), "fetched", size, size)

    def _delivered(self, what: effects.Delivery) -> None:
        """Take in what the state machine tells the rest of the node."""
        match what:
            case effects.CardsChanged():
                self._cards_changed(self._index.apply(what))
                self._groups.delivered(what)
                self._progress.tell("index", what.node_key.hex(), "changed", len(what.added), len(what.added))
            case effects.GroupChanged():
                self._groups.delivered(what)
            case effects.SketchReported():
                self._search.reported(what)
            case effects.RangeAsked():
                self._ranges.asked(what)
            case effects.RangeCame():
                self._ranges.came(what)
            case _:
                self._alarms.told(what)


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the node's tasks."""
    first = group.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first


def _tune_interpreter() -> None:
    """Let the garbage collector leave alone what a start made, and threads wait less for each other."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, *gc.get_threshold()[1:])
    sys.setswitchinterval(SWITCH_SECONDS)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _give_up() -> None:
    """End at once: something hangs, and all that was acknowledged is durable."""
    log.error("the node did not stop in time", seconds=DRAIN_SECONDS_MAX)
    os._exit(1)
