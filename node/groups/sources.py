"""How a learnware's blobs are reached, with the token that its node wants for what is not public.

Theory of operation. Nodes hand out tokens on gossip connections. Where there is a connection the token is at
hand; for a card of a group whose node is not connected, that node is dialled first. Programs of this machine
fetch from the owner by themselves, with the token that this node got: it lasts for minutes and says only that
this institution asks.
"""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from skerry.node.directory import PUBLIC
from skerry.node.limits import SOURCE_POLL_SECONDS, SOURCE_READY_SECONDS_MAX

if TYPE_CHECKING:
    from collections.abc import Collection

    from skerry.node.directory import Directory
    from skerry.node.keys import Keyring
    from skerry.node.network.transport import Transport
    from skerry.node.search.index import Entry
    from skerry.protocol.api import Source
    from skerry.protocol.state import State


class Sources:
    """See the module's docstring.

    Parameters
    ----------
    keyring
        Who this node is.
    state
        Which tokens this node holds.
    directory, transport
        How nodes are reached.
    """

    def __init__(self, keyring: Keyring, state: State, directory: Directory, transport: Transport) -> None:
        self._keyring = keyring
        self._state = state
        self._directory = directory
        self._transport = transport

    async def ready(self, entry: Entry) -> list[Source]:
        """Return how to fetch what a card names; for a card of a group, with tokens.

        A node that hands out no token in time stands in the list without one.
        """
        keys = {key for _, key in entry.places}
        if any(scope != PUBLIC for scope, _ in entry.places):
            await self._gather(keys)
        return [self._with_token(source) for source in self._directory.sources(keys)]

    async def _gather(self, keys: Collection[bytes]) -> None:
        """Connect to the nodes whose tokens are missing, and wait a little for one of them.

        A node's record may come later than its card, by way of other members.
        """
        dialled: set[bytes] = set()
        for _ in range(round(SOURCE_READY_SECONDS_MAX / SOURCE_POLL_SECONDS)):
            if any(map(self._token, keys)):
                return
            for key in keys:
                record = self._state.node_records().get(key)
                if record is not None and key not in dialled and key not in self._transport.connections:
                    dialled.add(key)
                    self._transport.connect(key, record.raw)
            await asyncio.sleep(SOURCE_POLL_SECONDS)

    def _token(self, key: bytes) -> bytes:
        tokens = self._state.tokens()
        if key == self._keyring.signer.public_key:
            return tokens.for_self(self._keyring.owner, time.time())
        return tokens.held(key, time.monotonic())

    def _with_token(self, source: Source) -> Source:
        token = self._token(bytes.fromhex(source.node_key))
        return replace(source, token=token_text(token)) if token else source


def token_text(token: bytes) -> str:
    """Return a token as it stands in the header of a request."""
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode("ascii")


def token_of(header: str) -> bytes:
    """Return the token in an ``Authorization`` header; no bytes when there is none that can be read."""
    kind, _, text = header.partition(" ")
    text = text.strip()
    if kind.lower() != "bearer" or len(text) > 2 * 256:
        return b""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
