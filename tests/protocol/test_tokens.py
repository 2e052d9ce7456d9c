"""Blob tokens name who they were given to, end by themselves, and nobody else can make or change one."""

from __future__ import annotations

import random

from skerry.protocol.context import Context, StateConfig
from skerry.protocol.effects import Send
from skerry.protocol.limits import TOKEN_SECONDS
from skerry.protocol.messages import MESSAGE, Token
from skerry.protocol.owners import Owners
from skerry.protocol.peers import Peer
from skerry.protocol.score import Score
from skerry.protocol.tokens import Tokens
from tests.protocol.world import NOW, WORK_BITS, Lab, node_key, signer

LAB = Lab("Hungary")
PEER = LAB.node_signer.public_key


class Giver:
    """A node that hands out tokens."""

    def __init__(self, secret: bytes = b"s" * 32) -> None:
        config = StateConfig(token_secret=secret, work_bits=WORK_BITS)
        self.context = Context(config, signer("giver"), random.Random(1))
        self.context.set_wall(NOW)
        self.owners = Owners(self.context)
        self.owners.learn(LAB.chain)
        self.context.peers[PEER] = Peer(PEER, LAB.id, True, 0.0, Score(config.score, 0.0))
        self.member = True
        self.tokens = Tokens(self.context, self.owners, lambda _: self.member)

    def given(self) -> list[bytes]:
        sent = [effect for effect in self.context.take_effects() if isinstance(effect, Send)]
        messages = [MESSAGE.decode(effect.frame) for effect in sent]
        assert all(isinstance(message, Token) for message in messages)
        return [message.token for message in messages if isinstance(message, Token)]

    def token(self) -> bytes:
        self.tokens.give(PEER)
        (token,) = self.given()
        return token


def test_a_token_says_who_bears_it_until_it_ends() -> None:
    giver = Giver()
    token = giver.token()
    assert giver.tokens.bearer(token, NOW) == LAB.id
    assert giver.tokens.bearer(token, NOW + TOKEN_SECONDS) == LAB.id
    assert giver.tokens.bearer(token, NOW + TOKEN_SECONDS + 1) == b""


def test_nobody_else_can_make_or_change_one() -> None:
    giver = Giver()
    token = giver.token()
    for at in range(len(token)):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        assert giver.tokens.bearer(changed, NOW) == b""
    for other in (b"", token[:-1], token + b"x", bytes(104), Giver(b"t" * 32).token()):
        assert giver.tokens.bearer(other, NOW) == b""


def test_only_members_get_one_and_anew_before_it_ends() -> None:
    giver = Giver()
    giver.member = False
    giver.tokens.give(PEER)
    assert giver.given() == []
    giver.member = True
    giver.token()
    giver.tokens.tick()
    assert giver.given() == []
    giver.context.now = TOKEN_SECONDS / 2 + 1
    giver.tokens.tick()
    assert len(giver.given()) == 1
    giver.tokens.disconnected(PEER)
    giver.tokens.give(PEER)
    assert len(giver.given()) == 1


def test_a_revoked_node_key_bears_nothing() -> None:
    giver = Giver()
    token = giver.token()
    later = LAB.amended(LAB.owner_signer, node_keys=(node_key("Hungary/other"),))
    giver.owners.learn(later.chain)
    assert giver.tokens.bearer(token, NOW) == b""


def test_what_a_peer_gave_is_held_as_long_as_it_lasts() -> None:
    giver = Giver()
    giver.tokens.taken(PEER, Token(b"theirs", 10 * TOKEN_SECONDS))
    assert giver.tokens.held(PEER, 1.0) == b"theirs"
    assert giver.tokens.held(PEER, TOKEN_SECONDS + 1.0) == b""
    assert giver.tokens.held(b"x" * 32, 1.0) == b""
