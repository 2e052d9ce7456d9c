"""Node records: where a node is reached and how its server is authenticated.

A record lives at most 72 hours and is renewed daily, so that addresses that nobody serves any more die out by
themselves. An address is a claim by its signer: whether it is dialled is for membership to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from .charter import ROLE_SERVE
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
from .hashing import tagged_hash
from .limits import (
    ADDRESS_CHARACTERS_MAX,
    ENVELOPE_BYTES_MAX,
    NODE_ADDRESSES_MAX,
    NODE_LEASE_SECONDS_MAX,
    NODE_VIA_MAX,
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    WORD_CHARACTERS_MAX,
)
from .signing import SignatureScheme
from .trust import OwnerTrust, check_key
from .violations import Violation

NODE_TYPE = "node"
MODE_PINNED = "pinned"
"""The server's certificate is known by its hash."""
MODE_WEB = "web"
"""The server's certificate is vouched for by the web's authorities, for a host name."""

# A name, an IPv4 address or an IPv6 address in brackets, and a port without leading zeros.
Address = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}\Z",
        max_length=ADDRESS_CHARACTERS_MAX,
    ),
]
Versions = tuple[Annotated[int, Meta(ge=0, le=2**16)], Annotated[int, Meta(ge=0, le=2**16)]]
SUPPORTED_VERSIONS = (PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX)


class NodeRecord(Struct, frozen=True):
    """How to reach a node; ``via`` names public peers that pass on dial requests."""

    owner: Hash
    scope: HashOrNone
    issued: Natural
    lease: Natural
    node_key: Key
    seq: Natural
    addresses: Annotated[tuple[Address, ...], Meta(max_length=NODE_ADDRESSES_MAX)]
    mode: Annotated[str, Meta(max_length=WORD_CHARACTERS_MAX)]
    certificate: HashOrNone
    host: Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)]
    via: Annotated[tuple[Key, ...], Meta(max_length=NODE_VIA_MAX)]
    versions: Versions

    @property
    def binding(self) -> bytes:
        """What a HELLO with this server is bound to (32 bytes); nothing for a mode that is not known here."""
        if self.mode == MODE_PINNED:
            return self.certificate
        return host_binding(self.host) if self.mode == MODE_WEB else b""


NODE_RECORD = Format(NodeRecord, NODE_TYPE, ENVELOPE_BYTES_MAX)


def host_binding(host: str) -> bytes:
    """Return what a HELLO is bound to when the server is known by its host name (32 bytes)."""
    return tagged_hash("skerry/host/1", host.lower().encode("utf-8"))


def make_node_record(
    signer: SignatureScheme,
    *,
    owner: bytes,
    seq: int,
    issued: int,
    addresses: Sequence[str] = (),
    certificate: bytes = b"",
    host: str = "",
    via: Sequence[bytes] = (),
    lease: int | None = None,
) -> Envelope:
    """Return a signed node record.

    Parameters
    ----------
    signer
        The node key.
    owner
        The owner's id.
    seq
        One more than in the record before.
    issued
        Wall clock, seconds since 1970 UTC.
    addresses
        ``host:port`` under which others reach the node; none when it cannot be dialled.
    certificate
        SHA-256 of its certificate in DER; the mode is then ``pinned``.
    host
        The name in its certificate otherwise; the mode is then ``web``.
    via
        Node keys of public peers that pass on dial requests.
    lease
        When it stops to count; the longest lease when None.

    Raises
    ------
    LocalProtocolError
        Others would refuse it.
    """
    record = NodeRecord(
        owner=owner,
        scope=b"",
        issued=issued,
        lease=issued + NODE_LEASE_SECONDS_MAX if lease is None else lease,
        node_key=signer.public_key,
        seq=seq,
        addresses=tuple(addresses),
        mode=MODE_WEB if host else MODE_PINNED,
        certificate=certificate,
        host=host,
        via=tuple(via),
        versions=SUPPORTED_VERSIONS,
    )
    body = NODE_RECORD.encode(record)
    try:
        _check_record(NODE_RECORD.decode(body), issued)
    except RemoteProtocolError as error:
        raise LocalProtocolError("this node record would be refused", where="node", why=str(error)) from error
    return sign_record(NODE_TYPE, body, [signer])


def verify_node_record(raw: bytes, trust: OwnerTrust, now: int) -> Verified[NodeRecord]:
    """Verify a node record against its owner's charters.

    Parameters
    ----------
    raw
        The envelope as received.
    trust
        The verdict on the owner's charters.
    now
        The reader's wall clock, seconds since 1970 UTC.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner, by a key without the role ``serve``, outside its times, or with a wrong
        signature.
    """
    envelope = open_envelope(raw, NODE_TYPE)
    record = NODE_RECORD.decode(envelope.body)
    _check_record(record, now)
    if record.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where="node")
    check_key(trust, record.node_key, ROLE_SERVE, (record.issued, record.lease), where="node")
    verify_signatures(envelope, (record.node_key,), 1, trust.scheme)
    return Verified(record, raw, envelope.hash, SEAL)


def _check_record(record: NodeRecord, now: int) -> None:
    check_scope(record.scope, where="node")
    check_times(record.issued, record.lease, NODE_LEASE_SECONDS_MAX, now, where="node")
    reasons = {
        "the lowest version is above the highest": record.versions[0] > record.versions[1],
        "certificate of the wrong length": len(record.certificate) not in (0, 32),
        "pinned without a certificate": record.mode == MODE_PINNED and not record.certificate,
        "web without a host": record.mode == MODE_WEB and not record.host,
    }
    for reason, holds in reasons.items():
        if holds:
            raise RemoteProtocolError(Violation.NODE_INVALID, reason, where="node")
