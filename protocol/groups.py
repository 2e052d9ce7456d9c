"""Groups: who shares what with whom, decided anew whenever a roster, an admission or the time changes it.

Theory of operation. When a connection is up, each side tells its groups *blinded*: for every group a hash of
the group's id, what both nonces of the greeting gave, and its own node key. Who is in the same group finds
its hash among them; nobody else learns anything. In a shared group both name their newest rosters and send
each other those that the other lacks. A group's scope is *open* with a peer while this node's owner and the
peer's stand in the newest roster, and this node may serve the group at all. All else of a group (digests,
heads, catalogues, cards) is said in an open scope alone.

Rules of this file:

1. Rosters go to members only. They are taken from any peer that told the group: their signatures judge them.
2. A new roster takes effect at once: scopes close before anything else is sent.
3. A group is served only for ``ROSTER_REFRESH_SECONDS`` after a registrar's or an admin's node named the same
   rosters; an owner that is the only admin, with one node, needs nobody's word.
4. A scope that is not open is, to a peer that never told the group, a scope that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .admission import ADMISSION_TYPE, Admission, verify_admission
from .broadcast import Broadcast
from .carried import Carried
from .context import Context
from .effects import DropGroup, GroupChanged, PutGroup, PutRecord
from .envelope import RECORD_HEADER, Envelope, Verified, open_envelope
from .errors import RemoteProtocolError
from .hashing import tagged_hash, u8
from .history import Because
from .index import Index
from .limits import (
    ADMISSIONS_PER_OWNER_MAX,
    CLOCK_TOLERANCE_SECONDS,
    GROUP_LINKS_MIN,
    GROUPS_MAX,
    ROSTER_REFRESH_SECONDS,
    ROSTER_REFRESH_STORED_SECONDS,
    ROSTER_TIPS_MAX,
)
from .messages import Groups as GroupsMessage
from .messages import Records, RosterTips
from .owners import Owners
from .roster import ROSTER, ROSTER_TYPE, GroupRole, Rosters, Standing
from .violations import Violation


@dataclass(slots=True)
class Group:
    """What is known of one group that this node takes part in."""

    rosters: Rosters
    index: Index
    admissions: Carried[Admission]
    refreshed: int = 0
    """Wall clock of the last word that the rosters are the newest."""
    refreshed_stored: int = 0
    serving: bool = False
    open_to: list[bytes] = field(default_factory=list)
    """Peers with whom the scope is open, in the order in which it opened."""

    @property
    def id(self) -> bytes:
        """The group's id, which is its scope."""
        return self.rosters.group

    def standing(self, owner: bytes, wall: int) -> Standing | None:
        """Return what an owner is by the rosters, or else by an admission; None when it is no member."""
        by_roster = self.rosters.standings.get(owner)
        if by_roster is not None:
            return by_roster
        for record in self.admissions.records.values():
            if record.value.member == owner and self.counts(record.value, wall):
                return Standing(record.value.role, record.value.owner)
        return None

    def counts(self, admission: Admission, wall: int) -> bool:
        """Return whether an admission holds by the present rosters."""
        registrar = self.rosters.standings.get(admission.owner)
        return (
            admission.version == self.rosters.version
            and admission.lease >= wall - CLOCK_TOLERANCE_SECONDS
            and registrar is not None
            and registrar.role.rank >= GroupRole.REGISTRAR.rank
        )

    def members(self, wall: int) -> dict[bytes, Standing]:
        """Return all members."""
        admitted = [record.value.member for record in self.admissions.records.values()]
        found = {owner: self.standing(owner, wall) for owner in (*self.rosters.standings, *admitted)}
        return {owner: standing for owner, standing in found.items() if standing is not None}


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a peer told about its groups."""

    session: bytes
    tags: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Hooks:
    """What follows in other parts of the state."""

    opened: Callable[[bytes, bytes], None]
    """A scope opens: (peer, scope)."""
    joined: Callable[[bytes], None]
    """This node takes part in a group from now on, perhaps not for the first time."""
    closed: Callable[[bytes, bytes], None]
    """A scope closes: (peer, scope)."""
    compare: Callable[[bytes, bytes], None]
    """Compare the heads of a scope with a peer: (peer, scope)."""
    seek: Callable[[Collection[bytes], int], None]
    """Dial so many nodes of some owners: (owners, count)."""
    dropped: Callable[[Index, Iterable[bytes]], None]
    """Catalogues end: (index, node keys)."""


class Groups:
    """See the module's docstring.

    Parameters
    ----------
    context, owners, broadcast
        Shared with the other parts of the state.
    indexes
        Scope -> index; a group's index is added when the group is.
    hooks
        What follows in other parts.
    """

    def __init__(
        self,
        context: Context,
        owners: Owners,
        broadcast: Broadcast,
        indexes: dict[bytes, Index],
        hooks: Hooks,
    ) -> None:
        self._context = context
        self._owners = owners
        self._broadcast = broadcast
        self._indexes = indexes
        self._hooks = hooks
        self._greetings: dict[bytes, Greeting] = {}
        self._asked: dict[tuple[bytes, bytes], frozenset[bytes]] = {}
        """(peer, group) -> rosters that the peer named, not known here, when it was last asked for them."""
        self._left: set[bytes] = set()
        """Groups that this node left; peers may not have heard of it yet."""
        self.groups: dict[bytes, Group] = {}
        self.owner = b""
        """This node's owner; set when the state starts."""

    # Connections.

    def connected(self, peer: bytes, session: bytes) -> None:
        """Tell a new peer this node's groups; ``session`` is what both nonces gave."""
        self._greetings[peer] = Greeting(session)
        if session and self.groups:
            self._greet(peer)

    def disconnected(self, peer: bytes) -> None:
        """Forget a peer."""
        self._greetings.pop(peer, None)
        for place in [place for place in self._asked if place[0] == peer]:
            del self._asked[place]
        for group in self.groups.values():
            if peer in group.open_to:
                group.open_to.remove(peer)

    def greeted(self, peer: bytes, message: GroupsMessage) -> None:
        """Take the groups that a peer tells, and go on in those that are shared."""
        session = self._greetings[peer].session
        if not session:
            raise RemoteProtocolError(Violation.UNEXPECTED, "groups without a greeting", where="groups")
        if not self._context.pays(peer, GROUPS_MAX):
            return
        self._greetings[peer] = Greeting(session, frozenset(message.tags))
        for group in self.groups.values():
            if self.told(peer, group.id):
                self._tell(peer, group)
        self.update()

    def told(self, peer: bytes, group: bytes) -> bool:
        """Return whether a peer told that it is in a group."""
        greeting = self._greetings.get(peer)
        return greeting is not None and tag(group, greeting.session, peer) in greeting.tags

    def open_to(self, peer: bytes) -> list[bytes]:
        """Return the groups whose scope is open with a peer."""
        return [group.id for group in self.groups.values() if peer in group.open_to]

    def _greet(self, peer: bytes) -> None:
        session = self._greetings[peer].session
        tags = [tag(group, session, self._context.key) for group in self.groups]
        while len(tags) < GROUPS_MAX:
            tags.append(tagged_hash("skerry/no-group/1", self._context.rng.randbytes(32), u8(len(tags))))
        self._context.send(peer, GroupsMessage(tuple(sorted(tags))))

    def _tell(self, peer: bytes, group: Group) -> None:
        """Name the newest rosters, and show the admissions by which this node's owner is a member."""
        tips = tuple(tip.hash for tip in group.rosters.tips)[:ROSTER_TIPS_MAX]
        self._context.send(peer, RosterTips(group.id, tips))
        if self.owner not in group.rosters.standings:
            for record in group.admissions.records.values():
                if record.value.member == self.owner:
                    self._send_admission(peer, record)

    def _send_admission(self, peer: bytes, record: Verified[Admission]) -> None:
        for message in self._owners.with_charters([(record.value.owner, record.raw)]):
            self._context.send(peer, message)

    def _send_roster(self, peer: bytes, raw: bytes) -> None:
        self._context.send(peer, Records((), (raw,)))

    # Rosters and admissions.

    def tips(self, peer: bytes, message: RosterTips) -> None:
        """Compare rosters with a peer: send those that it lacks, or note that both have the same."""
        group = self.groups.get(message.scope)
        if group is None or not self.told(peer, message.scope) or not self._context.pays(peer, 1):
            return
        standing = group.standing(self._context.peers[peer].owner, self._context.wall)
        if standing is None:
            return
        self._ask_for(peer, group, message.tips)
        if set(message.tips) == {tip.hash for tip in group.rosters.tips}:
            if standing.role.rank >= GroupRole.REGISTRAR.rank:
                self._refreshed(group)
            return
        lacking = group.rosters.beyond(message.tips)
        if self._context.pays(peer, len(lacking)):
            for roster in lacking:
                self._send_roster(peer, roster.raw)

    def take(self, peer: bytes | None, raw: bytes, envelope: Envelope, *, own: bool = False) -> bool:
        """Take a roster or an admission; return whether it was news.

        Parameters
        ----------
        peer
            Who sent it; None when this node's own people or its disk did. These alone make the node take
            part in a group, by the group's first roster.

        Raises
        ------
        RemoteProtocolError
            It does not verify, or is of a group that the peer did not tell.
        """
        scope = RECORD_HEADER.decode(envelope.body).scope
        if envelope.type == ROSTER_TYPE and not scope:
            scope = envelope.hash
        known = scope in self.groups and (peer is None or self.told(peer, scope))
        if known and envelope.type == ADMISSION_TYPE:
            return self._take_admission(self.groups[scope], peer, raw, own=own)
        if known and not self._add(self.groups[scope], peer, raw, envelope.hash):
            return False
        if not known and peer is not None and self.may_have_been_shared(peer, scope):
            return False
        if not known and (peer is not None or envelope.type != ROSTER_TYPE):
            raise RemoteProtocolError(Violation.UNEXPECTED, "of a group not shared", where=envelope.type)
        if not known:
            self._join(raw)
        self._context.store(PutRecord(scope, envelope.hash, raw, own))
        self._adopted(self.groups[scope], peer, raw)
        return True

    def _add(self, group: Group, peer: bytes | None, raw: bytes, digest: bytes) -> bool:
        """Add a roster; whose parents are not known here, they are asked for."""
        try:
            return group.rosters.add(raw, self._context.wall)
        except RemoteProtocolError as error:
            if peer in self._members_told(group) and error.violation is Violation.PARENTS_UNKNOWN:
                self._ask_for(peer, group, (digest,))
            raise

    def _ask_for(self, peer: bytes, group: Group, named: Iterable[bytes]) -> None:
        """Tell this node's tips to who names rosters that are not known here: it sends what lies between.

        Once for the same names, so that two nodes that cannot agree do not go on for ever.
        """
        unknown = frozenset(named) - group.rosters.known.keys()
        if unknown and self._asked.get((peer, group.id)) != unknown:
            self._asked[peer, group.id] = unknown
            self._tell(peer, group)

    def _join(self, first: bytes) -> None:
        if len(self.groups) >= GROUPS_MAX:
            raise RemoteProtocolError(Violation.TOO_LARGE, f"{GROUPS_MAX} groups", where="roster")
        rosters = Rosters(first, self._context.wall, self._context.config.scheme)
        index = Index(self._context, self._owners, rosters.group, self._publishers(rosters.group))
        admissions = Carried(
            self._context, rosters.group, index.set, verify_admission, ADMISSIONS_PER_OWNER_MAX
        )
        index.kept.append(admissions)
        self._indexes[rosters.group] = index
        group = self.groups[rosters.group] = Group(rosters, index, admissions)
        self._left.discard(group.id)
        self._hooks.joined(group.id)
        if not self._context.loading:
            # Who joins had the rosters from a registrar just now.
            self._refreshed(group)
        for peer, greeting in self._greetings.items():
            if greeting.session:
                self._greet(peer)
                if self.told(peer, group.id):
                    self._tell(peer, group)

    def _publishers(self, scope: bytes) -> Callable[[bytes], bool]:
        return lambda owner: self.may_publish(scope, owner)

    def _adopted(self, group: Group, source: bytes | None, raw: bytes) -> None:
        """Let a new roster take effect, then pass it on to all members that are connected."""
        for digest, record in list(group.admissions.records.items()):
            if not group.counts(record.value, self._context.wall):
                group.admissions.drop(digest)
        self.update()
        for peer in self._members_told(group):
            if peer != source:
                self._send_roster(peer, raw)
            self._tell(peer, group)
        self._deliver(group)

    def _members_told(self, group: Group) -> list[bytes]:
        wall = self._context.wall
        return [
            key
            for key, peer in self._context.peers.items()
            if self.told(key, group.id) and group.standing(peer.owner, wall) is not None
        ]

    def _take_admission(self, group: Group, peer: bytes | None, raw: bytes, *, own: bool) -> bool:
        envelope = open_envelope(raw, ADMISSION_TYPE)
        if envelope.hash in group.admissions.records:
            return False
        trust = self._owners.get(RECORD_HEADER.decode(envelope.body).owner)
        if trust is None:
            raise RemoteProtocolError(Violation.KEY_UNKNOWN, "no charters came with it", where="admission")
        record = verify_admission(raw, trust, self._context.wall)
        if not group.counts(record.value, self._context.wall):
            raise RemoteProtocolError(
                Violation.NOT_MEMBER, f"roster version {record.value.version}", where="admission"
            )
        if not group.admissions.keep(record, own=own):
            return False
        self.update()
        for other in group.open_to:
            if other != peer:
                self._send_admission(other, record)
        self._deliver(group)
        return True

    def leave(self, scope: bytes) -> None:
        """Take part in a group no more, and forget all of it."""
        group = self.groups.pop(scope, None)
        if group is None:
            return
        for peer in group.open_to:
            self._hooks.closed(peer, scope)
        keys = list(group.index.heads)
        for key in keys:
            group.index.drop(key)
        self._hooks.dropped(group.index, keys)
        del self._indexes[scope]
        self._left.add(scope)
        self._context.store(DropGroup(scope))
        for peer, greeting in self._greetings.items():
            if greeting.session:
                self._greet(peer)

    def may_have_been_shared(self, peer: bytes, scope: bytes) -> bool:
        """Return whether an honest peer may still speak of a scope that is not open with it."""
        return scope in self._left or (scope in self.groups and self.told(peer, scope))

    # What follows.

    def tick(self) -> None:
        """Look after leases and freshness, and compare each group with one of its members."""
        self.update()
        for group in self.groups.values():
            told = [peer for peer in self._context.peers if self.told(peer, group.id)]
            if told:
                peer = self._context.rng.choice(told)
                self._tell(peer, group)
                if peer in group.open_to:
                    self._hooks.compare(peer, group.id)
            if len(group.open_to) < GROUP_LINKS_MIN:
                others = [owner for owner in group.members(self._context.wall) if owner != self.owner]
                self._hooks.seek(others, GROUP_LINKS_MIN - len(group.open_to))

    def update(self) -> None:
        """Open and close scopes, and drop what nobody may publish any more."""
        for group in self.groups.values():
            self._update(group)

    def _update(self, group: Group) -> None:
        serving = self.serves(group)
        wall = self._context.wall
        if serving != group.serving:
            group.serving = serving
            self._deliver(group)
        for key, peer in list(self._context.peers.items()):
            open_now = serving and self.told(key, group.id) and group.standing(peer.owner, wall) is not None
            if open_now and key not in group.open_to:
                group.open_to.append(key)
                self._hooks.opened(key, group.id)
            elif not open_now and key in group.open_to:
                group.open_to.remove(key)
                self._hooks.closed(key, group.id)
        ended = [
            key
            for key, held in group.index.heads.items()
            if key != self._context.key and not self.may_publish(group.id, held.head.value.owner)
        ]
        for key in ended:
            self._context.note(key, Because.REFUSED, f"{Violation.NOT_MEMBER}: by the newest roster")
            group.index.drop(key)
        self._hooks.dropped(group.index, ended)
        # What was accepted is not lost: who is let in again shows it again.
        group.index.enter_own()

    def serves(self, group: Group) -> bool:
        """Return whether this node may serve a group now (rule 3)."""
        wall = self._context.wall
        if group.rosters.lease < wall - CLOCK_TOLERANCE_SECONDS or group.standing(self.owner, wall) is None:
            return False
        return wall - group.refreshed < ROSTER_REFRESH_SECONDS or self._decides_alone(group)

    def _decides_alone(self, group: Group) -> bool:
        admins = [o for o, standing in group.rosters.standings.items() if standing.role is GroupRole.ADMIN]
        trust = self._owners.get(self.owner)
        return admins == [self.owner] and trust is not None and len(trust.charter.node_keys) == 1

    def _refreshed(self, group: Group) -> None:
        wall = self._context.wall
        group.refreshed = max(group.refreshed, wall)
        if wall - group.refreshed_stored >= ROSTER_REFRESH_STORED_SECONDS:
            group.refreshed_stored = wall
            self._context.store(PutGroup(group.id, wall))
        self._update(group)

    def _deliver(self, group: Group) -> None:
        members = tuple(
            (owner, standing.role.value, standing.invited_by)
            for owner, standing in group.members(self._context.wall).items()
        )
        self._context.deliver(
            GroupChanged(group.id, group.rosters.version, len(group.rosters.tips) > 1, group.serving, members)
        )

    # Reading.

    def may_publish(self, scope: bytes, owner: bytes) -> bool:
        """Return whether an owner may show learnwares to a group."""
        standing = self.groups[scope].standing(owner, self._context.wall)
        return standing is not None and standing.role.rank >= GroupRole.PUBLISHER.rank

    def is_member(self, owner: bytes) -> bool:
        """Return whether an owner is in a group of ours."""
        if not self.groups:
            return False
        wall = self._context.wall
        return any(group.standing(owner, wall) is not None for group in self.groups.values())

    def voucher(self, owner: bytes) -> bytes:
        """Return who let an owner into a group of ours, the first of them; nothing when it is in none."""
        if not self.groups:
            return b""
        wall = self._context.wall
        for group in self.groups.values():
            standing = group.standing(owner, wall)
            if standing is not None:
                return standing.invited_by or owner
        return b""

    def may_read(self, scope: bytes, owner: bytes) -> bool:
        """Return whether what is shown to a group may be given to an owner now."""
        group = self.groups.get(scope)
        return (
            group is not None and self.serves(group) and group.standing(owner, self._context.wall) is not None
        )

    # Starting.

    def restore(self, records: Iterable[bytes], refreshed: Mapping[bytes, int]) -> None:
        """Take over rosters and admissions from the disk; what does not verify any more is left out."""
        opened = [(open_envelope(raw), raw) for raw in records]
        rosters = [(envelope, raw) for envelope, raw in opened if envelope.type == ROSTER_TYPE]
        rosters.sort(key=lambda item: ROSTER.decode(item[0].body).version)
        admissions = [(envelope, raw) for envelope, raw in opened if envelope.type == ADMISSION_TYPE]
        for envelope, raw in (*rosters, *admissions):
            try:
                self.take(None, raw, envelope)
            except RemoteProtocolError:
                continue
        for scope, group in self.groups.items():
            group.refreshed = group.refreshed_stored = refreshed.get(scope, 0)
        self.update()


def tag(group: bytes, session: bytes, node_key: bytes) -> bytes:
    """Return by which hash a node tells that it is in a group, on one connection."""
    return tagged_hash("skerry/membership/1", group, session, node_key)
