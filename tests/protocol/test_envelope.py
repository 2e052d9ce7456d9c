"""Signatures over received bytes, and that only verify functions make a Verified."""

from __future__ import annotations

import ast

import pytest

from skerry.protocol import (
    FakeSigner,
    LocalProtocolError,
    SignatureScheme,
    Signer,
    Verified,
    Violation,
    open_envelope,
    tagged_hash,
)
from skerry.protocol.envelope import (
    ENVELOPE,
    Envelope,
    Signature,
    check_times,
    sign_record,
    verify_signatures,
)
from skerry.protocol.limits import CLOCK_TOLERANCE_SECONDS
from tests.tree import sources

from .world import DAY, NOW, flipped, outcome, refused, signer

ALICE, BOB = signer("alice"), signer("bob")


def test_signers_stand_in_the_order_of_their_keys() -> None:
    envelope = sign_record("note", b"body", [ALICE, BOB])
    assert envelope == sign_record("note", b"body", [BOB, ALICE])
    assert list(envelope.signers) == sorted([ALICE.public_key, BOB.public_key])
    swapped = Envelope("note", b"body", envelope.signatures[::-1])
    with refused(Violation.MALFORMED):
        open_envelope(swapped.to_bytes())
    doubled = Envelope("note", b"body", (envelope.signatures[0],) * 2)
    with refused(Violation.MALFORMED):
        open_envelope(doubled.to_bytes())


def test_the_hash_leaves_signatures_out_and_separates_type_and_body() -> None:
    by_alice, by_bob = sign_record("note", b"body", [ALICE]), sign_record("note", b"body", [BOB])
    assert by_alice.hash == by_bob.hash == tagged_hash("skerry/envelope/1", b"note", b"\0", b"body")
    assert sign_record("not", b"ebody", [ALICE]).hash != by_alice.hash


@pytest.mark.parametrize("scheme", [Signer, FakeSigner])
def test_a_signature_holds_for_one_type_one_body_and_one_key(scheme: type[SignatureScheme]) -> None:
    key = ALICE if scheme is Signer else FakeSigner(b"alice")
    envelope = sign_record("note", b"body", [key])
    verify_signatures(envelope, [key.public_key], 1, scheme)
    for other in (
        Envelope("nota", b"body", envelope.signatures),
        Envelope("note", b"bodx", envelope.signatures),
        Envelope("note", b"body", (Signature(key.public_key, bytes(64)),)),
    ):
        with refused(Violation.SIGNATURE_INVALID):
            verify_signatures(other, [key.public_key], 1, scheme)


def test_too_few_and_foreign_signers_are_refused() -> None:
    envelope = sign_record("note", b"body", [ALICE, BOB])
    with refused(Violation.SIGNER_WRONG):
        verify_signatures(envelope, [ALICE.public_key], 1, Signer)
    with refused(Violation.SIGNER_WRONG):
        verify_signatures(
            sign_record("note", b"body", [ALICE]), [ALICE.public_key, BOB.public_key], 2, Signer
        )


NOTE = sign_record("note", b"body", [ALICE]).to_bytes()


def test_one_flipped_byte_is_noticed() -> None:
    def read(raw: bytes) -> None:
        verify_signatures(open_envelope(raw, "note"), [ALICE.public_key], 1, Signer)

    assert outcome(read, NOTE) is None
    for position, raw in flipped(NOTE):
        assert outcome(read, raw) is not None, position


def test_another_type_is_refused() -> None:
    with refused(Violation.WRONG_TYPE):
        open_envelope(sign_record("note", b"body", [ALICE]).to_bytes(), "head")


@pytest.mark.parametrize("name", ["", "Note", "1note", "note\n", "n" * 33, "no te"])
def test_a_type_is_a_short_plain_word(name: str) -> None:
    raw = ENVELOPE.encode(Envelope(name, b"", (Signature(bytes(32), bytes(64)),)))
    with refused(Violation.MALFORMED):
        open_envelope(raw)


def test_local_mistakes_are_loud() -> None:
    for signers in ([], [ALICE, ALICE]):
        with pytest.raises(LocalProtocolError):
            sign_record("note", b"body", signers)
    with pytest.raises(LocalProtocolError):
        sign_record("note", bytes(17_000), [ALICE])
    with pytest.raises(LocalProtocolError):
        Signer.from_bytes(bytes(31))


def test_only_verify_functions_make_a_verified() -> None:
    with pytest.raises(LocalProtocolError):
        Verified("value", b"raw", b"hash", object())
    holders = {
        path.name
        for path in sources("protocol")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "SEAL"
    }
    assert holders == {
        "admission.py",
        "bridge.py",
        "card.py",
        "envelope.py",
        "head.py",
        "invite.py",
        "node_record.py",
        "records.py",
        "report.py",
        "roster.py",
        "trust.py",
    }


def test_keys_survive_storage() -> None:
    key = Signer.generate()
    again = Signer.from_bytes(key.to_bytes())
    assert again.public_key == key.public_key
    assert Signer.verify(key.public_key, "test", b"body", again.sign("test", b"body"))
    assert not Signer.verify(key.public_key, "tes", b"tbody", again.sign("test", b"body"))
    assert not Signer.verify(b"short", "test", b"body", bytes(64))


def test_a_record_counts_from_issue_to_lease_with_a_day_of_tolerance() -> None:
    check_times(NOW, NOW + DAY, DAY, NOW, where="test")
    check_times(NOW + CLOCK_TOLERANCE_SECONDS, NOW + 2 * DAY, DAY, NOW, where="test")
    check_times(NOW - 2 * DAY, NOW - DAY, DAY, NOW, where="test")
    with refused(Violation.ISSUED_AHEAD):
        check_times(NOW + DAY + 1, NOW + 2 * DAY, DAY, NOW, where="test")
    with refused(Violation.LEASE_ENDED):
        check_times(NOW - 2 * DAY, NOW - DAY - 1, DAY, NOW, where="test")
    for lease in (NOW - 1, NOW, NOW + DAY + 1):
        with refused(Violation.LEASE_INVALID):
            check_times(NOW, lease, DAY, NOW, where="test")
