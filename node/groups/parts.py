"""The parts of groups, put together for the daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from skerry.errors import SkerryError, Unavailable
from skerry.node.limits import INVITE_RETRY_SECONDS
from skerry.protocol.effects import CardsChanged, DropCatalogue

from .audience import Audience
from .book import GroupBook
from .invites import Invites
from .policies import Policies
from .service import GroupService
from .signing import RosterWriter
from .sources import Sources
from .upkeep import Upkeep
from .views import GroupViews
from .visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiohttp import web

    from skerry.node.directory import Directory
    from skerry.node.driver import Driver
    from skerry.node.keys import Keyring
    from skerry.node.network.front import Front
    from skerry.node.network.transport import Transport
    from skerry.node.network.ways import Proxies
    from skerry.node.search.index import CardIndex
    from skerry.node.storage.store import Store
    from skerry.protocol.effects import Delivery, StoreOperation
    from skerry.protocol.state import State

log: Final = structlog.get_logger()


class GroupParts:
    """All that a node does about groups.

    Parameters
    ----------
    keyring, front, proxies
        Who this node is, how it is reached, and through what it reaches others.
    state, driver, store, transport, directory, index
        The node's other parts.
    mark
        The file that tells the database from an older copy of it.
    """

    def __init__(
        self,
        keyring: Keyring,
        front: Front,
        proxies: Proxies,
        *,
        state: State,
        driver: Driver,
        store: Store,
        transport: Transport,
        directory: Directory,
        index: CardIndex,
        mark: Path,
    ) -> None:
        self._mark = mark
        self._node_key = keyring.signer.public_key
        self._book = GroupBook(store)
        writer = RosterWriter(keyring, state, driver, self._book)
        self._invites = Invites(keyring, front, proxies, state, driver, self._book, writer)
        self._upkeep = Upkeep(keyring.owner, state, writer)
        views = GroupViews(keyring.owner, state, directory, transport)
        self.audience: Audience = Audience(
            keyring.signer.public_key, state, store.audiences(), store.read_superseded()
        )
        self._policies = Policies(state, index)
        self.visibility: Visibility = Visibility(
            keyring.owner, keyring.signer.public_key, state, store, self.audience
        )
        self.sources: Sources = Sources(keyring, state, directory, transport)
        self.service: GroupService = GroupService(
            keyring, state, driver, transport, self._book, writer, self._invites, views
        )

    async def start(self) -> None:
        """Void what a restored database believes open, and take over what the state machine holds."""
        self.audience.load()
        self._policies.judge()
        voided = await self._book.void_restored(self._mark)
        if voided:
            log.warning("this database was restored: its open invites are void", invites=voided)

    def add_to(self, application: web.Application) -> None:
        """Add the routes of the public listener."""
        self._invites.add_to(application)

    def delivered(self, what: Delivery) -> None:
        """Take note of what the state machine told."""
        if isinstance(what, CardsChanged):
            self.audience.apply(what)
        self._policies.changed(what)

    def stored(self, operation: StoreOperation) -> None:
        """Take note of what was stored."""
        self._upkeep.apply(operation)
        if isinstance(operation, DropCatalogue) and operation.node_key == self._node_key:
            self.audience.drop(operation.scope)

    async def run(self, invites: Sequence[str]) -> None:
        """Redeem the configured invites, and look after the groups until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._upkeep.run())
            for text in invites:
                tasks.create_task(self._join(text))

    async def _join(self, text: str) -> None:
        """Redeem an invite; try again while its issuing node does not answer."""
        for attempt in range(2**31):
            try:
                members = await self.service.join(text)
            except Unavailable as error:
                log.warning("an invite could not be redeemed yet", why=error.why, where=error.where)
            except SkerryError as error:
                log.warning("an invite cannot be redeemed", code=error.code, what=error.what, why=error.why)
                return
            else:
                log.info("joined a group", group=members.group.id)
                return
            await asyncio.sleep(INVITE_RETRY_SECONDS[min(attempt, len(INVITE_RETRY_SECONDS) - 1)])
