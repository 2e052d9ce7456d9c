"""Chains of charters: rotation, revocation, rivals, recovery."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol import (
    FakeSigner,
    LocalProtocolError,
    OwnerTrust,
    RemoteProtocolError,
    Violation,
    new_charter,
    resolve,
    verify_chain,
    verify_head,
)
from skerry.protocol.charter import CHARTER
from skerry.protocol.envelope import sign_record
from skerry.protocol.limits import CHAIN_CHARTERS_MAX

from .world import DAY, NOW, WORK_BITS, Lab, node_key, refused, signer

LAB = Lab()
NODE = LAB.node_signer.public_key


def verified(*chain: bytes) -> OwnerTrust:
    return verify_chain(list(chain), NOW, work_bits=WORK_BITS)


def test_a_node_key_has_its_roles_within_its_times_and_a_day() -> None:
    trust = Lab("short", [charter_with(node_key("short/node", "serve", start=NOW, end=NOW + DAY))]).trust
    key = signer("short/node").public_key
    assert trust.may(key, "serve", NOW - DAY)
    assert trust.may(key, "serve", NOW + 2 * DAY)
    assert not trust.may(key, "serve", NOW - DAY - 1)
    assert not trust.may(key, "serve", NOW + 2 * DAY + 1)
    assert not trust.may(key, "publish", NOW)
    assert not trust.may(signer("stranger").public_key, "serve", NOW)


def charter_with(key: object) -> object:
    return new_charter(
        name="short",
        owner_signers=[signer("short/owner")],
        recovery_key=signer("short/recovery").public_key,
        node_keys=[key],
        issued=NOW - DAY,
        work_bits=WORK_BITS,
    )


def test_revoking_a_node_key_ends_the_heads_of_the_epoch_before() -> None:
    head = LAB.head().to_bytes()
    assert verify_head(head, LAB.trust, NOW).value.epoch == 1
    revoked = LAB.amended(node_keys=(node_key("Lab/node 2"),))
    with refused(Violation.KEY_UNKNOWN):
        verify_head(head, revoked.trust, NOW)
    kept = LAB.amended(node_keys=(node_key("Lab/node", "publish"),))
    with refused(Violation.EPOCH_OLD):
        verify_head(head, kept.trust, NOW)
    with refused(Violation.EPOCH_UNKNOWN):
        verify_head(kept.head(epoch=2).to_bytes(), LAB.trust, NOW)


@pytest.mark.parametrize("missing", range(3))
def test_every_link_of_a_chain_is_needed(missing: int) -> None:
    chain = LAB.amended(name="b").amended(name="c").amended(name="d").chain
    assert verified(*chain).charter.name == "d"
    with refused(Violation.CHAIN_BROKEN):
        verified(*chain[:missing], *chain[missing + 1 :])


def test_charters_are_signed_by_enough_owner_keys_of_the_one_before() -> None:
    keys = [signer(f"board {index}") for index in range(3)]
    first = new_charter(
        name="Board",
        owner_signers=keys,
        recovery_key=signer("board recovery").public_key,
        node_keys=[],
        issued=NOW - DAY,
        threshold=2,
        work_bits=WORK_BITS,
    )
    board = Lab("Board", [first])
    assert board.amended(keys[0], keys[2], name="Board 2").trust.charter.version == 2
    body = CHARTER.encode(
        msgspec.structs.replace(
            CHARTER.decode(first.body), version=2, previous=first.hash, issued=NOW, work=0
        )
    )
    with refused(Violation.SIGNER_WRONG):
        verified(first.to_bytes(), sign_record("charter", body, keys[:1]).to_bytes())
    with refused(Violation.SIGNER_WRONG):
        verified(first.to_bytes(), sign_record("charter", body, [*keys, signer("stranger")]).to_bytes())


def test_a_charter_from_the_future_and_a_chain_too_long_are_refused() -> None:
    late = LAB.amended(issued=NOW + DAY + 1)
    with refused(Violation.ISSUED_AHEAD):
        verified(*late.chain)
    with refused(Violation.TOO_LARGE):
        verified(*LAB.chain * (CHAIN_CHARTERS_MAX + 1))
    with refused(Violation.TOO_LARGE):
        verified()


def test_a_removal_without_a_higher_epoch_is_refused() -> None:
    before = CHARTER.decode(LAB.charters[0].body)
    sneaky = msgspec.structs.replace(before, version=2, previous=LAB.charters[0].hash, node_keys=(), work=0)
    envelope = sign_record("charter", CHARTER.encode(sneaky), [LAB.owner_signer])
    with refused(Violation.REMOVAL_WITHOUT_EPOCH):
        verified(*LAB.chain, envelope.to_bytes())


def test_a_longer_chain_replaces_a_shorter_one_and_never_the_other_way() -> None:
    longer = LAB.amended(name="renamed").trust
    assert resolve(LAB.trust, longer) == resolve(longer, LAB.trust) == longer


def test_rivals_freeze_the_owner_whatever_the_order() -> None:
    one, other = LAB.amended(name="one"), LAB.amended(name="other").amended(name="longer")
    frozen = resolve(one.trust, other.trust)
    assert frozen == resolve(other.trust, one.trust)
    assert frozen.frozen
    assert not frozen.may(NODE, "publish", NOW)
    assert frozen.charter.name == "Lab"
    assert sorted(frozen.chains) == sorted([one.chain, other.chain])
    with refused(Violation.OWNER_FROZEN):
        verify_head(LAB.head().to_bytes(), frozen, NOW)
    assert resolve(frozen, one.trust) == frozen


def test_the_recovery_key_settles_from_either_side() -> None:
    one, other = LAB.amended(name="one"), LAB.amended(name="other")
    frozen = resolve(one.trust, other.trust)
    for side in (one, other, LAB):
        settled = side.amended(side.recovery_signer, name="settled")
        trust = resolve(frozen, settled.trust)
        assert not trust.frozen
        assert trust.charter.name == "settled"
        assert resolve(settled.trust, frozen) == trust


def test_who_stole_the_owner_keys_cannot_lock_the_owner_out() -> None:
    stolen = LAB
    for step in range(5):
        stolen = stolen.amended(name=f"thief {step}")
    recovered = LAB.amended(LAB.recovery_signer, owner_keys=(signer("fresh owner").public_key,))
    trust = resolve(stolen.trust, recovered.trust)
    assert trust == recovered.trust


def test_only_the_recovery_key_replaces_the_recovery_key() -> None:
    before = CHARTER.decode(LAB.charters[0].body)
    taken = msgspec.structs.replace(
        before, version=2, previous=LAB.charters[0].hash, recovery_key=signer("thief").public_key, work=0
    )
    envelope = sign_record("charter", CHARTER.encode(taken), [LAB.owner_signer])
    with refused(Violation.CHARTER_INVALID):
        verified(*LAB.chain, envelope.to_bytes())
    moved = LAB.amended(LAB.recovery_signer, recovery_key=signer("new recovery").public_key)
    assert moved.trust.charter.recovery_key == signer("new recovery").public_key


def test_a_recovery_key_that_contradicts_itself_freezes_too() -> None:
    one = LAB.amended(LAB.recovery_signer, name="one")
    other = LAB.amended(LAB.recovery_signer, name="other")
    frozen = resolve(one.trust, other.trust)
    assert frozen.frozen
    assert not resolve(frozen, one.amended(one.recovery_signer, name="third").trust).frozen


def test_one_charter_known_with_two_signatures_counts_as_recovered() -> None:
    """The hash leaves signatures out, so the same statement may come signed by either key."""
    plain, recovered = LAB.amended(name="same"), LAB.amended(LAB.recovery_signer, name="same")
    rival = LAB.amended(name="rival")
    for order in itertools.permutations([plain.trust, recovered.trust, rival.trust]):
        trust = resolve(resolve(order[0], order[1]), order[2])
        assert not trust.frozen
        assert trust.charter.name == "same"


def test_trust_of_two_owners_is_never_joined() -> None:
    with pytest.raises(LocalProtocolError):
        resolve(LAB.trust, Lab("Other").trust)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_verdict_does_not_depend_on_the_order_of_arrival(data: st.DataObject) -> None:
    """Any tree of charters: all orders of its chains end in the same charter, or all end frozen."""
    labs = [LAB]
    for number in range(data.draw(st.integers(1, 4))):
        parent = data.draw(st.sampled_from(labs))
        key = parent.recovery_signer if data.draw(st.booleans()) else parent.owner_signer
        labs.append(parent.amended(key, name=f"n{number}", issued=NOW))
    verdicts = set()
    for order in itertools.permutations([lab.trust for lab in labs]):
        trust = order[0]
        for news in order[1:]:
            trust = resolve(trust, news)
        verdicts.add((trust.frozen, b"" if trust.frozen else trust.links[-1].verified.hash))
    assert len(verdicts) == 1


def test_a_simulation_may_use_fake_signatures_and_nobody_else() -> None:
    first = new_charter(
        name="Sim",
        owner_signers=[FakeSigner(b"owner")],
        recovery_key=FakeSigner(b"recovery").public_key,
        node_keys=[],
        issued=NOW,
        work_bits=0,
    )
    raw = first.to_bytes()
    assert verify_chain([raw], NOW, scheme=FakeSigner, work_bits=0).charter.name == "Sim"
    with pytest.raises(RemoteProtocolError):
        verify_chain([raw], NOW, work_bits=0)
