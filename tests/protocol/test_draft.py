"""Two admins sign one roster on two machines, and nobody else's signature counts."""

from __future__ import annotations

from skerry.protocol.draft import finished, make_draft, proposals, read_drafts, roster_hash
from skerry.protocol.roster import ROSTER, GroupRole, Member, Rosters, make_roster
from skerry.protocol.signing import Signer
from tests.protocol.world import NOW, signer

ADMINS = [signer("admin 0"), signer("admin 1")]
NODE = signer("node")
OWNERS = [b"a" * 32, b"b" * 32]
MEMBERS = [
    Member(owner, GroupRole.ADMIN, key.public_key, b"") for owner, key in zip(OWNERS, ADMINS, strict=True)
]


def draft(body: bytes, admin: Signer, group: bytes, *, whole: bool) -> bytes:
    made = make_draft(NODE, admin, body, owner=OWNERS[0], group=group, issued=NOW, whole=whole)
    return made.to_bytes()


def test_signatures_are_collected_until_they_are_enough() -> None:
    first = make_roster([], ADMINS, owner=OWNERS[0], issued=NOW, members=MEMBERS, name="club", threshold=2)
    rosters = Rosters(first.to_bytes(), NOW)
    tips = [tip.hash for tip in rosters.tips]
    body = make_roster(
        rosters.tips, ADMINS[:1], owner=OWNERS[0], issued=NOW + 1, members=MEMBERS, threshold=1
    ).body
    digest = roster_hash(body)

    records = [draft(body, ADMINS[0], rosters.group, whole=True)]
    (waiting,) = proposals(read_drafts(records), rosters.known, tips, NOW).items()
    assert (waiting[0], len(waiting[1][1])) == (digest, 1)
    assert finished(*waiting[1], rosters.known, NOW) is None

    # The same admin again, a stranger, and something that is no draft change nothing.
    records += [
        draft(body, ADMINS[0], rosters.group, whole=False),
        draft(body, signer("x"), rosters.group, whole=False),
    ]
    records += [b"nonsense", first.to_bytes()]
    assert len(proposals(read_drafts(records), rosters.known, tips, NOW)[digest][1]) == 1

    records.append(draft(body, ADMINS[1], rosters.group, whole=False))
    collected = proposals(read_drafts(records), rosters.known, tips, NOW)[digest]
    envelope = finished(*collected, rosters.known, NOW)
    assert envelope is not None
    assert envelope.hash == digest
    assert rosters.add(envelope.to_bytes(), NOW + 1)
    # It is in force, so it is no proposal any more.
    tips = [tip.hash for tip in rosters.tips]
    assert proposals(read_drafts(records), rosters.known, tips, NOW) == {}
    assert ROSTER.decode(body).threshold == 1
