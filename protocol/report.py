"""Reports: a node tells that a card's sketch does not follow from its specification.

A report is a claim by its signer and no verdict: whoever hears it fetches the specification, computes the
sketch anew and believes its own numbers, which enter the state as
:class:`~skerry.protocol.events.SketchVerdict`. It names the card by its hash, so that a corrected card is
not accused.
"""

from __future__ import annotations

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
from .errors import RemoteProtocolError
from .limits import ENVELOPE_BYTES_MAX, REPORT_LEASE_SECONDS_MAX
from .signing import SignatureScheme
from .trust import OwnerTrust, check_key
from .violations import Violation

REPORT_TYPE = "sketch-report"


class Report(RecordHeader, frozen=True):
    """One accusation; ``owner`` is who accuses."""

    node_key: Key
    accused: Key
    """The node key whose head covers the card."""
    card: Hash
    """The card's hash."""


REPORT = Format(Report, REPORT_TYPE, ENVELOPE_BYTES_MAX)


def make_report(
    signer: SignatureScheme, *, owner: bytes, scope: bytes, accused: bytes, card: bytes, issued: int
) -> Envelope:
    """Return a signed report with the longest lease.

    Parameters
    ----------
    signer
        The node key of who accuses.
    owner
        Its owner's id.
    scope
        Where the card is shown.
    accused, card
        The node key whose head covers the card, and the card's hash.
    issued
        Wall clock, seconds since 1970 UTC.
    """
    lease = issued + REPORT_LEASE_SECONDS_MAX
    report = Report(owner, scope, issued, lease, signer.public_key, accused, card)
    return sign_record(REPORT_TYPE, REPORT.encode(report), [signer])


def verify_report(raw: bytes, trust: OwnerTrust, now: int) -> Verified[Report]:
    """Verify who says so; whether it is true is for the reader to compute.

    Parameters
    ----------
    raw
        The envelope as received.
    trust
        The verdict on the charters of who accuses.
    now
        The reader's wall clock, seconds since 1970 UTC.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner, by a key without any role, outside its times, or with a wrong signature.
    """
    envelope = open_envelope(raw, REPORT_TYPE)
    report = REPORT.decode(envelope.body)
    check_scope(report.scope, where=REPORT_TYPE)
    check_times(report.issued, report.lease, REPORT_LEASE_SECONDS_MAX, now, where=REPORT_TYPE)
    if report.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where=REPORT_TYPE)
    check_key(trust, report.node_key, None, (report.issued, report.lease), where=REPORT_TYPE)
    verify_signatures(envelope, (report.node_key,), 1, trust.scheme)
    return Verified(report, raw, envelope.hash, SEAL)
