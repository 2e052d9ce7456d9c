"""Heads: the signed root of a catalogue.

One node key has one newest head in each scope: the one with the highest (epoch, seq). Every head that is
signed, a renewal included, takes a new seq, so two different ones with the same (epoch, seq) prove that the
key equivocates. What the functions below decide, every node decides alike; whether a head is *shown* is local
policy.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from .charter import ROLE_PUBLISH
from .encoding import Format, Hash, HashOrNone, Key, Natural
from .envelope import (
    SEAL,
    Envelope,
    Verified,
    check_scope,
    check_times,
    open_envelope,
    sign_record,
    verify_signatures,
)
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import ENVELOPE_BYTES_MAX, HEAD_LEASE_SECONDS_MAX, HEAD_RENEWAL_SECONDS
from .signing import SignatureScheme
from .trust import OwnerTrust, check_epoch, check_key
from .violations import Violation

HEAD_TYPE = "head"
HEAD_ID_BYTES = 8
"""Bytes of a head's hash that name it in announcements: a collision costs one needless or one missed push."""


class Head(Struct, frozen=True):
    """The state of one catalogue, as its node key signs it."""

    owner: Hash
    scope: HashOrNone
    issued: Natural
    lease: Natural
    node_key: Key
    epoch: Natural
    seq: Natural
    root: Hash
    count: Natural

    @property
    def place(self) -> tuple[bytes, bytes]:
        """Whose head it is: (node key, scope)."""
        return self.node_key, self.scope

    @property
    def order(self) -> tuple[int, int]:
        """Which of two heads in one place counts: the one with the higher (epoch, seq)."""
        return self.epoch, self.seq


HEAD = Format(Head, HEAD_TYPE, ENVELOPE_BYTES_MAX)


def head_id(digest: bytes) -> bytes:
    """Return by what an announcement names a head, given its hash or a part of it."""
    return digest[:HEAD_ID_BYTES]


class Relation(Enum):
    """How a head stands to the one held in its place."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    EQUIVOCATION = "equivocation"


def make_head(
    signer: SignatureScheme,
    *,
    owner: bytes,
    epoch: int,
    seq: int,
    root: bytes,
    count: int,
    issued: int,
    scope: bytes = b"",
    lease: int | None = None,
) -> Envelope:
    """Return a signed head.

    Parameters
    ----------
    signer
        The node key.
    owner
        The owner's id.
    epoch
        The epoch of the owner's charter.
    seq
        One more than in the head before, a renewal included.
    root, count
        ``Catalogue.root`` and ``Catalogue.count``.
    issued
        Wall clock, seconds since 1970 UTC; not before that of the head before.
    scope
        Empty for public, else the group's id.
    lease
        When it stops to count; the longest lease when None. It may not outlive the node key.

    Raises
    ------
    LocalProtocolError
        Others would refuse it.
    """
    lease = issued + HEAD_LEASE_SECONDS_MAX if lease is None else lease
    head = Head(owner, scope, issued, lease, signer.public_key, epoch, seq, root, count)
    body = HEAD.encode(head)
    try:
        _check_head(HEAD.decode(body), issued)
    except RemoteProtocolError as error:
        raise LocalProtocolError("this head would be refused", where="head", why=str(error)) from error
    return sign_record(HEAD_TYPE, body, [signer])


def verify_head(raw: bytes, trust: OwnerTrust, now: int, *, past_epochs: bool = False) -> Verified[Head]:
    """Verify a head against its owner's charters.

    Parameters
    ----------
    raw
        The envelope as received.
    trust
        The verdict on the owner's charters.
    now
        The reader's wall clock, seconds since 1970 UTC.
    past_epochs
        Whether an epoch that the owner has left will do: for a node's own head, to be signed anew.

    Returns
    -------
    Verified of Head
        ``hash`` is the envelope's hash.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner or epoch, by a key without the role ``publish``, outside its times, or
        with a wrong signature.
    """
    envelope = open_envelope(raw, HEAD_TYPE)
    head = HEAD.decode(envelope.body)
    _check_head(head, now)
    if head.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where="head")
    check_key(trust, head.node_key, ROLE_PUBLISH, (head.issued, head.lease), where="head")
    if not (past_epochs and head.epoch < trust.charter.epoch):
        check_epoch(trust, head.epoch)
    verify_signatures(envelope, (head.node_key,), 1, trust.scheme)
    return Verified(head, raw, envelope.hash, SEAL)


def _check_head(head: Head, now: int) -> None:
    check_scope(head.scope, where="head")
    check_times(head.issued, head.lease, HEAD_LEASE_SECONDS_MAX, now, where="head")


def relate(held: Verified[Head], other: Verified[Head]) -> Relation:
    """Say how ``other`` stands to the head that is held in its place.

    The number alone decides. That times never go back with it is the signer's duty: were it a reason to
    refuse one of two heads, nodes that heard them in different orders would hold different ones (ADR 36).

    Raises
    ------
    LocalProtocolError
        They are of different node keys or scopes.
    """
    first, second = held.value, other.value
    if first.place != second.place:
        raise LocalProtocolError("heads of two places cannot be compared", where="head")
    if held.hash == other.hash:
        return Relation.SAME
    if first.order == second.order:
        return Relation.EQUIVOCATION
    return Relation.NEWER if second.order > first.order else Relation.OLDER


def renewal_due(head: Head, now: int) -> bool:
    """Return whether the owner should sign the head anew: a third of the longest lease has passed."""
    return now - head.issued >= HEAD_RENEWAL_SECONDS or now >= head.lease
