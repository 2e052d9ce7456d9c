"""The market for programs with an event loop: the methods of :class:`.network.Network`, awaited.

Each call runs in a thread: the work is numerical or waits for one socket, and the loop stays free. The
arguments, results and errors are those of the methods of the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from skerry.protocol import api

from .groups import Groups
from .network import Network, SearchOptions, connect
from .publishing import Words

if TYPE_CHECKING:
    from skerry.reuse import Learnware
    from skerry.spec import Bridge, Rkme

    from .cache import Cache
    from .fetch import Progress
    from .hits import Hit, Hits


class AsyncNetwork:
    """The market as one node knows it, awaited.

    ::

        net = await skerry.AsyncNetwork.connect()
        hits = await net.search(X, task="Classification")
        model = await net.estimator(hits[0])

    Parameters
    ----------
    network
        The market whose methods are awaited.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    async def connect(
        cls,
        url: str | None = None,
        token: str | None = None,
        *,
        folder: Path | str | None = None,
        cache: Path | str | None = None,
        unsafe_models: bool = False,
        offline: bool = False,
    ) -> Self:
        """Return the market as a node knows it; see :func:`skerry.connect`."""
        network = await asyncio.to_thread(
            connect, url, token, folder=folder, cache=cache, unsafe_models=unsafe_models, offline=offline
        )
        return cls(network)

    def __repr__(self) -> str:
        return f"<Async{repr(self._network)[1:]}"

    @property
    def cache(self) -> Cache:
        """The cache of fetched models."""
        return self._network.cache

    @property
    def is_local(self) -> bool:
        """Whether the node is on this machine."""
        return self._network.is_local

    async def search(self, X: Any = None, y: Any = None, **options: Unpack[SearchOptions]) -> Hits:
        """Find learnwares for data, for words, or for both; see :meth:`Network.search`."""
        return await asyncio.to_thread(self._network.search, X, y, **options)

    async def hit(self, card_id: str, columns_map: Mapping[str, str] | None = None) -> Hit:
        """Return the learnware with this id; see :meth:`Network.hit`."""
        return await asyncio.to_thread(self._network.hit, card_id, columns_map)

    async def cached(self) -> list[Hit]:
        """Return the learnwares in the cache; see :meth:`Network.cached`."""
        return await asyncio.to_thread(self._network.cached)

    async def download(
        self, hit: Hit, *, progress: Progress | bool = False, bytes_per_second: int = 0
    ) -> Path:
        """Return the path of a hit's package, fetched when it is not in the cache; see `Hit.download`."""
        return await asyncio.to_thread(hit.download, progress=progress, bytes_per_second=bytes_per_second)

    async def estimator(self, hit: Hit) -> Learnware:
        """Return a hit's model as an estimator; see :meth:`Hit.estimator`."""
        return await asyncio.to_thread(hit.estimator)

    async def publish(self, model: Any, X: Any, y: Any = None, **words: Unpack[Words]) -> api.PublishReceipt:
        """Publish a fitted model; see :func:`skerry.publish`."""
        return await asyncio.to_thread(self._network.publish, model, X, y, **words)

    async def own(self, slug: str) -> Hit:
        """Return a learnware of the node by its slug; see :meth:`Network.own`."""
        return await asyncio.to_thread(self._network.own, slug)

    async def withdraw(self, slug: str) -> api.PublishReceipt:
        """Take a learnware of the node out of the market; see :meth:`Network.withdraw`."""
        return await asyncio.to_thread(self._network.withdraw, slug)

    async def bridges(self, searcher: Rkme, owner: Rkme) -> list[tuple[str, Bridge]]:
        """Return published bridges; see :meth:`Network.bridges`."""
        return await asyncio.to_thread(self._network.bridges, searcher, owner)

    async def publish_bridge(self, bridge: Bridge, searcher: Rkme, owner: Rkme) -> api.BridgeView:
        """Publish a bridge; see :meth:`Network.publish_bridge`."""
        return await asyncio.to_thread(self._network.publish_bridge, bridge, searcher, owner)

    async def learnwares(self) -> list[api.CardView]:
        """Return the node's own live learnwares."""
        return await asyncio.to_thread(self._network.learnwares)

    async def checks(self, slug: str) -> api.CheckReport:
        """Return what was found when a learnware was checked; see :meth:`Network.checks`."""
        return await asyncio.to_thread(self._network.checks, slug)

    async def status(self) -> api.Status:
        """Return the node at a glance."""
        return await asyncio.to_thread(self._network.status)

    async def peers(self) -> list[api.PeerView]:
        """Return the nodes that this one knows."""
        return await asyncio.to_thread(self._network.peers)

    async def dial(self, address: str) -> list[api.PeerView]:
        """Connect the node to another one; see :meth:`Network.dial`."""
        return await asyncio.to_thread(self._network.dial, address)

    async def owner(self, name: str = "") -> api.OwnerView:
        """Return an owner by id, name or nickname; see :meth:`Network.owner`."""
        return await asyncio.to_thread(self._network.owner, name)

    async def take_charter(self, charter: bytes) -> api.OwnerView:
        """Give the node a signed charter of its owner; see :meth:`Network.take_charter`."""
        return await asyncio.to_thread(self._network.take_charter, charter)

    async def domain_proof(self, owner: str) -> api.DomainProof:
        """Ask the site in an owner's charter whether it names the owner."""
        return await asyncio.to_thread(self._network.domain_proof, owner)

    async def opinions(self) -> list[api.Opinion]:
        """Return whom the node's people vouch for, what they block, and their nicknames."""
        return await asyncio.to_thread(self._network.opinions)

    async def think(
        self,
        subject: str,
        *,
        vouched: bool | None = None,
        blocked: bool | None = None,
        nickname: str | None = None,
    ) -> api.Opinion:
        """Change what the node thinks of an owner or a learnware; see :meth:`Network.think`."""
        return await asyncio.to_thread(
            self._network.think, subject, vouched=vouched, blocked=blocked, nickname=nickname
        )

    @property
    def groups(self) -> AsyncGroups:
        """The institutional groups of the node, awaited."""
        return AsyncGroups(self._network.groups)


class AsyncGroups:
    """The methods of :class:`.groups.Groups`, awaited.

    Parameters
    ----------
    groups
        The groups whose methods are awaited.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups: Groups = groups

    async def all(self) -> list[api.GroupView]:
        """Return the groups that the node is in."""
        return await asyncio.to_thread(self._groups.all)

    async def create(self, name: str, *, admins: tuple[int, int] = (1, 1)) -> api.GroupView:
        """Found a group; see :meth:`.groups.Groups.create`."""
        return await asyncio.to_thread(self._groups.create, name, admins=admins)

    async def members(self, group: str) -> list[api.MemberView]:
        """Return who is in a group."""
        return await asyncio.to_thread(self._groups.members, group)

    async def view(self, group: str) -> api.Members:
        """Return a group at a glance, and who is in it."""
        return await asyncio.to_thread(self._groups.view, group)

    async def invite(
        self, group: str, *, role: str = "reader", uses: int = 1, days: float = 7.0
    ) -> api.InviteReceipt:
        """Make an invite; see :meth:`.groups.Groups.invite`."""
        return await asyncio.to_thread(self._groups.invite, group, role=role, uses=uses, days=days)

    async def invites(self, group: str) -> list[api.InviteView]:
        """Return the invites that this node issued."""
        return await asyncio.to_thread(self._groups.invites, group)

    async def revoke(self, group: str, invite: str) -> list[api.InviteView]:
        """Make an invite void, and return all."""
        return await asyncio.to_thread(self._groups.revoke, group, invite)

    async def join(self, invite: str) -> api.GroupView:
        """Join a group by an invite; see :meth:`.groups.Groups.join`."""
        return await asyncio.to_thread(self._groups.join, invite)

    async def leave(self, group: str) -> None:
        """Leave a group."""
        await asyncio.to_thread(self._groups.leave, group)

    async def remove(self, group: str, member: str) -> api.RosterChange:
        """Remove a member."""
        return await asyncio.to_thread(self._groups.remove, group, member)

    async def rotate(self, group: str) -> api.RosterChange:
        """Change this owner's key for the group's rosters, and make all open invites void."""
        return await asyncio.to_thread(self._groups.rotate, group)

    async def policy(
        self,
        group: str,
        *,
        lanes: Sequence[str] | None = None,
        required: Sequence[str] | None = None,
        cards_max: int | None = None,
        package_bytes_max: int | None = None,
        admins: tuple[int, int] | None = None,
    ) -> api.RosterChange:
        """Change what the group asks of learnwares; see :meth:`.groups.Groups.policy`."""
        return await asyncio.to_thread(
            self._groups.policy,
            group,
            lanes=lanes,
            required=required,
            cards_max=cards_max,
            package_bytes_max=package_bytes_max,
            admins=admins,
        )

    async def proposals(self, group: str) -> list[api.Proposal]:
        """Return the changes that wait for other admins' signatures."""
        return await asyncio.to_thread(self._groups.proposals, group)

    async def agree(self, group: str, roster: str) -> api.RosterChange:
        """Sign a change that another admin proposed."""
        return await asyncio.to_thread(self._groups.agree, group, roster)
