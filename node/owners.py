"""Owners as this node's people deal with them: their own charter, and opinions of others.

Theory of operation. A charter is signed where the owner's keys are, which need not be here; the node takes
the signed charter, and signs its heads anew, so that its peers ask for the charter that goes with them.
Opinions are this node's own: whom it vouches for, whom or what it does not show, and what it calls them.

Rules of this file:

1. A charter that the node takes is on its disk, in its folder as well, before that is said.
2. An opinion leaves this machine in no way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import delete, insert, select

from skerry.errors import NotFound, Refused
from skerry.protocol import events
from skerry.protocol.api import NodeKeyView, Opinion, Opinions, OwnerView
from skerry.protocol.limits import NAME_CHARACTERS_MAX

from .api.problems import BadRequest, Conflict
from .directory import PUBLIC
from .domains import ask_domain
from .folder import write_private
from .storage.schema import opinions

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from skerry.protocol.api import DomainProof, OpinionRequest
    from skerry.protocol.state import State
    from skerry.protocol.trust import OwnerTrust

    from .directory import Directory
    from .driver import Driver
    from .keys import Keyring
    from .search.index import CardIndex
    from .storage.store import Store

PREFIX_CHARACTERS_MIN: Final = 8
"""Beginning of an id that names an owner: shorter ones fit too many."""


class OwnerService:
    """See the module's docstring.

    Parameters
    ----------
    keyring
        Who this node is.
    charters
        The file in the folder that holds the own charters.
    state, driver, store, directory, index
        The node's other parts.
    """

    def __init__(
        self,
        keyring: Keyring,
        charters: Path,
        *,
        state: State,
        driver: Driver,
        store: Store,
        directory: Directory,
        index: CardIndex,
    ) -> None:
        self._keyring = keyring
        self._charters = charters
        self._state = state
        self._driver = driver
        self._store = store
        self._directory = directory
        self._index = index
        self._opinions: dict[str, Opinion] = {}

    async def start(self) -> None:
        """Take over the opinions that the disk holds."""

        def read(connection: Connection) -> dict[str, Opinion]:
            rows = connection.execute(select(opinions))
            return {row.subject: Opinion(row.subject, row.vouched, row.blocked, row.nickname) for row in rows}

        self._opinions = await self._store.transact(read)
        self._take_effect()

    # Charters.

    def show(self, name: str = "") -> OwnerView:
        """Return an owner by id, the beginning of it, name or nickname; the own one without a name.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-OWNER``.
        Conflict
            ``E-OWNER-AMBIGUOUS``.
        """
        trust = self._trust(self.find(name) if name else self._keyring.owner)
        charter = trust.charter
        opinion = self._opinions.get(trust.owner.hex(), Opinion(trust.owner.hex()))
        here = self._keyring.signer.public_key
        return OwnerView(
            owner=trust.owner.hex(),
            name=charter.name,
            version=charter.version,
            epoch=charter.epoch,
            threshold=charter.threshold,
            owner_keys=[key.hex() for key in charter.owner_keys],
            recovery_key=charter.recovery_key.hex(),
            node_keys=[
                NodeKeyView(
                    entry.key.hex(), list(entry.roles), entry.not_before, entry.not_after, entry.key == here
                )
                for entry in charter.node_keys
            ],
            about=charter.about,
            contact=charter.contact,
            url=charter.url,
            issued=charter.issued,
            frozen=trust.frozen,
            nickname=opinion.nickname,
            vouched=opinion.vouched,
            blocked=opinion.blocked,
            charters=list(trust.chains[0]),
        )

    async def take(self, charter: bytes) -> OwnerView:
        """Take the charter that follows the newest one of this node's owner.

        Raises
        ------
        Refused
            ``E-OWNER-CHARTER``: others would refuse it.
        """
        chain = (*self._trust(self._keyring.owner).chains[0], charter)
        taken = await self._driver.take_records((), (chain,))
        now = self._trust(self._keyring.owner)
        if taken.refused or tuple(now.chains[0]) != chain:
            raise Refused(
                "The charter is not accepted",
                where=f"version {now.charter.version + 1}",
                why="; ".join(taken.refused) or "another charter of this version is known",
                todo="Sign it anew over the newest charter, with enough owner keys or the recovery key.",
                code="E-OWNER-CHARTER",
            )
        await asyncio.to_thread(write_private, self._charters, msgspec.msgpack.encode(list(chain)))
        key = self._keyring.signer.public_key
        for scope in (PUBLIC, *self._state.groups().groups):
            if self._state.catalogue(key, scope) is not None:
                self._driver.post(events.Renew(scope))
        return self.show()

    async def domain(self, name: str = "") -> DomainProof:
        """Ask the domain in an owner's charter whether it is the owner's."""
        view = self.show(name)
        return await ask_domain(view.owner, view.url)

    # Opinions.

    def opinions(self) -> Opinions:
        """Return all opinions, by subject."""
        return Opinions([self._opinions[subject] for subject in sorted(self._opinions)])

    async def think(self, subject: str, request: OpinionRequest) -> Opinion:
        """Change what this node thinks of an owner or a learnware.

        Raises
        ------
        BadRequest
            ``E-OWNER-NICKNAME``: too long. ``E-OWNER-SELF``: of oneself no opinion is needed.
        """
        named = self._subject(subject)
        before = self._opinions.get(named, Opinion(named))
        changes = {
            name: value for name, value in msgspec.structs.asdict(request).items() if value is not None
        }
        after = msgspec.structs.replace(before, **changes)
        if len(after.nickname) > NAME_CHARACTERS_MAX:
            raise BadRequest(
                "The nickname is too long",
                where="nickname",
                why=f"at most {NAME_CHARACTERS_MAX} characters",
                code="E-OWNER-NICKNAME",
            )
        await self._store.transact(lambda connection: _write(connection, after))
        if after == Opinion(named):
            self._opinions.pop(named, None)
        else:
            self._opinions[named] = after
        self._take_effect()
        return after

    def find(self, name: str) -> bytes:
        """Return the owner's id that an id, the beginning of one, a name or a nickname stands for."""
        known = self._directory.owners()
        nicknamed = {bytes.fromhex(o.subject) for o in self._opinions.values() if o.nickname == name}
        exact = {owner for owner in known if owner.hex() == name.lower()}
        begun = {
            owner
            for owner in known
            if len(name) >= PREFIX_CHARACTERS_MIN and owner.hex().startswith(name.lower())
        }
        fitting = exact or nicknamed or {o for o in known if self._directory.name(o) == name} or begun
        if not fitting:
            raise NotFound(
                "No such owner is known here",
                where=name,
                todo="Take the id or the name that `skerry peers` or a search shows.",
                code="E-NOTFOUND-OWNER",
            )
        if len(fitting) > 1:
            raise Conflict(
                "Several owners fit: names are claims",
                where=name,
                why=", ".join(sorted(owner.hex()[:16] for owner in fitting)),
                todo="Name it by its id.",
                code="E-OWNER-AMBIGUOUS",
            )
        return fitting.pop()

    def _subject(self, subject: str) -> str:
        """Return the id of an owner or of a card."""
        if len(subject) == 64 and set(subject) <= set("0123456789abcdef"):
            return subject
        return self.find(subject).hex()

    def _take_effect(self) -> None:
        """Have the other parts go by the opinions."""
        vouched = tuple(bytes.fromhex(o.subject) for o in self._opinions.values() if o.vouched)
        self._driver.post(events.Vouch(vouched))
        self._directory.nicknames = {
            bytes.fromhex(o.subject): o.nickname for o in self._opinions.values() if o.nickname
        }
        self._index.block(bytes.fromhex(o.subject) for o in self._opinions.values() if o.blocked)

    def _trust(self, owner: bytes) -> OwnerTrust:
        trust = self._state.owners().get(owner)
        if trust is None:
            raise NotFound("No such owner is known here", where=owner.hex(), code="E-NOTFOUND-OWNER")
        return trust


def _write(connection: Connection, opinion: Opinion) -> None:
    connection.execute(delete(opinions).where(opinions.c.subject == opinion.subject))
    if opinion != Opinion(opinion.subject):
        connection.execute(insert(opinions).values(**msgspec.structs.asdict(opinion)))
