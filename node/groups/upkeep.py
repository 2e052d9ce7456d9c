"""What a group needs from time to time: rosters renewed, branches joined, newcomers folded in.

Theory of operation. Every admin's node looks once a minute, and at once when a draft comes. What is due is
done by the node of one admin: the others wait longer, in the order of their ids, so that rosters do not part
for being renewed. Where one admin's signature is not enough, the roster becomes a draft like any other
change.

Rules of this file:

1. Only changes that nobody need decide are made here: renewal, branches, admissions, and who said that it
   leaves.
2. One group's trouble does not keep the others waiting.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from skerry.errors import SkerryError
from skerry.node.limits import (
    FOLD_ADMISSIONS_MAX,
    FOLD_SECONDS,
    ROSTER_RENEWAL_SECONDS,
    UPKEEP_SECONDS,
    UPKEEP_STAGGER_SECONDS,
)
from skerry.protocol import effects
from skerry.protocol.roster import GroupRole

from .rosters import leaving

if TYPE_CHECKING:
    from skerry.protocol.groups import Group
    from skerry.protocol.state import State

    from .signing import RosterWriter

log: Final = structlog.get_logger()


class Upkeep:
    """Looks after the groups of which this node's owner is an admin.

    Parameters
    ----------
    owner
        This node's owner.
    state, writer
        What is known of groups, and who signs rosters.
    """

    def __init__(self, owner: bytes, state: State, writer: RosterWriter) -> None:
        self._owner = owner
        self._state = state
        self._writer = writer
        self._stirred = asyncio.Event()

    def apply(self, operation: effects.StoreOperation) -> None:
        """Look at once when a record of a group came."""
        if isinstance(operation, effects.PutRecord) and operation.scope:
            self._stirred.set()

    async def run(self) -> None:
        """Look after the groups until cancelled."""
        while True:
            for group in list(self._state.groups().groups.values()):
                try:
                    await self._look_after(group)
                except SkerryError as error:
                    log.warning("a group's roster could not be made", group=group.id.hex(), why=str(error))
            try:
                await asyncio.wait_for(self._stirred.wait(), UPKEEP_SECONDS)
            except TimeoutError:
                continue
            self._stirred.clear()

    async def _look_after(self, group: Group) -> None:
        standing = group.standing(self._owner, int(time.time()))
        if standing is None or standing.role is not GroupRole.ADMIN:
            return
        await self._writer.finish(group)
        waited = self._place(group) * UPKEEP_STAGGER_SECONDS
        if due(group, time.time() - waited) and not self._writer.proposed(group):
            await self._writer.change(group, lambda _: None)

    def _place(self, group: Group) -> int:
        """Return how many admins come before this one."""
        known = group.rosters.standings.items()
        others = sorted(owner for owner, standing in known if standing.role is GroupRole.ADMIN)
        return others.index(self._owner) if self._owner in others else len(others)


def due(group: Group, now: float) -> bool:
    """Return whether a group needs a new roster at a wall-clock time."""
    valid = [r.value for r in group.admissions.records.values() if group.counts(r.value, int(now))]
    gone = leaving(group) & group.rosters.standings.keys()
    newest = max(tip.value.issued for tip in group.rosters.tips)
    return (
        (len(group.rosters.tips) > 1 and newest <= now)
        or group.rosters.lease - now < ROSTER_RENEWAL_SECONDS
        or len(valid) >= FOLD_ADMISSIONS_MAX
        or any(now - admission.issued >= FOLD_SECONDS for admission in valid)
        or any(group.rosters.standings[owner].role is not GroupRole.ADMIN for owner in gone)
    )
