"""A client of the gossip protocol that has an identity of its own and sends what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from skerry.node.folder import Folder
from skerry.node.keys import Keyring, initialise
from skerry.node.network.tls import PinnedClient, client_context
from skerry.protocol.card import Blob, Card, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.protocol.hello import Handshake, Identity, PeerIdentity, Role
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.messages import News
from skerry.protocol.node_record import make_node_record


class Stranger:
    """A client of the gossip protocol with an identity of its own, that sends what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.keyring: Keyring = initialise(Folder(folder), "Stranger")
        record = make_node_record(
            self.keyring.signer,
            owner=self.keyring.owner,
            seq=1,
            issued=int(time.time()),
            certificate=self.keyring.certificate,
        )
        self.identity = Identity(self.keyring.signer, self.keyring.charters, record.to_bytes())

    def say(self, bootstrap: str, *frames: bytes, spoil: Callable[[bytes], bytes] = bytes) -> None:
        """Shake hands, send the frames, and wait until the node closes or a moment has passed."""
        asyncio.run(self._say(bootstrap, frames, spoil))

    async def _say(self, bootstrap: str, frames: tuple[bytes, ...], spoil: Callable[[bytes], bytes]) -> None:
        address, _, pin = bootstrap.partition("#")
        certificate = bytes.fromhex(pin)
        client = PinnedClient(client_context(), certificate, aiohttp.ClientTimeout(total=10))
        try:
            socket = await client.websocket(f"wss://{address}/gossip", 2 * FRAME_BYTES_MAX)
            if await self._shake_hands(socket, certificate, spoil):
                # The node may close at an early one.
                with contextlib.suppress(aiohttp.ClientConnectionResetError):
                    for frame in frames:
                        await socket.send_bytes(frame)
            try:
                async with asyncio.timeout(1.0):
                    while not socket.closed:
                        await socket.receive()
            except TimeoutError:
                await socket.close()
        finally:
            await client.aclose()
            await asyncio.sleep(0.1)  # aiohttp's advice: TLS connections close a little later

    async def _shake_hands(
        self, socket: aiohttp.ClientWebSocketResponse, certificate: bytes, spoil: Callable[[bytes], bytes]
    ) -> bool:
        handshake = Handshake(
            Role.CLIENT,
            self.identity,
            network="skerry",
            binding=certificate,
            nonce=secrets.token_bytes(32),
            now=int(time.time()),
        )
        await socket.send_bytes(handshake.start())
        proof = handshake.receive(await socket.receive_bytes())
        assert isinstance(proof, bytes)
        await socket.send_bytes(spoil(proof))
        if spoil is not bytes:
            return False
        return isinstance(handshake.receive(await socket.receive_bytes()), PeerIdentity)

    def card(self, slug: str) -> Card:
        """Return a genuine card."""
        return Card(
            owner=self.keyring.owner,
            slug=slug,
            version=1,
            name="A stranger's model",
            summary="",
            data="Table",
            task="Others",
            library="Others",
            scenarios=(),
            license="MIT",
            tags=(),
            language="",
            classes=0,
            island=b"i" * 32,
            dimension=1,
            sketch_version=1,
            sketch=bytes(256),
            means=bytes(4),
            spreads=bytes(4),
            specification=Blob(b"s" * 32, 10),
            package=Blob(b"p" * 32, 10),
            lane="python",
            published=int(time.time()),
        )

    def news(self, slug: str) -> News:
        """Return genuine news of one card."""
        card = self.card(slug)
        raw = card.to_bytes()
        catalogue = Catalogue.build([Entry(card.id, card.island, card_hash(raw))])
        head = make_head(
            self.keyring.signer,
            owner=self.keyring.owner,
            epoch=1,
            seq=1,
            root=catalogue.root,
            count=catalogue.count,
            issued=int(time.time()),
        )
        return News(head.to_bytes(), 0, (raw,), ())
