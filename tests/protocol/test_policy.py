"""A policy names every rule that a card breaks, and is left out of the bytes when it is empty."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from skerry.protocol.card import Blob
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.policy import NO_POLICY, REQUIRABLE, GroupPolicy, breaches, over_quota
from skerry.protocol.roster import ROSTER, GroupRole, Member, make_roster
from tests.protocol.world import NOW, Lab, signer

ADMIN = signer("admin")


def roster(policy: GroupPolicy) -> bytes:
    member = Member(b"o" * 32, GroupRole.ADMIN, ADMIN.public_key, b"")
    envelope = make_roster(
        [], [ADMIN], owner=b"o" * 32, issued=NOW, members=[member], name="club", policy=policy
    )
    return envelope.body


def test_every_broken_rule_is_named() -> None:
    card = replace(Lab().card(), lane="python", tags=(), package=Blob(b"p" * 32, 51))
    assert breaches(NO_POLICY, card) == []
    policy = GroupPolicy(lanes=("onnx", "skops"), required=("tags", "license"), package_bytes_max=50)
    assert breaches(policy, replace(card, license="")) == [
        "lane 'python' is not one of onnx, skops",
        "the card must have tags, license",
        "the package has 51 bytes, at most 50 may be",
    ]
    fine = replace(card, lane="onnx", tags=("heart",), license="MIT", package=Blob(b"p" * 32, 50))
    assert breaches(policy, fine) == []
    assert all(hasattr(card, field) for field in REQUIRABLE)


def test_over_a_quota_are_those_published_last() -> None:
    cards = [replace(Lab().card(f"card-{at}"), published=at) for at in (3, 1, 2)]
    assert over_quota(GroupPolicy(cards_max=2), cards) == {cards[0].id}
    assert over_quota(GroupPolicy(cards_max=2), reversed(cards)) == {cards[0].id}
    assert over_quota(NO_POLICY, cards) == set()


def test_as_many_admins_sign_as_there_are_until_there_are_enough() -> None:
    policy = GroupPolicy(signers=2, admins=3)
    assert [policy.threshold(admins) for admins in (1, 2, 3, 9)] == [1, 2, 2, 2]
    assert NO_POLICY.threshold(5) == 1


def test_an_empty_policy_leaves_the_bytes_as_they_were() -> None:
    body = roster(NO_POLICY)
    assert b"policy" not in body
    assert ROSTER.decode(body).policy == NO_POLICY
    asked = GroupPolicy(lanes=("onnx",), cards_max=3)
    assert ROSTER.decode(roster(asked)).policy == asked


def test_a_field_given_twice_does_not_take_the_policys_place() -> None:
    """A map as long as one with a policy, but with a name for each reader."""
    fields = msgspec.msgpack.decode(roster(NO_POLICY))
    twice = bytes([0x80 | (len(fields) + 1)]) + roster(NO_POLICY)[1:]
    twice += msgspec.msgpack.encode("name") + msgspec.msgpack.encode("another")
    with pytest.raises(RemoteProtocolError):
        ROSTER.decode(twice)
