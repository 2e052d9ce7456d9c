"""Records of unknown types: kept in the standard envelope, under the rules that every record obeys."""

from __future__ import annotations

import msgpack
import pytest

from skerry.protocol import RemoteProtocolError, Violation, verify_record
from skerry.protocol.envelope import sign_record

from .world import DAY, NOW, Lab, refused, signer

LAB = Lab()
TRUST = LAB.trust


def record(*signers: object, kind: str = "endorsement", **changes: object) -> bytes:
    fields = {"owner": LAB.id, "scope": b"", "issued": NOW, "lease": NOW + DAY, "stars": 5}
    body = bytes(msgpack.packb({**fields, **changes}))
    return sign_record(kind, body, signers or [LAB.node_signer]).to_bytes()


def test_a_record_of_a_later_version_is_kept_whole() -> None:
    raw = record()
    verified = verify_record(raw, TRUST, NOW)
    assert verified.raw == raw
    assert (verified.value.owner, verified.value.lease) == (LAB.id, NOW + DAY)


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"kind": "head"}, Violation.WRONG_TYPE),
        ({"kind": "charter"}, Violation.WRONG_TYPE),
        ({"owner": bytes(32)}, Violation.OWNER_WRONG),
        ({"scope": bytes(3)}, Violation.MALFORMED),
        ({"lease": NOW + 22 * DAY}, Violation.LEASE_INVALID),
        ({"issued": NOW + 2 * DAY, "lease": NOW + 3 * DAY}, Violation.ISSUED_AHEAD),
        ({"issued": NOW - 3 * DAY, "lease": NOW - 2 * DAY}, Violation.LEASE_ENDED),
    ],
    ids=str,
)
def test_the_common_rules_hold(changes: dict[str, object], violation: Violation) -> None:
    with refused(violation):
        verify_record(record(**changes), TRUST, NOW)


def test_one_node_key_of_the_owner_signs() -> None:
    with refused(Violation.KEY_UNKNOWN):
        verify_record(record(signer("stranger")), TRUST, NOW)
    with refused(Violation.KEY_UNKNOWN):
        verify_record(record(LAB.owner_signer), TRUST, NOW)
    with pytest.raises(RemoteProtocolError):
        verify_record(record(LAB.node_signer, signer("stranger")), TRUST, NOW)
