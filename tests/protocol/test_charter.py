"""What one charter, and one after another, must fulfil."""

from __future__ import annotations

import time

import msgspec
import pytest

from skerry.protocol import LocalProtocolError, NodeKey, Violation, new_charter, owner_id, verify_chain
from skerry.protocol.charter import CHARTER, Charter, check_charter, check_work, takes_away
from skerry.protocol.limits import WORK_BITS

from .world import DAY, NOW, Lab, flipped, node_key, outcome, refused, signer
from .world import WORK_BITS as FEW_BITS

LAB = Lab()
FIRST = CHARTER.decode(LAB.charters[0].body)


def changed(**changes: object) -> Charter:
    return msgspec.structs.replace(FIRST, **changes)


def test_the_owners_id_is_the_hash_of_the_first_charter_for_ever() -> None:
    rotated = LAB.amended(owner_keys=(signer("new owner").public_key,))
    assert rotated.id == LAB.id == owner_id(LAB.charters[0].body)
    assert rotated.trust.charter.owner_keys == (signer("new owner").public_key,)


def test_the_real_proof_of_work_is_found_in_seconds_and_checked() -> None:
    start = time.perf_counter()
    envelope = new_charter(
        name="Lab",
        owner_signers=[signer("owner")],
        recovery_key=signer("recovery").public_key,
        node_keys=[node_key("node")],
        issued=NOW,
    )
    assert time.perf_counter() - start < 60
    check_work(envelope.body)
    assert verify_chain([envelope.to_bytes()], NOW).charter.name == "Lab"
    with refused(Violation.WORK_MISSING):
        check_work(envelope.body, WORK_BITS + 30)


def test_a_chain_without_work_is_refused() -> None:
    with refused(Violation.WORK_MISSING):
        verify_chain(LAB.chain, NOW, work_bits=FEW_BITS + 40)


@pytest.mark.parametrize(
    "changes",
    [
        {"owner_keys": (FIRST.owner_keys[0], FIRST.owner_keys[0])},
        {"recovery_key": FIRST.owner_keys[0]},
        {"node_keys": (NodeKey(FIRST.recovery_key, ("serve",), 1, 2),)},
        {"node_keys": (NodeKey(bytes(32), ("serve",), 2, 2),)},
        {"threshold": 2},
        {"previous": bytes(32)},
        {"previous": bytes(31), "version": 2},
        {"version": 2},
    ],
    ids=str,
)
def test_a_charter_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with refused(Violation.CHARTER_INVALID):
        check_charter(changed(**changes))


def test_such_a_charter_cannot_be_made_here_either() -> None:
    with pytest.raises(LocalProtocolError):
        new_charter(
            name="Lab",
            owner_signers=[signer("owner")],
            recovery_key=signer("owner").public_key,
            node_keys=[],
            issued=NOW,
            work_bits=0,
        )
    with pytest.raises(LocalProtocolError, match="recovery key"):
        LAB.amended(recovery_key=signer("thief").public_key)
    with pytest.raises(LocalProtocolError):
        LAB.amended(signer("nobody"))
    with pytest.raises(LocalProtocolError):
        LAB.amended(issued=NOW - 2 * DAY)
    with pytest.raises(LocalProtocolError):
        LAB.amended(name="x" * 81)


@pytest.mark.parametrize(
    ("after", "loses"),
    [
        (node_key("Lab/node"), False),
        (node_key("Lab/node", "publish", "serve", "archive"), False),
        (node_key("Lab/node", end=NOW + 900 * DAY), False),
        (node_key("Lab/node", "serve"), True),
        (node_key("Lab/node", end=NOW + DAY), True),
        (node_key("Lab/node", start=NOW), True),
        (node_key("another node"), True),
    ],
)
def test_whatever_a_node_key_loses_takes_a_higher_epoch(after: NodeKey, *, loses: bool) -> None:
    assert takes_away(FIRST, changed(node_keys=(after,))) is loses
    assert LAB.amended(node_keys=(after,)).trust.charter.epoch == (2 if loses else 1)


def test_more_keys_need_no_higher_epoch() -> None:
    more = (*FIRST.node_keys, node_key("second node", "serve"))
    assert LAB.amended(node_keys=more).trust.charter.epoch == 1


def test_one_flipped_byte_is_refused() -> None:
    chain = LAB.amended(name="second").chain
    for number in range(2):

        def read(raw: bytes, number: int = number) -> None:
            verify_chain([*chain[:number], raw, *chain[number + 1 :]], NOW, work_bits=FEW_BITS)

        assert outcome(read, chain[number]) is None
        for position, raw in flipped(chain[number]):
            assert outcome(read, raw) is not None, position
