"""Admissions: a registrar takes an institution into a group until the next roster does.

An admission is signed by a node key of the registrar's owner and lives at most seven days. It names the
version of the roster that it adds to, and counts as long as no roster of a higher version is known: the next
roster folds it in, or leaves it out and thereby ends it. So whom a roster removed no older admission brings
back.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .charter import ROLE_SERVE
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
from .limits import ADMISSION_LEASE_SECONDS_MAX, ENVELOPE_BYTES_MAX
from .roster import GroupRole
from .signing import SignatureScheme
from .trust import OwnerTrust, check_key
from .violations import Violation

ADMISSION_TYPE = "admission"


class Admission(RecordHeader, frozen=True):
    """One admission; ``owner`` is the registrar's, ``member`` who is admitted."""

    node_key: Key
    version: Annotated[int, Meta(ge=1, le=2**31)]
    member: Hash
    role: GroupRole


ADMISSION = Format(Admission, ADMISSION_TYPE, ENVELOPE_BYTES_MAX)


def make_admission(
    signer: SignatureScheme,
    *,
    owner: bytes,
    group: bytes,
    version: int,
    member: bytes,
    role: GroupRole,
    issued: int,
    lease: int | None = None,
) -> Envelope:
    """Return a signed admission.

    Parameters
    ----------
    signer
        A node key of the registrar's owner.
    owner
        The registrar's id.
    group
        The group's id.
    version
        The highest version of the group's rosters.
    member, role
        Who is admitted, as reader or publisher.
    issued
        Wall clock, seconds since 1970 UTC.
    lease
        When it stops to count; the longest lease when None.

    Raises
    ------
    LocalProtocolError
        Others would refuse it.
    """
    lease = issued + ADMISSION_LEASE_SECONDS_MAX if lease is None else lease
    admission = Admission(owner, group, issued, lease, signer.public_key, version, member, role)
    body = ADMISSION.encode(admission)
    try:
        _check_admission(ADMISSION.decode(body), issued)
    except RemoteProtocolError as error:
        raise LocalProtocolError(
            "this admission would be refused", where="admission", why=str(error)
        ) from error
    return sign_record(ADMISSION_TYPE, body, [signer])


def verify_admission(raw: bytes, trust: OwnerTrust, now: int) -> Verified[Admission]:
    """Verify an admission against the registrar's charters; whether it is registrar is for the group to say.

    Parameters
    ----------
    raw
        The envelope as received.
    trust
        The verdict on the registrar's charters.
    now
        The reader's wall clock, seconds since 1970 UTC.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another owner, by a key without the role ``serve``, outside its times, or with a wrong
        signature.
    """
    envelope = open_envelope(raw, ADMISSION_TYPE)
    admission = ADMISSION.decode(envelope.body)
    _check_admission(admission, now)
    if admission.owner != trust.owner:
        raise RemoteProtocolError(Violation.OWNER_WRONG, where="admission")
    check_key(trust, admission.node_key, ROLE_SERVE, (admission.issued, admission.lease), where="admission")
    verify_signatures(envelope, (admission.node_key,), 1, trust.scheme)
    return Verified(admission, raw, envelope.hash, SEAL)


def _check_admission(admission: Admission, now: int) -> None:
    check_scope(admission.scope, where="admission")
    check_times(admission.issued, admission.lease, ADMISSION_LEASE_SECONDS_MAX, now, where="admission")
    if not admission.scope or admission.role.rank >= GroupRole.REGISTRAR.rank:
        raise RemoteProtocolError(
            Violation.ROSTER_INVALID, "admits to no group, or to more than publisher", where="admission"
        )
