"""Invites: one string by which an institution joins a group, and the proof of who redeems it.

Theory of operation. An invite names the node that issued it (addresses and certificate, so that it is dialled
pinned), the group, the role and a secret. Whoever holds the string may redeem it at that node, and only
there: the request carries the secret, and a record in which a node key of the newcomer's owner signs which
group it joins at which node. A string that is overheard lets somebody else join, but lets nobody join in
another's name.

Rules of this file:

1. The string is text that survives a mail: a prefix, then base64url with a checksum, so that a lost character
   is told from a wrong invite.
2. An invite is a claim of whoever sent it. What it says about the group counts only once the rosters have
   come and verified.
3. The issuing node keeps the hash of the secret alone.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from .charter import ROLE_SERVE
from .encoding import Format, Hash, HashOrNone, Key, Natural
from .envelope import (
    SEAL,
    Envelope,
    RecordHeader,
    Verified,
    check_times,
    open_envelope,
    sign_record,
    verify_signatures,
)
from .errors import RemoteProtocolError
from .hashing import tagged_hash
from .limits import (
    ADDRESS_CHARACTERS_MAX,
    ENVELOPE_BYTES_MAX,
    GROUP_MEMBERS_MAX,
    INVITE_ADDRESSES_MAX,
    INVITE_CHARACTERS_MAX,
    INVITE_USES_MAX,
    NAME_CHARACTERS_MAX,
    REDEEM_ANSWER_BYTES_MAX,
    REDEEM_REQUEST_BYTES_MAX,
    REDEMPTION_LEASE_SECONDS,
    ROSTERS_MAX,
)
from .messages import CharterChain, EnvelopeBytes
from .roster import GroupRole
from .signing import SignatureScheme
from .trust import OwnerTrust, check_key
from .violations import Violation

PREFIX = "skerry-invite-1."
CHECKSUM_BYTES = 4
REDEMPTION_TYPE = "redemption"


class Invite(Struct, frozen=True, forbid_unknown_fields=True):
    """What an invite says."""

    addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)], ...],
        Meta(min_length=1, max_length=INVITE_ADDRESSES_MAX),
    ]
    certificate: HashOrNone
    """SHA-256 of the issuing node's certificate; empty where the web vouches for the addresses' name."""
    issuer: Key
    """Node key of the issuing node."""
    group: Hash
    name: Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
    role: GroupRole
    secret: Hash
    expires: Natural
    uses: Annotated[int, Meta(ge=1, le=INVITE_USES_MAX)]

    def to_text(self) -> str:
        """Return the string that is handed to the newcomer."""
        body = INVITE.encode(self)
        text = base64.urlsafe_b64encode(body + _checksum(body)).decode("ascii")
        return PREFIX + text.rstrip("=")

    @property
    def secret_hash(self) -> bytes:
        """What the issuing node knows the invite by, 32 bytes."""
        return secret_hash(self.secret)


INVITE = Format(Invite, "invite", INVITE_CHARACTERS_MAX)


def read_invite(text: str) -> Invite:
    """Return what an invite says.

    Raises
    ------
    RemoteProtocolError
        ``malformed`` or ``too-large``: it is no invite, or not all of one.
    """
    text = "".join(text.split())
    if len(text) > INVITE_CHARACTERS_MAX:
        raise RemoteProtocolError(Violation.TOO_LARGE, f"{len(text)} characters", where="invite")
    if not text.startswith(PREFIX):
        raise RemoteProtocolError(Violation.MALFORMED, f"it does not begin with {PREFIX}", where="invite")
    encoded = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError(
            Violation.MALFORMED, "a character that is not of it", where="invite"
        ) from error
    body, checksum = raw[:-CHECKSUM_BYTES], raw[-CHECKSUM_BYTES:]
    if checksum != _checksum(body):
        raise RemoteProtocolError(Violation.MALFORMED, "characters are missing or wrong", where="invite")
    return INVITE.decode(body)


def secret_hash(secret: bytes) -> bytes:
    """Return what an issuing node keeps of a secret, 32 bytes."""
    return tagged_hash("skerry/invite-secret/1", secret)


def _checksum(body: bytes) -> bytes:
    return sha256(b"skerry/invite/1\0" + body).digest()[:CHECKSUM_BYTES]


class Redemption(RecordHeader, frozen=True):
    """Who redeems an invite; ``owner`` is the newcomer, ``scope`` the group."""

    node_key: Key
    issuer: Key
    secret_hash: Hash
    admin_key: HashOrNone
    """The key with which the newcomer will sign rosters, when it is invited as admin."""


REDEMPTION = Format(Redemption, REDEMPTION_TYPE, ENVELOPE_BYTES_MAX)


def make_redemption(
    signer: SignatureScheme, invite: Invite, *, owner: bytes, admin_key: bytes, issued: int
) -> Envelope:
    """Return the signed proof of who redeems an invite.

    Parameters
    ----------
    signer
        A node key of the newcomer's owner.
    invite
        What is redeemed.
    owner
        The newcomer's id.
    admin_key
        Its key for rosters, or no bytes.
    issued
        Wall clock, seconds since 1970 UTC.
    """
    lease = issued + REDEMPTION_LEASE_SECONDS
    key = signer.public_key
    body = Redemption(owner, invite.group, issued, lease, key, invite.issuer, invite.secret_hash, admin_key)
    return sign_record(REDEMPTION_TYPE, REDEMPTION.encode(body), [signer])


class RedeemRequest(Struct, frozen=True):
    """What a newcomer sends to the issuing node."""

    secret: Hash
    charters: CharterChain
    redemption: EnvelopeBytes


class RedeemAnswer(Struct, frozen=True):
    """What makes the newcomer a member: rosters, parents first, then its admission, with all charters."""

    charters: Annotated[tuple[CharterChain, ...], Meta(max_length=GROUP_MEMBERS_MAX)]
    envelopes: Annotated[tuple[EnvelopeBytes, ...], Meta(max_length=2 * ROSTERS_MAX)]


REDEEM_REQUEST = Format(RedeemRequest, "redeem", REDEEM_REQUEST_BYTES_MAX)
REDEEM_ANSWER = Format(RedeemAnswer, "redeemed", REDEEM_ANSWER_BYTES_MAX)


def verify_redemption(raw: bytes, trust: OwnerTrust, now: int) -> Verified[Redemption]:
    """Verify who redeems an invite, against the charters that came with it.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner, by a key without the role ``serve``, outside its times, or with a wrong
        signature.
    """
    envelope = open_envelope(raw, REDEMPTION_TYPE)
    value = REDEMPTION.decode(envelope.body)
    check_times(value.issued, value.lease, REDEMPTION_LEASE_SECONDS, now, where="redemption")
    if value.owner != trust.owner or len(value.admin_key) not in (0, 32):
        raise RemoteProtocolError(Violation.OWNER_WRONG, where="redemption")
    check_key(trust, value.node_key, ROLE_SERVE, (value.issued,), where="redemption")
    verify_signatures(envelope, (value.node_key,), 1, trust.scheme)
    return Verified(value, raw, envelope.hash, SEAL)
