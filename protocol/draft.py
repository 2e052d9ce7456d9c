"""Drafts: how several admins sign one roster on their own machines.

Theory of operation. Where a group wants more than one signature, an admin who changes something makes a
roster, signs it, and shows it to the group as a *draft*: a record of the group's scope that is carried like
any other. Who agrees answers with a record that names the same roster and holds one more signature. As soon
as a node of an admin holds enough, it puts them together, and the roster takes effect like any other; before
that a draft is only paper.

Rules of this file:

1. A draft is read by whoever wants to sign; nothing else follows from it. The finished roster is verified
   like one that came from a stranger.
2. A draft ends with its parents: as soon as other rosters replaced them it can take effect no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta

from .encoding import Format, Hash, Key
from .envelope import (
    Envelope,
    RecordHeader,
    Signature,
    Verified,
    open_envelope,
    record_domain,
    sign_record,
)
from .errors import RemoteProtocolError
from .limits import ENVELOPE_BYTES_MAX, ENVELOPE_SIGNATURES_MAX, UNKNOWN_LEASE_SECONDS_MAX
from .roster import ROSTER, ROSTER_TYPE, Roster, verify_roster
from .signing import SIGNATURE_BYTES, SignatureScheme, Signer

DRAFT_TYPE = "roster-draft"


class Draft(RecordHeader, frozen=True):
    """One admin's signature on a roster that is not in force yet; ``owner`` is the admin's."""

    roster: Hash
    """Hash of the roster's envelope."""
    body: Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)]
    """The roster, from who made it; nothing from who agrees."""
    key: Key
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


DRAFT = Format(Draft, DRAFT_TYPE, ENVELOPE_BYTES_MAX)


def make_draft(
    node: SignatureScheme,
    admin: SignatureScheme,
    body: bytes,
    *,
    owner: bytes,
    group: bytes,
    issued: int,
    whole: bool,
) -> Envelope:
    """Return the record by which an admin proposes a roster (`whole`), or agrees to one.

    Parameters
    ----------
    node
        A node key of the admin's owner.
    admin
        The key with which the admin signs rosters.
    body
        The roster's body.
    owner, group
        The admin's id and the group's.
    issued
        Wall clock, seconds since 1970 UTC.
    whole
        Whether the record holds the body.
    """
    signature = admin.sign(record_domain(ROSTER_TYPE), body)
    draft = Draft(
        owner=owner,
        scope=group,
        issued=issued,
        lease=issued + UNKNOWN_LEASE_SECONDS_MAX,
        roster=roster_hash(body),
        body=body if whole else b"",
        key=admin.public_key,
        signature=signature,
    )
    return sign_record(DRAFT_TYPE, DRAFT.encode(draft), [node])


def roster_hash(body: bytes) -> bytes:
    """Return the hash (32 bytes) that a roster with this body has, whoever signs it."""
    return Envelope(ROSTER_TYPE, body, ()).hash


def read_drafts(records: Iterable[bytes]) -> list[Draft]:
    """Return the drafts among records of a group that verified; what cannot be read is left out."""
    drafts = []
    for raw in records:
        try:
            envelope = open_envelope(raw)
            if envelope.type == DRAFT_TYPE:
                drafts.append(DRAFT.decode(envelope.body))
        except RemoteProtocolError:
            continue
    return drafts


def proposals(
    drafts: Iterable[Draft], known: Mapping[bytes, Verified[Roster]], tips: Iterable[bytes], now: int
) -> dict[bytes, tuple[bytes, list[Signature]]]:
    """Return the rosters that are proposed over the newest ones, by hash: body, and signatures that hold.

    Parameters
    ----------
    drafts
        As :func:`read_drafts` gives them.
    known, tips
        The group's rosters by hash, and the hashes of the newest.
    now
        The reader's wall clock.
    """
    drafts = list(drafts)
    wanted = sorted(tips)
    found: dict[bytes, tuple[bytes, list[Signature]]] = {}
    for draft in drafts:
        if draft.body and roster_hash(draft.body) == draft.roster:
            try:
                roster = ROSTER.decode(draft.body)
            except RemoteProtocolError:
                continue
            if list(roster.parents) == wanted and roster.lease > now:
                found[draft.roster] = (draft.body, [])
    keys = {key for tip in wanted for key in known[tip].value.admin_keys}
    domain = record_domain(ROSTER_TYPE)
    for draft in drafts:
        body, signatures = found.get(draft.roster, (b"", []))
        new = draft.key in keys and draft.key not in {item.key for item in signatures}
        if body and new and Signer.verify(draft.key, domain, body, draft.signature):
            signatures.append(Signature(draft.key, draft.signature))
    return found


def finished(
    body: bytes, signatures: Iterable[Signature], known: Mapping[bytes, Verified[Roster]], now: int
) -> Envelope | None:
    """Return the roster with its signatures, when there are enough of them."""
    ordered = sorted(signatures, key=lambda item: item.key)[:ENVELOPE_SIGNATURES_MAX]
    envelope = Envelope(ROSTER_TYPE, body, tuple(ordered))
    try:
        verify_roster(envelope.to_bytes(), known, now)
    except RemoteProtocolError:
        return None
    return envelope
