"""Invites survive the mail or are told to be damaged; a redemption proves who comes, and to which node."""

from __future__ import annotations

import random

import pytest

from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.invite import Invite, make_redemption, read_invite, verify_redemption
from skerry.protocol.limits import CLOCK_TOLERANCE_SECONDS, REDEMPTION_LEASE_SECONDS
from skerry.protocol.roster import GroupRole
from skerry.protocol.signing import Signer
from skerry.protocol.violations import Violation
from tests.protocol.world import NOW, Lab

INVITE = Invite(
    addresses=("127.0.0.1:7740", "[::1]:7740"),
    certificate=b"c" * 32,
    issuer=b"i" * 32,
    group=b"g" * 32,
    name="North Sea",
    role=GroupRole.PUBLISHER,
    secret=b"s" * 32,
    expires=NOW + 3600,
    uses=3,
)


def test_an_invite_is_read_as_it_was_written_whatever_a_mail_did_to_its_lines() -> None:
    text = INVITE.to_text()
    assert text.startswith("skerry-invite-1.")
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert read_invite(text) == INVITE
    assert (
        read_invite("  " + "\n".join(text[at : at + 20] for at in range(0, len(text), 20)) + "\n") == INVITE
    )


def test_every_damage_is_noticed() -> None:
    text, rng = INVITE.to_text(), random.Random(7)
    damaged = [
        text[:-1],
        text[1:],
        text + "A",
        "",
        "skerry-invite-1.",
        "skerry-invite-2" + text[15:],
        "x" * 5000,
    ]
    for _ in range(200):
        at = rng.randrange(len("skerry-invite-1."), len(text) - 1)
        other = rng.choice("abcXYZ019-_")
        if text[at] != other:
            damaged.append(text[:at] + other + text[at + 1 :])
        damaged.append(text[:at] + text[at + 1 :])
    for item in damaged:
        with pytest.raises(RemoteProtocolError) as caught:
            read_invite(item)
        assert caught.value.violation in (Violation.MALFORMED, Violation.TOO_LARGE)


def test_a_redemption_proves_who_comes() -> None:
    lab = Lab("Cleveland")
    trust, node = lab.trust, lab.node_signer
    proof = make_redemption(node, INVITE, owner=trust.owner, admin_key=b"", issued=NOW)
    found = verify_redemption(proof.to_bytes(), trust, NOW).value
    assert (found.owner, found.scope, found.issuer) == (trust.owner, INVITE.group, INVITE.issuer)
    assert found.secret_hash == INVITE.secret_hash
    assert INVITE.secret not in proof.to_bytes()
    late = NOW + REDEMPTION_LEASE_SECONDS + CLOCK_TOLERANCE_SECONDS + 1
    for raw, now, violation in (
        (proof.to_bytes(), late, Violation.LEASE_ENDED),
        (
            make_redemption(node, INVITE, owner=b"x" * 32, admin_key=b"", issued=NOW).to_bytes(),
            NOW,
            Violation.OWNER_WRONG,
        ),
        (
            make_redemption(
                Signer.generate(), INVITE, owner=trust.owner, admin_key=b"", issued=NOW
            ).to_bytes(),
            NOW,
            Violation.KEY_UNKNOWN,
        ),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            verify_redemption(raw, trust, now)
        assert caught.value.violation is violation
