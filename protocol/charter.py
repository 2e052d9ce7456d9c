"""Charters: who an owner is.

A charter lists an owner's keys and is signed by those of the charter before, so that keys rotate while the
id, the hash of the first charter, stays. This module makes charters and checks what one charter, and one
after another, must fulfil; :mod:`.trust` walks whole chains and judges rivals.

Rules of this file:

1. Owner keys and the recovery key sign charters, node keys sign everything else; the three never overlap.
2. The recovery key changes only under its own signature: who steals the owner keys cannot lock the owner out.
3. What a node key loses (itself, a role, a part of its validity) takes a higher epoch, which ends the heads
   before.
4. ``make`` functions hold themselves to the very checks that readers apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .encoding import Format, HashOrNone, Key, Natural
from .envelope import Envelope, sign_record
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import tagged_hash
from .limits import (
    ABOUT_CHARACTERS_MAX,
    CHARTER_BYTES_MAX,
    CONTACT_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    NODE_KEY_ROLES_MAX,
    NODE_KEYS_MAX,
    OWNER_KEYS_MAX,
    ROLE_CHARACTERS_MAX,
    WORK_BITS,
)
from .signing import SignatureScheme
from .violations import Violation

CHARTER_TYPE = "charter"
ROLE_PUBLISH = "publish"
"""May sign heads."""
ROLE_SERVE = "serve"
"""May sign node records and HELLOs."""

Role = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]{{0,{ROLE_CHARACTERS_MAX - 1}}}\Z")]
Contact = Annotated[str, Meta(max_length=CONTACT_CHARACTERS_MAX)]


class NodeKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What a node key may do, and when."""

    key: Key
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=NODE_KEY_ROLES_MAX)]
    not_before: Natural
    not_after: Natural


class Charter(Struct, frozen=True):
    """One version of an owner's charter."""

    version: Annotated[int, Meta(ge=1, le=2**31)]
    epoch: Natural
    threshold: Annotated[int, Meta(ge=1, le=OWNER_KEYS_MAX)]
    owner_keys: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=OWNER_KEYS_MAX)]
    recovery_key: Key
    node_keys: Annotated[tuple[NodeKey, ...], Meta(max_length=NODE_KEYS_MAX)]
    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    about: Annotated[str, Meta(max_length=ABOUT_CHARACTERS_MAX)]
    contact: Contact
    url: Contact
    issued: Natural
    previous: HashOrNone
    work: Annotated[int, Meta(ge=0, le=2**32 - 1)]

    def node_key(self, key: bytes) -> NodeKey | None:
        """Return the entry of a node key, None when the charter has none."""
        return next((entry for entry in self.node_keys if entry.key == key), None)


CHARTER = Format(Charter, CHARTER_TYPE, CHARTER_BYTES_MAX)


def owner_id(body: bytes) -> bytes:
    """Return the owner's id (32 bytes) that the body of its first charter gives it."""
    return tagged_hash("skerry/owner/1", body)


def new_charter(
    *,
    name: str,
    owner_signers: Sequence[SignatureScheme],
    recovery_key: bytes,
    node_keys: Sequence[NodeKey],
    issued: int,
    threshold: int | None = None,
    about: str = "",
    contact: str = "",
    url: str = "",
    work_bits: int = WORK_BITS,
) -> Envelope:
    """Return the first charter of a new owner, with its proof of work.

    Parameters
    ----------
    name
        What the owner calls itself.
    owner_signers
        The owner keys; all of them sign.
    recovery_key
        The public key that settles what the owner keys cannot; its private half should lie elsewhere.
    node_keys
        The owner's machines.
    issued
        Wall clock, seconds since 1970 UTC.
    threshold
        How many owner keys must sign the next charter; all of them when None.
    about, contact, url
        Claims for people.
    work_bits
        Zero bits of the proof of work; networks use the default.

    Raises
    ------
    LocalProtocolError
        The charter would be refused by others.
    """
    draft = Charter(
        version=1,
        epoch=1,
        threshold=len(owner_signers) if threshold is None else threshold,
        owner_keys=tuple(signer.public_key for signer in owner_signers),
        recovery_key=recovery_key,
        node_keys=tuple(node_keys),
        name=name,
        about=about,
        contact=contact,
        url=url,
        issued=issued,
        previous=b"",
        work=0,
    )
    return _signed(msgspec.structs.replace(draft, work=_find_work(draft, work_bits)), owner_signers)


def next_charter(
    current: Envelope, signers: Sequence[SignatureScheme], *, issued: int, **changes: object
) -> Envelope:
    """Return the charter that follows ``current``, signed by its owner keys or its recovery key.

    The epoch rises by itself when a node key loses something.

    Parameters
    ----------
    current
        The newest charter's envelope.
    signers
        At least ``threshold`` of its owner signers, or the recovery signer alone.
    issued
        Wall clock, seconds since 1970 UTC; not before the current charter's.
    changes
        Fields of :class:`Charter` to replace.

    Raises
    ------
    LocalProtocolError
        The charter would be refused by others.
    """
    before = CHARTER.decode(current.body)
    fixed = {"version": before.version + 1, "previous": current.hash, "issued": issued, "work": 0}
    after = msgspec.structs.replace(before, **{**changes, **fixed})
    if takes_away(before, after) and after.epoch <= before.epoch:
        after = msgspec.structs.replace(after, epoch=before.epoch + 1)
    envelope = _signed(after, signers)
    try:
        check_succession(current, before, envelope, after)
    except RemoteProtocolError as error:
        raise LocalProtocolError("this charter would be refused", where="charter", why=str(error)) from error
    return envelope


def _signed(charter: Charter, signers: Sequence[SignatureScheme]) -> Envelope:
    """Return the charter in its envelope, after the checks that every reader makes."""
    body = CHARTER.encode(charter)
    try:
        check_charter(CHARTER.decode(body))
    except RemoteProtocolError as error:
        raise LocalProtocolError("this charter would be refused", where="charter", why=str(error)) from error
    return sign_record(CHARTER_TYPE, body, signers)


def _find_work(draft: Charter, work_bits: int) -> int:
    """Return the number that gives the charter its proof of work.

    Trials have the same length (5 bytes as a MessagePack uint32), so the hash of all before the number is
    shared.
    """
    start = 2**16
    body = CHARTER.encode(msgspec.structs.replace(draft, work=start))
    prefix = sha256(b"skerry/work/1\0" + body[:-4])
    limit = 1 << (256 - work_bits)
    for number in range(start, 2**32):
        trial = prefix.copy()
        trial.update(number.to_bytes(4, "big"))
        if int.from_bytes(trial.digest(), "big") < limit:
            return number
    raise LocalProtocolError("no proof of work found", where="charter", todo="change the issue time")


def check_work(body: bytes, work_bits: int = WORK_BITS) -> None:
    """Check the proof of work over the body of a first charter; raise ``work-missing``."""
    if int.from_bytes(tagged_hash("skerry/work/1", body), "big") >> (256 - work_bits):
        raise RemoteProtocolError(Violation.WORK_MISSING, f"fewer than {work_bits} bits", where="charter")


def check_charter(charter: Charter) -> None:
    """Check that a charter does not contradict itself; raise ``charter-invalid``."""
    node_keys = [entry.key for entry in charter.node_keys]
    keys = [*charter.owner_keys, charter.recovery_key, *node_keys]
    reasons = {
        "a key has two purposes": len(set(keys)) != len(keys),
        "threshold above the number of owner keys": charter.threshold > len(charter.owner_keys),
        "a node key ends before it begins": any(
            entry.not_after <= entry.not_before for entry in charter.node_keys
        ),
        "first version and previous disagree": (charter.version == 1) != (charter.previous == b""),
        "previous is no hash": len(charter.previous) not in (0, 32),
    }
    for reason, holds in reasons.items():
        if holds:
            raise RemoteProtocolError(Violation.CHARTER_INVALID, reason, where="charter")


def takes_away(before: Charter, after: Charter) -> bool:
    """Return whether a node key of ``before`` has less in ``after``: is gone, or lost a role or validity."""
    return any(not _keeps(entry, after.node_key(entry.key)) for entry in before.node_keys)


def _keeps(before: NodeKey, after: NodeKey | None) -> bool:
    return (
        after is not None
        and set(before.roles) <= set(after.roles)
        and after.not_before <= before.not_before
        and after.not_after >= before.not_after
    )


def check_succession(previous: Envelope, before: Charter, envelope: Envelope, after: Charter) -> list[bytes]:
    """Check that a charter follows another, and return the keys of which enough signed it.

    Parameters
    ----------
    previous, before
        The charter before, as envelope and decoded.
    envelope, after
        The charter that claims to follow it; its signatures are not checked here.

    Returns
    -------
    list of bytes
        The recovery key, or the owner keys that signed (at least the threshold).

    Raises
    ------
    RemoteProtocolError
        ``chain-broken``, ``charter-invalid``, ``removal-without-epoch`` or ``signer-wrong``.
    """
    where = f"charter {after.version}"
    if after.version != before.version + 1 or after.previous != previous.hash:
        raise RemoteProtocolError(Violation.CHAIN_BROKEN, "does not name the one before", where=where)
    if after.epoch < before.epoch or after.issued < before.issued:
        raise RemoteProtocolError(Violation.CHAIN_BROKEN, "epoch or issue time went back", where=where)
    if takes_away(before, after) and after.epoch == before.epoch:
        raise RemoteProtocolError(Violation.REMOVAL_WITHOUT_EPOCH, where=where)
    if envelope.signers == (before.recovery_key,):
        return [before.recovery_key]
    if after.recovery_key != before.recovery_key:
        raise RemoteProtocolError(
            Violation.CHARTER_INVALID, "only the recovery key replaces itself", where=where
        )
    wanted = [key for key in envelope.signers if key in before.owner_keys]
    if len(wanted) < before.threshold:
        raise RemoteProtocolError(Violation.SIGNER_WRONG, "fewer owner keys than the threshold", where=where)
    return wanted
