"""Bridges between islands as records: one institution finds which column is which, all others use it.

A bridge names two islands by their ids and, column by column, how the value of one becomes that of the other.
It is a claim by its signer: whoever uses it holds it against the baselines that need no bridge, and shows
whose it is. No row, label or distribution is in it.

Theory of operation. The record travels in the standard envelope within its owner's quota, like any record of
a type that a node does not read (``records.py``): nothing in the index depends on it, so nodes that know
bridges and nodes that do not carry the same set. Whoever wants bridges reads them with
:func:`verify_bridge`.

Rules of this file:

1. A column is named at most once on either side.
2. Numbers are finite, factors are not 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from .encoding import Format, Hash, Key
from .envelope import (
    SEAL,
    Envelope,
    RecordHeader,
    Verified,
    check_scope,
    check_times,
    open_envelope,
    sign_record,
    verify_signatures,
)
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import BRIDGE_PLANKS_MAX, ENVELOPE_BYTES_MAX, UNKNOWN_LEASE_SECONDS_MAX
from .signing import SignatureScheme
from .trust import OwnerTrust, check_key
from .violations import Violation

BRIDGE_TYPE = "bridge"

Position = Annotated[int, Meta(ge=0, le=2**16 - 1)]


class Plank(Struct, frozen=True, array_like=True):
    """A column of the first island that is one of the second: its value there is ``factor * v + offset``."""

    source: Position
    target: Position
    factor: float
    offset: float
    confidence: Annotated[float, Meta(ge=0, le=1)]


class BridgeRecord(RecordHeader, frozen=True):
    """Which columns of one island are which of another, as ``owner`` found it."""

    node_key: Key
    source: Hash
    """Id of the island that rows come from."""
    target: Hash
    """Id of the island whose models they shall suit."""
    planks: Annotated[tuple[Plank, ...], Meta(min_length=1, max_length=BRIDGE_PLANKS_MAX)]


BRIDGE = Format(BridgeRecord, BRIDGE_TYPE, ENVELOPE_BYTES_MAX)


def make_bridge(
    signer: SignatureScheme,
    *,
    owner: bytes,
    scope: bytes,
    source: bytes,
    target: bytes,
    planks: Sequence[Plank],
    issued: int,
) -> Envelope:
    """Return a signed bridge with the longest lease.

    Parameters
    ----------
    signer
        A node key of who publishes it.
    owner
        Its owner's id.
    scope
        Empty for public, else the group's id.
    source, target
        Ids of the two islands.
    planks
        The columns, at most ``BRIDGE_PLANKS_MAX``.
    issued
        Wall clock, seconds since 1970 UTC.

    Raises
    ------
    LocalProtocolError
        A column is named twice, or a number is not finite or a factor 0.
    """
    lease = issued + UNKNOWN_LEASE_SECONDS_MAX
    record = BridgeRecord(owner, scope, issued, lease, signer.public_key, source, target, tuple(planks))
    if broken := _broken(record):
        raise LocalProtocolError("a bridge that others would refuse", where=BRIDGE_TYPE, why=broken)
    return sign_record(BRIDGE_TYPE, BRIDGE.encode(record), [signer])


def verify_bridge(raw: bytes, trust: OwnerTrust, now: int) -> Verified[BridgeRecord]:
    """Verify who publishes a bridge and that it is one; whether it is right is for the reader to try.

    Parameters
    ----------
    raw
        The envelope as received.
    trust
        The verdict on the charters of who publishes it.
    now
        The reader's wall clock, seconds since 1970 UTC.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner, by a key without any role, outside its times, with a wrong signature, or
        with a column named twice.
    """
    envelope = open_envelope(raw, BRIDGE_TYPE)
    record = BRIDGE.decode(envelope.body)
    check_scope(record.scope, where=BRIDGE_TYPE)
    check_times(record.issued, record.lease, UNKNOWN_LEASE_SECONDS_MAX, now, where=BRIDGE_TYPE)
    if record.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where=BRIDGE_TYPE)
    check_key(trust, record.node_key, None, (record.issued, record.lease), where=BRIDGE_TYPE)
    verify_signatures(envelope, (record.node_key,), 1, trust.scheme)
    if broken := _broken(record):
        raise RemoteProtocolError(Violation.MALFORMED, broken, where=BRIDGE_TYPE)
    return Verified(record, raw, envelope.hash, SEAL)


def _broken(record: BridgeRecord) -> str:
    """Return which rule the planks break, or nothing."""
    for places in ([plank.source for plank in record.planks], [plank.target for plank in record.planks]):
        if len(set(places)) < len(places):
            return "a column is named twice"
    if any(not _usable(plank) for plank in record.planks):
        return "a number is not finite, or a factor is 0"
    return ""


def _usable(plank: Plank) -> bool:
    return math.isfinite(plank.factor) and math.isfinite(plank.offset) and plank.factor != 0
