"""Rosters: who belongs to a group, as its admins sign it.

Theory of operation. A group begins with its first roster, whose hash is the group's id. Each later one names
the rosters that it follows, its *parents*, and is signed by enough admins of each of them. Admins who do not
know of each other's roster make two children of one parent; a roster that names both as parents joins them.
*Tips* are the rosters that no other names as parent: with one tip its members count, with several only those
who stand in all of them, in the lowest of their roles.

Rules of this file:

1. :meth:`Rosters.add` takes a roster only after its parents; who counts follows from the set of rosters
   alone, so all nodes that hold the same ones agree, in whatever order they came.
2. Nothing is ever taken out: an old roster that is replayed is known already and changes nothing.
3. Admins sign with keys that stand in the roster. All else that a member signs is signed by the node keys of
   its owner, so that its charter settles what a stolen machine may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .encoding import Format, Hash, HashOrNone, Natural
from .envelope import (
    SEAL,
    Envelope,
    Verified,
    check_scope,
    open_envelope,
    sign_record,
    verify_signatures,
)
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import (
    CLOCK_TOLERANCE_SECONDS,
    ENVELOPE_BYTES_MAX,
    GROUP_MEMBERS_MAX,
    NAME_CHARACTERS_MAX,
    ROSTER_LEASE_SECONDS_MAX,
    ROSTER_PARENTS_MAX,
    ROSTERS_MAX,
)
from .policy import NO_POLICY, GroupPolicy
from .signing import SignatureScheme, Signer
from .violations import Violation

ROSTER_TYPE = "roster"


class GroupRole(StrEnum):
    """What a member may do; each role may do what those before it may."""

    READER = "reader"
    """Sees the group's learnwares."""
    PUBLISHER = "publisher"
    """Shows learnwares to the group."""
    REGISTRAR = "registrar"
    """Admits readers and publishers between rosters."""
    ADMIN = "admin"
    """Signs rosters."""

    @property
    def rank(self) -> int:
        """The role's place in this order."""
        return list(GroupRole).index(self)


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """An institution in a group; ``key`` is an admin's signing key, and empty for the others."""

    owner: Hash
    role: GroupRole
    key: HashOrNone
    invited_by: HashOrNone


class Roster(Struct, frozen=True, omit_defaults=True):
    """One version of a group's member list; ``owner`` is the institution that issued it."""

    owner: Hash
    scope: HashOrNone
    issued: Natural
    lease: Natural
    version: Annotated[int, Meta(ge=1, le=2**31)]
    threshold: Annotated[int, Meta(ge=1, le=GROUP_MEMBERS_MAX)]
    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=GROUP_MEMBERS_MAX)]
    parents: Annotated[tuple[Hash, ...], Meta(max_length=ROSTER_PARENTS_MAX)]
    policy: GroupPolicy = NO_POLICY
    """What the group asks of learnwares; left out of the bytes when it is empty."""

    @property
    def admin_keys(self) -> tuple[bytes, ...]:
        """The keys of which ``threshold`` sign the next roster."""
        return tuple(member.key for member in self.members if member.role is GroupRole.ADMIN)


ROSTER = Format(Roster, ROSTER_TYPE, ENVELOPE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an owner is in a group."""

    role: GroupRole
    invited_by: bytes


def make_roster(
    parents: Sequence[Verified[Roster]],
    signers: Sequence[SignatureScheme],
    *,
    owner: bytes,
    issued: int,
    members: Sequence[Member],
    name: str = "",
    threshold: int = 0,
    lease: int | None = None,
    policy: GroupPolicy | None = None,
) -> Envelope:
    """Return a roster; with no parents it founds a group.

    Parameters
    ----------
    parents
        All tips that are known: the roster replaces them.
    signers
        Admins of the parents (of a first roster, its own). Others add theirs with
        :func:`~skerry.protocol.envelope.cosign`.
    owner
        The id of the institution that issues it.
    issued
        Wall clock, seconds since 1970 UTC.
    members
        All members.
    name, threshold
        The group's name, and how many admins sign the next roster; as in the first parent when not given.
    lease
        When it stops to count; the longest lease when None.
    policy
        What the group asks of learnwares; as in the first parent when None.

    Raises
    ------
    LocalProtocolError
        Others would refuse it whoever signs.
    """
    first = parents[0].value if parents else None
    roster = Roster(
        owner=owner,
        scope=b"" if first is None else first.scope or parents[0].hash,
        issued=issued,
        lease=issued + ROSTER_LEASE_SECONDS_MAX if lease is None else lease,
        version=1 + max((item.value.version for item in parents), default=0),
        threshold=threshold or (1 if first is None else first.threshold),
        name=name or ("" if first is None else first.name),
        members=tuple(sorted(members, key=lambda member: member.owner)),
        parents=tuple(sorted(item.hash for item in parents)),
        policy=policy if policy is not None else (NO_POLICY if first is None else first.policy),
    )
    body = ROSTER.encode(roster)
    try:
        _check_roster(ROSTER.decode(body), {item.hash: item for item in parents}, issued)
    except RemoteProtocolError as error:
        raise LocalProtocolError("this roster would be refused", where="roster", why=str(error)) from error
    return sign_record(ROSTER_TYPE, body, signers)


def verify_roster(
    raw: bytes,
    known: Mapping[bytes, Verified[Roster]],
    now: int,
    scheme: type[SignatureScheme] = Signer,
) -> Verified[Roster]:
    """Verify a roster against its parents.

    Parameters
    ----------
    raw
        The envelope as received.
    known
        The rosters of its group that verified, by hash; a first roster needs none.
    now
        The reader's wall clock, seconds since 1970 UTC. A lease that has ended is no reason to refuse: later
        rosters need the earlier ones.
    scheme
        How signatures are verified.

    Raises
    ------
    RemoteProtocolError
        ``parents-unknown``, ``roster-invalid``, ``issued-ahead``, ``signer-wrong``, ``signature-invalid``, or
        malformed.
    """
    envelope = open_envelope(raw, ROSTER_TYPE)
    roster = ROSTER.decode(envelope.body)
    _check_roster(roster, known, now)
    electors = [known[digest].value for digest in roster.parents] or [roster]
    signers = set(envelope.signers)
    for elector in electors:
        if len(signers & set(elector.admin_keys)) < elector.threshold:
            raise RemoteProtocolError(
                Violation.SIGNER_WRONG, "fewer admins than the threshold", where="roster"
            )
    wanted = {key for elector in electors for key in elector.admin_keys}
    verify_signatures(envelope, wanted, 1, scheme)
    return Verified(roster, raw, envelope.hash, SEAL)


def _check_roster(roster: Roster, known: Mapping[bytes, Verified[Roster]], now: int) -> None:
    check_scope(roster.scope, where="roster")
    _check_members(roster)
    if any(digest not in known for digest in roster.parents):
        raise RemoteProtocolError(Violation.PARENTS_UNKNOWN, f"version {roster.version}", where="roster")
    parents = [known[digest] for digest in roster.parents]
    version = 1 + max((parent.value.version for parent in parents), default=0)
    groups = {parent.value.scope or parent.hash for parent in parents} or {b""}
    reasons = {
        "version does not follow its parents": roster.version != version,
        "parents out of order": list(roster.parents) != sorted(set(roster.parents)),
        "parents of another group": groups != {roster.scope},
        "issued before a parent": any(roster.issued < parent.value.issued for parent in parents),
        "lease of the wrong length": not 0 < roster.lease - roster.issued <= ROSTER_LEASE_SECONDS_MAX,
    }
    _refuse_if(reasons)
    if roster.issued > now + CLOCK_TOLERANCE_SECONDS:
        raise RemoteProtocolError(Violation.ISSUED_AHEAD, f"by {roster.issued - now} s", where="roster")


def _check_members(roster: Roster) -> None:
    members, keys = roster.members, roster.admin_keys
    owners = [member.owner for member in members]
    reasons = {
        "members out of order, or one twice": owners != sorted(set(owners)),
        "an admin without a key, or a key twice": len(set(keys)) < len(keys)
        or any(len(k) != 32 for k in keys),
        "a key of a member who is no admin": any(m.key and m.role is not GroupRole.ADMIN for m in members),
        "inviter is no id": any(len(member.invited_by) not in (0, 32) for member in members),
        "threshold above the number of admins": roster.threshold > len(keys),
    }
    _refuse_if(reasons)


def _refuse_if(reasons: Mapping[str, bool]) -> None:
    for reason, holds in reasons.items():
        if holds:
            raise RemoteProtocolError(Violation.ROSTER_INVALID, reason, where="roster")


class Rosters:
    """All rosters of one group.

    Parameters
    ----------
    first
        The first roster's envelope as received.
    now
        Wall clock.
    scheme
        How signatures are verified.

    Raises
    ------
    RemoteProtocolError
        It does not verify, or is no first roster.
    """

    def __init__(self, first: bytes, now: int, scheme: type[SignatureScheme] = Signer) -> None:
        self._scheme = scheme
        founding = verify_roster(first, {}, now, scheme)
        self.group: bytes = founding.hash
        self.known: dict[bytes, Verified[Roster]] = {founding.hash: founding}
        self.tips: tuple[Verified[Roster], ...] = (founding,)
        """In the order of their hashes."""
        self.standings: dict[bytes, Standing] = _standings(self.tips)
        """Owner -> what it is by the tips."""

    @property
    def version(self) -> int:
        """The highest version."""
        return max(tip.value.version for tip in self.tips)

    @property
    def policies(self) -> tuple[GroupPolicy, ...]:
        """The policies of the tips; a learnware keeps to all of them."""
        return tuple(tip.value.policy for tip in self.tips)

    @property
    def lease(self) -> int:
        """When the first of the tips stops to count."""
        return min(tip.value.lease for tip in self.tips)

    def add(self, raw: bytes, now: int) -> bool:
        """Verify a roster and take it; return whether it was new.

        Raises
        ------
        RemoteProtocolError
            It does not verify, is of another group, or there is no room.
        """
        digest = open_envelope(raw, ROSTER_TYPE).hash
        if digest in self.known:
            return False
        if len(self.known) >= ROSTERS_MAX:
            raise RemoteProtocolError(Violation.TOO_LARGE, f"{ROSTERS_MAX} rosters", where="roster")
        roster = verify_roster(raw, self.known, now, self._scheme)
        if roster.value.scope != self.group:
            raise RemoteProtocolError(Violation.ROSTER_INVALID, "of another group", where="roster")
        self.known[roster.hash] = roster
        named = {parent for item in self.known.values() for parent in item.value.parents}
        self.tips = tuple(self.known[item] for item in sorted(self.known) if item not in named)
        self.standings = _standings(self.tips)
        return True

    def beyond(self, tips: Iterable[bytes]) -> list[Verified[Roster]]:
        """Return the rosters that somebody with these tips lacks, as far as can be told; parents first."""
        covered: set[bytes] = set()
        todo = [digest for digest in tips if digest in self.known]
        while todo:
            digest = todo.pop()
            if digest not in covered:
                covered.add(digest)
                todo.extend(self.known[digest].value.parents)
        lacking = [roster for digest, roster in self.known.items() if digest not in covered]
        return sorted(lacking, key=lambda roster: (roster.value.version, roster.hash))


def _standings(tips: Sequence[Verified[Roster]]) -> dict[bytes, Standing]:
    """Return the members that stand in all tips, each in the lowest of its roles."""
    lists = [{member.owner: member for member in tip.value.members} for tip in tips]
    shared = [owner for owner in lists[0] if all(owner in other for other in lists)]
    return {
        owner: Standing(
            min((members[owner].role for members in lists), key=lambda role: role.rank),
            lists[0][owner].invited_by,
        )
        for owner in shared
    }
