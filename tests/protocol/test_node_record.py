"""Node records: addresses, how the server is known, and who says so."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from skerry.protocol import (
    LocalProtocolError,
    Violation,
    host_binding,
    tagged_hash,
    verify_node_record,
)
from skerry.protocol.envelope import sign_record
from skerry.protocol.node_record import NODE_RECORD

from .world import DAY, NOW, Lab, flipped, node_key, outcome, refused, signer

LAB = Lab()
TRUST = LAB.trust
RAW = LAB.node_record().to_bytes()
RECORD = verify_node_record(RAW, TRUST, NOW).value


def forged(**changes: object) -> bytes:
    body = NODE_RECORD.encode(msgspec.structs.replace(RECORD, **changes))
    return sign_record("node", body, [LAB.node_signer]).to_bytes()


def test_a_record_names_what_its_server_is_known_by() -> None:
    assert RECORD.binding == sha256(b"certificate").digest()
    web = LAB.node_record(certificate=b"", host="Market.example")
    record = verify_node_record(web.to_bytes(), TRUST, NOW).value
    assert record.mode == "web"
    assert record.binding == host_binding("market.example") == tagged_hash("skerry/host/1", b"market.example")


def test_one_flipped_byte_is_refused() -> None:
    for position, raw in flipped(RAW):
        assert outcome(lambda data: verify_node_record(data, TRUST, NOW), raw) is not None, position


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"owner": bytes(32)}, Violation.OWNER_WRONG),
        ({"lease": NOW + 3 * DAY + 1}, Violation.LEASE_INVALID),
        ({"issued": NOW + 2 * DAY, "lease": NOW + 3 * DAY}, Violation.ISSUED_AHEAD),
        ({"issued": NOW - 3 * DAY, "lease": NOW - 2 * DAY}, Violation.LEASE_ENDED),
        ({"certificate": b""}, Violation.NODE_INVALID),
        ({"certificate": bytes(31)}, Violation.NODE_INVALID),
        ({"mode": "web", "host": ""}, Violation.NODE_INVALID),
        ({"versions": (2, 1)}, Violation.NODE_INVALID),
        ({"scope": bytes(1)}, Violation.MALFORMED),
        ({"addresses": ("a:1",) * 5}, Violation.MALFORMED),
        ({"via": (bytes(32),) * 4}, Violation.MALFORMED),
        ({"node_key": signer("stranger").public_key}, Violation.KEY_UNKNOWN),
    ],
    ids=str,
)
def test_each_rule_has_its_violation(changes: dict[str, object], violation: Violation) -> None:
    with refused(violation):
        verify_node_record(forged(**changes), TRUST, NOW)


@pytest.mark.parametrize(
    "address",
    [
        "host",
        "host:",
        ":1",
        "host:0",
        "host:01",
        "host:123456",
        "ho st:1",
        "http://a:1",
        "a:1\n",
        "[::1",
        "a@b:1",
    ],
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with refused(Violation.MALFORMED):
        verify_node_record(forged(addresses=(address,)), TRUST, NOW)


@pytest.mark.parametrize(
    "address", ["host.example:1", "192.0.2.7:8443", "[2001:db8::1]:65535", "xn--bcher-kva.example:80"]
)
def test_names_and_both_kinds_of_ip_are_addresses(address: str) -> None:
    assert verify_node_record(forged(addresses=(address,)), TRUST, NOW).value.addresses == (address,)


def test_a_mode_of_a_later_version_is_kept_but_binds_nothing() -> None:
    assert verify_node_record(forged(mode="quantum"), TRUST, NOW).value.binding == b""


def test_a_publishing_key_may_not_serve() -> None:
    trust = LAB.amended(node_keys=(node_key("Lab/node", "publish"),)).trust
    with refused(Violation.ROLE_MISSING):
        verify_node_record(RAW, trust, NOW)


def test_such_a_record_cannot_be_made_here() -> None:
    for changes in ({"certificate": b""}, {"addresses": ["nonsense"]}, {"lease": NOW + 4 * DAY}):
        with pytest.raises(LocalProtocolError):
            LAB.node_record(**changes)
