"""Heads: who may sign them, when they count, which of two counts."""

from __future__ import annotations

import msgpack
import msgspec
import pytest

from skerry.protocol import (
    Head,
    LocalProtocolError,
    Relation,
    Verified,
    Violation,
    relate,
    renewal_due,
    verify_head,
)
from skerry.protocol.envelope import sign_record
from skerry.protocol.head import HEAD

from .world import DAY, NOW, Lab, flipped, node_key, outcome, refused, signer

LAB = Lab()
TRUST = LAB.trust
RAW = LAB.head().to_bytes()
HEAD_VALUE = verify_head(RAW, TRUST, NOW).value


def verified(**changes: object) -> Verified[Head]:
    return verify_head(LAB.head(**changes).to_bytes(), TRUST, NOW)


def forged(**changes: object) -> bytes:
    """A head that our own make_head would not make, signed all the same."""
    body = HEAD.encode(msgspec.structs.replace(HEAD_VALUE, **changes))
    return sign_record("head", body, [LAB.node_signer]).to_bytes()


def test_a_head_keeps_the_bytes_it_came_in() -> None:
    head = verify_head(RAW, TRUST, NOW)
    assert head.raw == RAW
    assert head.hash == LAB.head().hash
    assert head.value.lease - head.value.issued == 21 * DAY


def test_one_flipped_byte_is_refused() -> None:
    for position, raw in flipped(RAW):
        assert outcome(lambda data: verify_head(data, TRUST, NOW), raw) is not None, position


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"owner": bytes(32)}, Violation.OWNER_WRONG),
        ({"scope": bytes(5)}, Violation.MALFORMED),
        ({"lease": NOW + 21 * DAY + 1}, Violation.LEASE_INVALID),
        ({"lease": NOW}, Violation.LEASE_INVALID),
        ({"issued": NOW + DAY + 1, "lease": NOW + 3 * DAY}, Violation.ISSUED_AHEAD),
        ({"issued": NOW - 9 * DAY, "lease": NOW - DAY - 1}, Violation.LEASE_ENDED),
        ({"node_key": signer("stranger").public_key}, Violation.KEY_UNKNOWN),
        ({"epoch": 0}, Violation.EPOCH_OLD),
        ({"epoch": 2}, Violation.EPOCH_UNKNOWN),
        ({"root": bytes(31)}, Violation.MALFORMED),
    ],
    ids=str,
)
def test_each_rule_has_its_violation(changes: dict[str, object], violation: Violation) -> None:
    with refused(violation):
        verify_head(forged(**changes), TRUST, NOW)


def test_another_keys_signature_is_refused() -> None:
    body = HEAD.encode(HEAD_VALUE)
    with refused(Violation.SIGNER_WRONG):
        verify_head(sign_record("head", body, [signer("stranger")]).to_bytes(), TRUST, NOW)
    with refused(Violation.SIGNER_WRONG):
        verify_head(sign_record("head", body, [LAB.node_signer, signer("stranger")]).to_bytes(), TRUST, NOW)
    with refused(Violation.WRONG_TYPE):
        verify_head(sign_record("node", body, [LAB.node_signer]).to_bytes(), TRUST, NOW)


def test_a_serving_key_may_not_publish() -> None:
    trust = LAB.amended(node_keys=(node_key("Lab/node", "serve"),)).trust
    with refused(Violation.ROLE_MISSING):
        verify_head(forged(epoch=2), trust, NOW)


def test_a_head_may_not_outlive_its_key() -> None:
    trust = LAB.amended(node_keys=(node_key("Lab/node", end=NOW + 5 * DAY),)).trust
    with refused(Violation.KEY_NOT_VALID):
        verify_head(forged(epoch=2), trust, NOW)
    verify_head(forged(epoch=2, lease=NOW + 6 * DAY), trust, NOW)


def test_a_newer_writers_field_is_kept_and_covered() -> None:
    fields = {**msgspec.to_builtins(HEAD_VALUE, builtin_types=(bytes,)), "later": [1, 2]}
    raw = sign_record("head", bytes(msgpack.packb(fields)), [LAB.node_signer]).to_bytes()
    head = verify_head(raw, TRUST, NOW)
    assert head.value == HEAD_VALUE
    assert head.hash != verify_head(RAW, TRUST, NOW).hash


def test_the_higher_epoch_and_seq_count() -> None:
    first, second = verified(seq=1), verified(seq=2, issued=NOW + 1)
    assert relate(first, second) is Relation.NEWER
    assert relate(second, first) is Relation.OLDER
    assert relate(first, verified(seq=1)) is Relation.SAME


def test_two_heads_with_one_number_are_equivocation() -> None:
    one, other = verified(count=1), verified(count=2)
    assert relate(one, other) is Relation.EQUIVOCATION
    assert relate(other, one) is Relation.EQUIVOCATION


@pytest.mark.parametrize(
    "changes", [{"issued": NOW - 1, "lease": NOW + 12 * DAY}, {"lease": NOW + 2 * DAY}], ids=str
)
def test_the_number_decides_whatever_the_times_so_that_the_order_of_hearing_does_not(
    changes: dict[str, object],
) -> None:
    old = verified(seq=1, lease=NOW + 10 * DAY)
    new = verify_head(forged(seq=2, **changes), TRUST, NOW)
    assert relate(old, new) is Relation.NEWER
    assert relate(new, old) is Relation.OLDER


def test_heads_of_two_places_are_not_compared() -> None:
    with pytest.raises(LocalProtocolError):
        relate(verified(), verified(scope=bytes(32)))


@pytest.mark.parametrize(
    "changes", [{"lease": NOW}, {"lease": NOW + 22 * DAY}, {"root": b""}, {"count": -1}], ids=str
)
def test_such_a_head_cannot_be_made_here(changes: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        LAB.head(**changes)


def test_a_head_is_renewed_after_a_week() -> None:
    head = verified().value
    assert not renewal_due(head, NOW + 7 * DAY - 1)
    assert renewal_due(head, NOW + 7 * DAY)
    assert renewal_due(verified(lease=NOW + 100).value, NOW + 100)
