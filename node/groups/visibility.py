"""To whom a learnware is shown, and whether the groups that it is for take it.

Rules of this file:

1. What is published for a group is public only if that was said, too; an update that says nothing keeps the
   audience as it is.
2. A package that is kept for groups has a card in each of them, so that their members know of it.
3. A group's policy is held against the card before anything is signed, and the refusal names every rule that
   it breaks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.errors import Refused
from skerry.node.api.problems import BadRequest
from skerry.node.directory import PUBLIC
from skerry.node.search.index import Entry
from skerry.protocol.card import CARD
from skerry.protocol.policy import breaches
from skerry.protocol.roster import GroupRole

from .finding import find_group

if TYPE_CHECKING:
    from skerry.node.storage.store import Store
    from skerry.protocol.api import PublishRequest
    from skerry.protocol.card import Card
    from skerry.protocol.groups import Group
    from skerry.protocol.state import State

    from .audience import Audience


@dataclass(frozen=True)
class Shown:
    """To whom a learnware is shown.

    Attributes
    ----------
    scopes
        The catalogues that hold its card, public first.
    kept
        The groups for which its package is kept; None when it goes with the card.
    """

    scopes: tuple[bytes, ...]
    kept: frozenset[bytes] | None


class Visibility:
    """Decides to whom this node's learnwares are shown.

    Parameters
    ----------
    owner, node_key
        Who this node is.
    state
        What is known of groups, and what this node shows.
    store
        Keeps for whom packages are.
    audience
        Told of it.
    """

    def __init__(self, owner: bytes, node_key: bytes, state: State, store: Store, audience: Audience) -> None:
        self._owner = owner
        self._node_key = node_key
        self._state = state
        self._store = store
        self._audience = audience

    def scopes_of(self, card_id: bytes) -> tuple[bytes, ...]:
        """Return the catalogues of this node that hold a learnware, public first."""
        scopes = (PUBLIC, *self._state.groups().groups)
        return tuple(scope for scope in scopes if card_id in self._own(scope))

    def wanted(self, request: PublishRequest, card_id: bytes) -> Shown:
        """Return to whom a request wants a learnware shown.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-GROUP``.
        BadRequest
            ``E-PUBLISH-AUDIENCE``: nobody would see it.
        """
        live = self.scopes_of(card_id)
        keep = request.package_groups
        kept = self._audience.kept.get(request.slug) if live else None
        if keep is not None:
            kept = frozenset(find_group(self._state, name).id for name in keep) or None
        groups = [find_group(self._state, name).id for name in request.groups]
        if request.groups or request.public is not None:
            scopes = [*([PUBLIC] if request.public else []), *groups]
        else:
            scopes = list(live or (PUBLIC,))
        scopes += [scope for scope in kept or () if scope not in scopes]
        if not scopes:
            raise BadRequest(
                "Nobody would see the learnware",
                where=request.slug,
                why="it is neither public nor for a group",
                todo="Name a group with --group, or publish it with --public.",
                code="E-PUBLISH-AUDIENCE",
            )
        return Shown(tuple(dict.fromkeys(scopes)), kept)

    def entry(self, digest: bytes, card: Card, shown: Shown) -> Entry:
        """Return a card of this node with the places where it stands."""
        return Entry(digest, card, {(scope, self._node_key) for scope in shown.scopes})

    def require_admitted(self, shown: Shown, card: Card) -> None:
        """Hold a card against the policies of the groups that it is for.

        Raises
        ------
        Refused
            ``E-GROUP-ROLE``: this node's owner does not publish in a group. ``E-REFUSED-POLICY``: its policy
            does not admit the card; every broken rule is named.
        """
        for scope in shown.scopes:
            if scope != PUBLIC:
                self._require_in(self._state.groups().groups[scope], card)

    async def keep(self, slug: str, shown: Shown) -> None:
        """Remember for whom a package is, before a head can name its card."""
        await self._store.put_audience(slug, shown.kept or frozenset())
        if shown.kept:
            self._audience.kept[slug] = shown.kept
        else:
            self._audience.kept.pop(slug, None)

    def _require_in(self, group: Group, card: Card) -> None:
        name = group.rosters.tips[0].value.name
        standing = group.standing(self._owner, int(time.time()))
        if standing is None or standing.role.rank < GroupRole.PUBLISHER.rank:
            raise Refused(
                "This node does not publish in the group",
                where=name,
                why="its owner is " + ("no member" if standing is None else f"a {standing.role.value}"),
                todo="Ask an admin of the group for an invite as publisher.",
                code="E-GROUP-ROLE",
            )
        others = [CARD.decode(raw) for raw in self._own(group.id).values()]
        others = [other for other in others if other.id != card.id]
        broken = [reason for policy in group.rosters.policies for reason in breaches(policy, card)]
        broken += [
            f"each owner shows at most {policy.cards_max} learnwares"
            for policy in group.rosters.policies
            if len(others) >= policy.cards_max > 0
        ]
        if broken:
            raise Refused(
                "The group's policy does not admit the learnware",
                where=name,
                why="; ".join(dict.fromkeys(broken)),
                todo="Change the learnware, or ask an admin: `skerry group policy` shows the rules.",
                code="E-REFUSED-POLICY",
            )

    def _own(self, scope: bytes) -> dict[bytes, bytes]:
        """Return this node's own cards in a scope, by id."""
        held = self._state.catalogue(self._node_key, scope)
        if held is None:
            return {}
        return {CARD.decode(raw).id: raw for raw in held.visible.values()}
