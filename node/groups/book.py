"""What this node alone knows of its groups: its admin keys, and the invites that it issued.

Rules of this file:

1. An invite is used in one transaction of the store's one writer: the count and who came are changed together
   or not at all, so however many try at one instant, at most ``uses`` come in.
2. Who came by an invite once may ask again without using it up: an answer may have been lost on its way.
3. A database that was restored issues nothing: what it believes open may have been used since. It is told
   from the one that was left behind by a number in the folder that no backup holds.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from skerry.node.folder import write_private
from skerry.node.storage.schema import group_keys, invites, redemptions, store_marks
from skerry.protocol.signing import Signer

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from skerry.node.storage.store import Store

MARK = "incarnation"


@dataclass(frozen=True)
class IssuedInvite:
    """An invite as its issuing node keeps it; ``id`` is the hash of its secret."""

    id: bytes
    group: bytes
    role: str
    uses: int
    used: int
    expires: int
    created: int
    version: int
    """Of the group's rosters when it was made."""
    void: bool

    def refusal(self, now: float) -> str:
        """Return why it cannot be redeemed by somebody new; nothing when it can."""
        if self.void:
            return "it was made void"
        if self.expires <= now:
            return "it has expired"
        return f"all {self.uses} uses are taken" if self.used >= self.uses else ""


class GroupBook:
    """The tables of groups.

    Parameters
    ----------
    store
        The node's database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def void_restored(self, mark: Path) -> int:
        """Void all open invites when the database was restored; return how many were.

        Parameters
        ----------
        mark
            The file in the node's folder that holds the number of this database.
        """
        found = await asyncio.to_thread(_read_mark, mark)

        def check(connection: Connection) -> tuple[int, str]:
            known = connection.scalar(select(store_marks.c.value).where(store_marks.c.name == MARK))
            if known is not None and known == found:
                return 0, ""
            fresh = secrets.token_hex(16)
            connection.execute(delete(store_marks).where(store_marks.c.name == MARK))
            connection.execute(insert(store_marks).values(name=MARK, value=fresh))
            voided = connection.execute(update(invites).where(~invites.c.void).values(void=True))
            return voided.rowcount, fresh

        voided, fresh = await self._store.transact(check)
        if fresh:
            write_private(mark, fresh.encode("ascii"))
        return voided

    async def admin_keys(self, group: bytes) -> list[Signer]:
        """Return the keys with which this node's owner signs, or is to sign, a group's rosters."""

        def read(connection: Connection) -> list[bytes]:
            kept = select(group_keys.c.seed).where(group_keys.c.scope == group)
            return [row.seed for row in connection.execute(kept)]

        return [Signer.from_bytes(seed) for seed in await self._store.transact(read)]

    async def add_admin_key(self, group: bytes, signer: Signer) -> None:
        """Keep a key for a group beside those before: which one counts says the roster."""

        def write(connection: Connection) -> None:
            values = {"scope": group, "key": signer.public_key, "seed": signer.to_bytes()}
            connection.execute(insert(group_keys).values(**values))

        await self._store.transact(write)

    async def issue(self, invite: IssuedInvite) -> None:
        """Keep a new invite."""

        def write(connection: Connection) -> None:
            connection.execute(
                insert(invites).values(
                    id=invite.id,
                    scope=invite.group,
                    role=invite.role,
                    uses=invite.uses,
                    used=0,
                    expires=invite.expires,
                    created=invite.created,
                    version=invite.version,
                    void=False,
                )
            )

        await self._store.transact(write)

    async def issued(self, group: bytes) -> list[IssuedInvite]:
        """Return a group's invites, newest first."""

        def read(connection: Connection) -> list[IssuedInvite]:
            rows = select(invites).where(invites.c.scope == group).order_by(invites.c.created.desc())
            return [_invite(row) for row in connection.execute(rows)]

        return await self._store.transact(read)

    async def find(self, invite: bytes) -> IssuedInvite | None:
        """Return an invite by its id; None when this node never issued it."""

        def read(connection: Connection) -> IssuedInvite | None:
            row = connection.execute(select(invites).where(invites.c.id == invite)).one_or_none()
            return None if row is None else _invite(row)

        return await self._store.transact(read)

    async def void(self, group: bytes, invite: bytes | None = None) -> int:
        """Make one invite void, or all of a group; return how many were open."""

        def write(connection: Connection) -> int:
            chosen = update(invites).where(invites.c.scope == group, ~invites.c.void)
            if invite is not None:
                chosen = chosen.where(invites.c.id == invite)
            return connection.execute(chosen.values(void=True)).rowcount

        return await self._store.transact(write)

    async def redeem(
        self, invite: bytes, owner: bytes, version: int, now: float
    ) -> tuple[IssuedInvite | None, int | None]:
        """Use an invite for an owner, in one transaction.

        Returns
        -------
        invite
            As it was before; None when this node never issued it.
        version
            The roster's version at which the owner came first: `version`, or that of an earlier time. None
            when the invite cannot be used.
        """

        def use(connection: Connection) -> tuple[IssuedInvite | None, int | None]:
            row = connection.execute(select(invites).where(invites.c.id == invite)).one_or_none()
            if row is None:
                return None, None
            came = (redemptions.c.invite == invite) & (redemptions.c.owner == owner)
            before = connection.scalar(select(redemptions.c.version).where(came))
            issued = _invite(row)
            if before is not None:
                return issued, None if issued.void else before
            if issued.refusal(now):
                return issued, None
            free = (invites.c.id == invite) & (invites.c.used < invites.c.uses)
            if connection.execute(update(invites).where(free).values(used=invites.c.used + 1)).rowcount != 1:
                return issued, None
            connection.execute(
                insert(redemptions).values(invite=invite, owner=owner, version=version, at=int(now))
            )
            return issued, version

        return await self._store.transact(use)

    async def came_before(self, group: bytes, owner: bytes, version: int) -> bool:
        """Return whether an owner came into a group by an invite of this node before a roster's version."""

        def read(connection: Connection) -> bool:
            of_group = select(invites.c.id).where(invites.c.scope == group)
            came = select(redemptions.c.owner).where(
                redemptions.c.owner == owner,
                redemptions.c.invite.in_(of_group),
                redemptions.c.version < version,
            )
            return connection.execute(came).first() is not None

        return await self._store.transact(read)

    async def forget(self, group: bytes) -> None:
        """Forget all about a group."""

        def write(connection: Connection) -> None:
            of_group = select(invites.c.id).where(invites.c.scope == group)
            connection.execute(delete(redemptions).where(redemptions.c.invite.in_(of_group)))
            connection.execute(delete(invites).where(invites.c.scope == group))
            connection.execute(delete(group_keys).where(group_keys.c.scope == group))

        await self._store.transact(write)


def _read_mark(mark: Path) -> str:
    return mark.read_text("ascii").strip() if mark.exists() else ""


def _invite(row: Row[tuple[object, ...]]) -> IssuedInvite:
    return IssuedInvite(
        row.id,
        row.scope,
        row.role,
        row.uses,
        row.used,
        row.expires,
        row.created,
        row.version,
        void=row.void,
    )
