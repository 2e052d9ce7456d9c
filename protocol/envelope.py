"""The envelope that every signed record travels in, and what it means that something was verified.

Rules of this file:

1. A signature covers the body as received; the bytes are kept beside the decoded value, never encoded again.
2. The hash of an envelope leaves the signatures out: one statement has one hash, whoever signed it.
3. All signatures of an envelope must verify and all signers must be wanted: nobody can append to a record on
   its way.
4. :class:`Verified` is made by the ``verify_*`` functions of this component alone, so that a function that
   takes one needs no comment on what was checked. ``SEAL`` is their key; it is not exported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import InitVar, dataclass
from itertools import pairwise
from typing import Annotated, Final, Generic, TypeVar

from msgspec import Meta, Struct

from .encoding import Format, Hash, HashOrNone, Key, Natural
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import tagged_hash
from .limits import (
    CLOCK_TOLERANCE_SECONDS,
    ENVELOPE_BYTES_MAX,
    ENVELOPE_SIGNATURES_MAX,
    RECORD_TYPE_CHARACTERS_MAX,
)
from .signing import SIGNATURE_BYTES, SignatureScheme
from .violations import Violation

T = TypeVar("T")

SEAL: Final = object()

RecordType = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]{{0,{RECORD_TYPE_CHARACTERS_MAX - 1}}}\Z")]


class Signature(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One signature on a record."""

    key: Key
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Envelope(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signed record on its way; decoding one verifies nothing."""

    type: RecordType
    body: bytes
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=ENVELOPE_SIGNATURES_MAX)]

    def to_bytes(self) -> bytes:
        """Return the bytes that travel and are stored."""
        return ENVELOPE.encode(self)

    @property
    def hash(self) -> bytes:
        """The record's hash (32 bytes): of type and body, not of the signatures."""
        return tagged_hash("skerry/envelope/1", self.type.encode("ascii"), b"\0", self.body)

    @property
    def signers(self) -> tuple[bytes, ...]:
        """The keys that signed, in their order."""
        return tuple(signature.key for signature in self.signatures)


ENVELOPE = Format(Envelope, "envelope", ENVELOPE_BYTES_MAX)


class RecordHeader(Struct, frozen=True):
    """The four fields that the body of every record but a charter has, so that unknown types can be kept."""

    owner: Hash
    scope: HashOrNone
    issued: Natural
    lease: Natural


RECORD_HEADER = Format(RecordHeader, "record", ENVELOPE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value whose signatures, hashes and rules were checked, with the bytes that it came in.

    Parameters
    ----------
    value
        The decoded value.
    raw
        The bytes as received: the envelope, or the card.
    hash
        The envelope's or the card's hash, 32 bytes.
    seal
        Held by the verify functions alone.
    """

    value: T
    raw: bytes
    hash: bytes
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Refuse to exist without the seal."""
        if seal is not SEAL:
            raise LocalProtocolError(
                "only a verify function makes a Verified", todo="call the verify function of the record"
            )


def record_domain(record_type: str) -> str:
    """Return the domain string of signatures on records of a type."""
    return f"skerry/record/1/{record_type}"


def sign_record(record_type: str, body: bytes, signers: Sequence[SignatureScheme]) -> Envelope:
    """Return an envelope signed by all ``signers``.

    Raises
    ------
    LocalProtocolError
        No signer, the same one twice, too many, or a record over its size.
    """
    keys = {signer.public_key for signer in signers}
    if not 1 <= len(signers) <= ENVELOPE_SIGNATURES_MAX or len(keys) != len(signers):
        raise LocalProtocolError("a record needs 1 to 16 distinct signers", where=record_type)
    domain = record_domain(record_type)
    signatures = sorted(
        (Signature(signer.public_key, signer.sign(domain, body)) for signer in signers),
        key=lambda signature: signature.key,
    )
    envelope = Envelope(record_type, body, tuple(signatures))
    if len(envelope.to_bytes()) > ENVELOPE_BYTES_MAX:
        raise LocalProtocolError(
            "a record is too large", where=record_type, why=f"over {ENVELOPE_BYTES_MAX} bytes"
        )
    return envelope


def cosign(envelope: Envelope, signer: SignatureScheme) -> Envelope:
    """Return the envelope with one more signature: for records that several people sign on their machines.

    Raises
    ------
    LocalProtocolError
        It has the signature already, or no room for it.
    """
    signature = Signature(signer.public_key, signer.sign(record_domain(envelope.type), envelope.body))
    if signer.public_key in envelope.signers or len(envelope.signatures) >= ENVELOPE_SIGNATURES_MAX:
        raise LocalProtocolError("a record needs 1 to 16 distinct signers", where=envelope.type)
    signatures = sorted((*envelope.signatures, signature), key=lambda item: item.key)
    return Envelope(envelope.type, envelope.body, tuple(signatures))


def open_envelope(raw: bytes, record_type: str | None = None) -> Envelope:
    """Decode an envelope whose signers stand in order; nothing is verified yet.

    Parameters
    ----------
    raw
        The bytes as received.
    record_type
        The type it must have; any when None.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another type, or with a signer twice or out of order.
    """
    envelope = ENVELOPE.decode(raw)
    if record_type is not None and envelope.type != record_type:
        raise RemoteProtocolError(
            Violation.WRONG_TYPE, f"{envelope.type} instead of {record_type}", where="envelope"
        )
    keys = envelope.signers
    if any(first >= second for first, second in pairwise(keys)):
        raise RemoteProtocolError(Violation.MALFORMED, "signers out of order", where=envelope.type)
    return envelope


def verify_signatures(
    envelope: Envelope, wanted: Collection[bytes], count_min: int, scheme: type[SignatureScheme]
) -> None:
    """Check that ``count_min`` of the ``wanted`` keys signed, nobody else did, and all signatures hold.

    Raises
    ------
    RemoteProtocolError
        ``signer-wrong`` or ``signature-invalid``.
    """
    if len(envelope.signatures) < count_min or not set(envelope.signers) <= set(wanted):
        raise RemoteProtocolError(Violation.SIGNER_WRONG, where=envelope.type)
    domain = record_domain(envelope.type)
    for item in envelope.signatures:
        if not scheme.verify(item.key, domain, envelope.body, item.signature):
            raise RemoteProtocolError(
                Violation.SIGNATURE_INVALID, f"by key {item.key.hex()}", where=envelope.type
            )


def check_times(issued: int, lease: int, seconds_max: int, now: int, *, where: str) -> None:
    """Check that a record counts now: not issued ahead, lease neither ended nor too long.

    Parameters
    ----------
    issued, lease
        When it was issued and when its lease ends, seconds since 1970 UTC.
    seconds_max
        Longest lease of its type.
    now
        The reader's wall clock.
    where
        The record's type, for the error.

    Raises
    ------
    RemoteProtocolError
        ``lease-invalid``, ``issued-ahead`` or ``lease-ended``.
    """
    if not 0 < lease - issued <= seconds_max:
        raise RemoteProtocolError(
            Violation.LEASE_INVALID, f"{lease - issued} s of at most {seconds_max}", where=where
        )
    if issued > now + CLOCK_TOLERANCE_SECONDS:
        raise RemoteProtocolError(Violation.ISSUED_AHEAD, f"by {issued - now} s", where=where)
    if lease < now - CLOCK_TOLERANCE_SECONDS:
        raise RemoteProtocolError(Violation.LEASE_ENDED, f"{now - lease} s ago", where=where)


def check_scope(scope: bytes, *, where: str) -> None:
    """Check that a scope is public (no bytes) or a group's id (32 bytes)."""
    if len(scope) not in (0, 32):
        raise RemoteProtocolError(Violation.MALFORMED, f"scope of {len(scope)} bytes", where=where)
