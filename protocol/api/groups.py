"""Groups: who is in, who may come in, and what the group asks of learnwares."""

from __future__ import annotations

import msgspec


class PolicyView(msgspec.Struct, frozen=True):
    """What a group asks of learnwares; empty lists and zeros ask for nothing."""

    lanes: list[str] = []
    required: list[str] = []
    """Card fields that must not be empty."""
    cards_max: int = 0
    """Learnwares of one owner."""
    package_bytes_max: int = 0
    signers: int = 0
    """How many admins sign a roster, as soon as there are so many."""
    admins: int = 0
    """How many admins there may be; 0 sets no bound."""


class GroupView(msgspec.Struct, frozen=True):
    """A group that this node is in."""

    id: str
    name: str
    """As its admins call it: a claim, to be shown with the id."""
    role: str
    """What this node's owner is, ``reader`` to ``admin``; empty when it was removed."""
    version: int
    """Of the newest roster."""
    members: int
    signers: int
    """How many admins must sign the next roster."""
    forked: bool
    """Whether admins made rosters that do not know of each other."""
    serving: bool
    """Whether this node may serve the group now."""
    refreshed: int
    """When a registrar or admin last confirmed the roster."""
    lease_ends: int
    policy: PolicyView


class Groups(msgspec.Struct, frozen=True):
    """The groups of this node."""

    groups: list[GroupView]


class MemberView(msgspec.Struct, frozen=True):
    """An institution in a group."""

    owner: str
    owner_name: str
    role: str
    invited_by: str
    """Owner's id; empty for the founder."""
    invited_by_name: str
    admitted_until: int
    """When a registrar's admission ends that no roster has folded in; 0 for who stands in the roster."""
    last_seen: float
    """When a node of it was last heard of; 0 when never."""
    own: bool
    """Whether it is this node's owner."""


class Members(msgspec.Struct, frozen=True):
    """A group and who is in it."""

    group: GroupView
    members: list[MemberView]


class CreateGroupRequest(msgspec.Struct, frozen=True):
    """Found a group."""

    name: str
    signers: int = 1
    admins: int = 1
    """``signers`` of ``admins`` sign each roster; until there are so many admins, all of them."""


class InviteRequest(msgspec.Struct, frozen=True):
    """Make an invite."""

    role: str = "reader"
    uses: int = 1
    seconds: int = 7 * 24 * 3600
    """How long it can be redeemed."""


class InviteView(msgspec.Struct, frozen=True):
    """An invite that this node issued, without its secret."""

    id: str
    role: str
    uses: int
    used: int
    expires: int
    void: bool


class Invites(msgspec.Struct, frozen=True):
    """The invites of a group that this node issued, newest first."""

    invites: list[InviteView]


class InviteReceipt(msgspec.Struct, frozen=True):
    """A new invite; the string is shown once and not kept."""

    text: str
    invite: InviteView


class JoinRequest(msgspec.Struct, frozen=True):
    """Join a group by an invite."""

    invite: str


class PolicyRequest(msgspec.Struct, frozen=True):
    """Change a group's policy; what is None stays."""

    lanes: list[str] | None = None
    required: list[str] | None = None
    cards_max: int | None = None
    package_bytes_max: int | None = None
    signers: int | None = None
    admins: int | None = None


class RosterChange(msgspec.Struct, frozen=True):
    """A roster was signed: it is in force, or waits for other admins."""

    group: GroupView
    roster: str
    """Hash of the new roster."""
    signatures: int
    needed: int
    in_force: bool


class Proposal(msgspec.Struct, frozen=True):
    """A roster that waits for signatures."""

    roster: str
    proposed_by: str
    proposed_by_name: str
    issued: int
    changes: list[str]
    """What it changes, one sentence each."""
    signatures: int
    needed: int
    signed: bool
    """Whether this node's owner has signed it."""


class Proposals(msgspec.Struct, frozen=True):
    """The rosters of a group that wait for signatures."""

    proposals: list[Proposal]


class Left(msgspec.Struct, frozen=True):
    """Says that the node is in the group no more, and keeps nothing of it."""

    group: str
