"""Records of types that this version does not know: kept and passed on in the standard envelope, never read.

A later version adds a type of record, and the nodes in between still carry it. What bounds this is what every
envelope has: an owner with charters and so with a quota, a scope, a lease of at most 21 days, and the
signature of one of the owner's node keys. Types that are known are read by their own functions, under
stricter rules.
"""

from __future__ import annotations

from .admission import ADMISSION_TYPE
from .charter import CHARTER_TYPE
from .envelope import (
    RECORD_HEADER,
    SEAL,
    RecordHeader,
    Verified,
    check_scope,
    check_times,
    open_envelope,
    verify_signatures,
)
from .errors import RemoteProtocolError
from .head import HEAD_TYPE
from .hello import HELLO_TYPE
from .limits import UNKNOWN_LEASE_SECONDS_MAX
from .node_record import NODE_TYPE
from .report import REPORT_TYPE
from .roster import ROSTER_TYPE
from .trust import OwnerTrust, check_key
from .violations import Violation

KNOWN_TYPES = frozenset(
    {CHARTER_TYPE, HEAD_TYPE, NODE_TYPE, HELLO_TYPE, ROSTER_TYPE, ADMISSION_TYPE, REPORT_TYPE}
)


def verify_record(raw: bytes, trust: OwnerTrust, now: int) -> Verified[RecordHeader]:
    """Verify a record of a type that this version does not know.

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
        ``wrong-type`` for a known type; otherwise as for a head, but that one node key with any role signs.
    """
    envelope = open_envelope(raw)
    where = envelope.type
    if where in KNOWN_TYPES:
        raise RemoteProtocolError(Violation.WRONG_TYPE, "a known type has rules of its own", where=where)
    header = RECORD_HEADER.decode(envelope.body)
    check_scope(header.scope, where=where)
    check_times(header.issued, header.lease, UNKNOWN_LEASE_SECONDS_MAX, now, where=where)
    if header.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where=where)
    key = envelope.signatures[0].key
    check_key(trust, key, None, (header.issued, header.lease), where=where)
    verify_signatures(envelope, (key,), 1, trust.scheme)
    return Verified(header, raw, envelope.hash, SEAL)
