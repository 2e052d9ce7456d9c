"""A peer that proved who it is and then sends what it must not: named, survived, and nothing of it kept."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from skerry.node.folder import Folder
from skerry.node.keys import Keyring, initialise
from skerry.node.network.tls import PinnedClient, client_context
from skerry.protocol.card import Blob, Card, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.protocol.hello import Handshake, Identity, PeerIdentity, Role
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.messages import MESSAGE, News
from skerry.protocol.node_record import make_node_record
from tests.node.processes import NodeProcess, eventually, nodes

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


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

    def news(self, slug: str) -> News:
        """Return genuine news of one card."""
        card = Card(
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


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        yield node
        assert node.process is not None
        assert node.process.poll() is None, node.said()
        assert "Traceback" not in node.said()


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_genuine_news_is_taken(node: NodeProcess, tmp_path: Path) -> None:
    """The control: what the tests below spoil would have been accepted."""
    stranger = Stranger(tmp_path / "stranger")
    stranger.say(node.bootstrap, MESSAGE.encode(stranger.news("model")))
    eventually("the card is shown", lambda: node.status().cards == 1)


@pytest.mark.parametrize("seed", [7])
def test_one_flipped_byte_in_news_is_refused_and_nothing_kept(
    node: NodeProcess, tmp_path: Path, seed: int
) -> None:
    stranger = Stranger(tmp_path / "stranger")
    envelope = stranger.news("model").envelope
    rng = random.Random(seed)
    signature = range(len(envelope) - 64, len(envelope))
    for at in [*rng.sample(range(len(envelope)), 4), *rng.sample(signature, 2)]:
        news = stranger.news("model")
        spoilt = News(_flip(news.envelope, at), news.since, news.cards, news.removed)
        stranger.say(node.bootstrap, MESSAGE.encode(spoilt))
    eventually("it is named", lambda: node.said().count("violation=signature-invalid") >= 2)
    card = stranger.news("model").cards[0]
    for at in sorted(rng.sample(range(len(card)), 2)):
        news = stranger.news("model")
        stranger.say(node.bootstrap, MESSAGE.encode(News(news.envelope, 0, (_flip(card, at),), ())))
    assert node.status().cards == 0
    assert node.search(text="stranger").hits == []


def test_garbage_frames_are_named_and_survived(node: NodeProcess, tmp_path: Path) -> None:
    stranger = Stranger(tmp_path / "stranger")
    frames = [os.urandom(size) for size in (1, 10, 1000, FRAME_BYTES_MAX)]
    stranger.say(node.bootstrap, *frames)
    eventually("it is named", lambda: "violation=malformed" in node.said())
    stranger.say(node.bootstrap, bytes(FRAME_BYTES_MAX + 2))
    eventually("the oversized frame ends the connection", lambda: node.status().peers_connected == 0)
    assert node.status().cards == 0


def test_a_spoilt_proof_is_refused_by_name(node: NodeProcess, tmp_path: Path) -> None:
    stranger = Stranger(tmp_path / "stranger")
    stranger.say(node.bootstrap, spoil=lambda proof: _flip(proof, len(proof) - 1))
    stranger.say(node.bootstrap, spoil=lambda proof: proof[:-1])
    eventually("the first is named", lambda: "violation=signature-invalid" in node.said())
    eventually("the second is named", lambda: "violation=malformed" in node.said())
    assert node.said().count("handshake refused") == 2
    assert node.status().peers_known == 0
