"""Blob tokens: how a request over plain HTTPS is told to come from a member.

Theory of operation. TLS authenticates the server alone, and blobs travel over connections of their own. So
who proved membership on a gossip connection is handed a token there, and sends it with every request. The
token says which node key of which owner it was given to and until when, under a MAC of the node that gave it:
nothing is kept of it, and a restart ends all of them. What the bearer may have is looked up at every request,
by the newest roster and the newest charters.

Rules of this file:

1. A token goes to peers alone with whom a group's scope is open; all others never learn that there are any.
2. It is given anew well before it ends, for as long as a scope is open.
3. Tokens are not drawn from the state's generator, whose draws others see: the secret comes from the system.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from .charter import ROLE_SERVE
from .context import Context
from .limits import TOKEN_SECONDS
from .messages import Token
from .owners import Owners

TIME_BYTES: Final = 8
ID_BYTES: Final = 32
MAC_BYTES: Final = 32


class Tokens:
    """The tokens given to peers, and those that peers gave.

    Parameters
    ----------
    context, owners
        Shared with the other parts of the state.
    wanted
        Returns whether a peer is to have one: whether a group's scope is open with it.
    """

    def __init__(self, context: Context, owners: Owners, wanted: Callable[[bytes], bool]) -> None:
        self._context = context
        self._owners = owners
        self._wanted = wanted
        self._given: dict[bytes, float] = {}
        self._held: dict[bytes, tuple[bytes, float]] = {}

    def give(self, peer: bytes) -> None:
        """Give a peer a token, unless it has one that lasts."""
        context = self._context
        if not self._wanted(peer) or self._given.get(peer, 0.0) > context.now:
            return
        self._given[peer] = context.now + TOKEN_SECONDS / 2
        token = self._made(peer, context.peers[peer].owner, context.wall + TOKEN_SECONDS)
        context.send(peer, Token(token, TOKEN_SECONDS))

    def tick(self) -> None:
        """Give new tokens where the old ones end."""
        for peer in self._context.peers:
            self.give(peer)

    def taken(self, peer: bytes, message: Token) -> None:
        """Keep the token that a peer gave."""
        if self._context.pays(peer, 1):
            seconds = min(message.seconds, TOKEN_SECONDS)
            self._held[peer] = (message.token, self._context.now + seconds)

    def disconnected(self, peer: bytes) -> None:
        """Note that the next connection begins anew; what the peer gave lasts."""
        self._given.pop(peer, None)
        for key, (_, until) in list(self._held.items()):
            if until < self._context.now:
                del self._held[key]

    def held(self, peer: bytes, now: float) -> bytes:
        """Return the token that a peer gave, or no bytes when there is none that counts at `now`."""
        token, until = self._held.get(peer, (b"", 0.0))
        return token if until > now else b""

    def for_self(self, owner: bytes, wall: float) -> bytes:
        """Return a token by which programs of this node's own people fetch from it."""
        return self._made(self._context.key, owner, int(wall) + TOKEN_SECONDS)

    def bearer(self, token: bytes, wall: float) -> bytes:
        """Return the owner that a token was given to; no bytes when it does not count.

        Parameters
        ----------
        token
            As it came with a request.
        wall
            Wall clock, seconds since 1970 UTC.
        """
        peer, owner = token[:ID_BYTES], token[ID_BYTES : 2 * ID_BYTES]
        until = int.from_bytes(token[2 * ID_BYTES : 2 * ID_BYTES + TIME_BYTES], "big")
        genuine = hmac.compare_digest(self._made(peer, owner, until), token)
        trust = self._owners.get(owner)
        if not genuine or until < wall or trust is None or not trust.may(peer, ROLE_SERVE, int(wall)):
            return b""
        return owner

    def _made(self, peer: bytes, owner: bytes, until: int) -> bytes:
        said = peer + owner + until.to_bytes(TIME_BYTES, "big")
        return said + hmac.new(self._context.config.token_secret, b"skerry/token/1\0" + said, sha256).digest()
