"""Bridges: signed claims on which column is which; form and signature are checked, truth is not."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from skerry.protocol import Violation, verify_record
from skerry.protocol.bridge import BRIDGE_TYPE, Plank, make_bridge, verify_bridge
from skerry.protocol.envelope import sign_record
from skerry.protocol.errors import LocalProtocolError

from .world import DAY, NOW, Lab, refused, signer

LAB = Lab()
PLANKS = [Plank(0, 2, 1.8, 32.0, 0.9), Plank(1, 0, 1.0, 0.0, 0.4)]
ISLANDS = {"source": b"s" * 32, "target": b"t" * 32}


def made(planks: list[Plank]) -> bytes:
    return make_bridge(
        LAB.node_signer, owner=LAB.id, scope=b"", planks=planks, issued=NOW, **ISLANDS
    ).to_bytes()


def by_hand(*signers: object, **changes: Any) -> bytes:
    fields = {
        "owner": LAB.id,
        "scope": b"",
        "issued": NOW,
        "lease": NOW + DAY,
        "node_key": LAB.node_signer.public_key,
        **ISLANDS,
        "planks": [[0, 2, 1.8, 32.0, 0.9]],
    }
    body = bytes(msgpack.packb({**fields, **changes}))
    return sign_record(BRIDGE_TYPE, body, signers or [LAB.node_signer]).to_bytes()


def test_a_bridge_comes_back_as_it_was_made() -> None:
    record = verify_bridge(made(PLANKS), LAB.trust, NOW).value
    assert record.planks == tuple(PLANKS)
    assert (record.source, record.target) == tuple(ISLANDS.values())


def test_nodes_that_do_not_read_bridges_carry_them() -> None:
    assert verify_record(made(PLANKS), LAB.trust, NOW).value.owner == LAB.id


def test_one_written_elsewhere_is_read_and_unknown_fields_are_kept() -> None:
    raw = by_hand(note="by the second implementation")
    assert verify_bridge(raw, LAB.trust, NOW).raw == raw


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"planks": []}, Violation.MALFORMED),
        ({"planks": [[0, 2, 1.0, 0.0, 0.9], [0, 1, 1.0, 0.0, 0.9]]}, Violation.MALFORMED),
        ({"planks": [[0, 2, 1.0, 0.0, 0.9], [1, 2, 1.0, 0.0, 0.9]]}, Violation.MALFORMED),
        ({"planks": [[0, 2, 0.0, 0.0, 0.9]]}, Violation.MALFORMED),
        ({"planks": [[0, 2, float("nan"), 0.0, 0.9]]}, Violation.MALFORMED),
        ({"planks": [[0, 2, 1.0, float("inf"), 0.9]]}, Violation.MALFORMED),
        ({"planks": [[0, 2, 1.0, 0.0, 1.5]]}, Violation.MALFORMED),
        ({"planks": [[-1, 2, 1.0, 0.0, 0.5]]}, Violation.MALFORMED),
        ({"planks": [[n, n, 1.0, 0.0, 0.5] for n in range(257)]}, Violation.MALFORMED),
        ({"source": b"short"}, Violation.MALFORMED),
        ({"owner": bytes(32)}, Violation.OWNER_WRONG),
        ({"lease": NOW + 22 * DAY}, Violation.LEASE_INVALID),
    ],
    ids=str,
)
def test_what_breaks_a_rule_is_refused(changes: dict[str, Any], violation: Violation) -> None:
    with refused(violation):
        verify_bridge(by_hand(**changes), LAB.trust, NOW)


def test_only_the_named_node_key_signs() -> None:
    with refused(Violation.SIGNER_WRONG):
        verify_bridge(by_hand(signer("stranger")), LAB.trust, NOW)
    with refused(Violation.KEY_UNKNOWN):
        verify_bridge(by_hand(node_key=signer("stranger").public_key), LAB.trust, NOW)


def test_a_bridge_that_others_would_refuse_is_not_signed() -> None:
    with pytest.raises(LocalProtocolError, match="twice"):
        made([PLANKS[0], PLANKS[0]])
