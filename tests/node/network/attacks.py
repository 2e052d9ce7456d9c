"""Attacks on one node, each a process of its own: ``python -m tests.node.network.attacks NAME ...``.

An attack goes on for as long as it has something to send and prints what it achieved as one JSON object. It
uses an identity of its own, paid for with the proof of work that every identity costs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import socket as sockets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from skerry.node.network.tls import PinnedClient, client_context
from skerry.protocol.card import CARD, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.head import make_head
from skerry.protocol.hello import Handshake, Identity, PeerIdentity, Role
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.messages import MESSAGE, Cards, Digest, Hello, News, Tree
from tests.node.network.stranger import Stranger

Outcome = dict[str, int]
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, TypeError, AssertionError)
"""What an attacker sees when it is shown the door."""
CARDS_A_HEAD = 24


class Attacker(Stranger):
    """A stranger that keeps connections open for long."""

    def __init__(self, folder: Path, bootstrap: str, count: int) -> None:
        super().__init__(folder)
        self.address, _, pin = bootstrap.partition("#")
        self.certificate = bytes.fromhex(pin)
        self.count = count
        self.rng = random.Random(7)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket, without a handshake."""
        client = PinnedClient(client_context(), self.certificate, aiohttp.ClientTimeout(total=20))
        try:
            yield await client.websocket(f"wss://{self.address}/gossip", 2 * FRAME_BYTES_MAX)
        finally:
            await client.aclose()

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a connection whose handshake is over."""
        async with self.socket() as socket:
            assert await self._shake_hands(socket, self.certificate, bytes)
            yield socket

    def handshake(self, identity: Identity | None = None, binding: bytes = b"") -> Handshake:
        """Begin a handshake, as who we are or as somebody else."""
        return Handshake(
            Role.CLIENT,
            identity or self.identity,
            network="skerry",
            binding=binding or self.certificate,
            nonce=secrets.token_bytes(32),
            now=int(time.time()),
        )

    async def refused(self, *frames: bytes) -> bool:
        """Send frames on a new connection; return whether the node closes it without a proof of success."""
        async with self.socket() as socket:
            for frame in frames:
                await socket.send_bytes(frame)
            return await _closed(socket)

    # The attacks.

    async def malformed(self) -> Outcome:
        """Send frames of noise, and messages with one byte changed, as a peer that proved who it is."""
        samples = [MESSAGE.encode(self.news("model")), MESSAGE.encode(Digest(b"", 3, bytes(32)))]
        sent = connections = 0
        while sent < self.count:
            connections += 1
            with contextlib.suppress(*FAILURES):
                async with self.peer() as socket:
                    while sent < self.count and not socket.closed:
                        await socket.send_bytes(self._spoilt(samples))
                        sent += 1
                        await asyncio.sleep(0)
        return {"frames": sent, "connections": connections}

    def _spoilt(self, samples: list[bytes]) -> bytes:
        if self.rng.random() < 0.5:
            return self.rng.randbytes(self.rng.randrange(1, 2000))
        frame = bytearray(self.rng.choice(samples))
        frame[self.rng.randrange(len(frame))] ^= 1 << self.rng.randrange(8)
        return bytes(frame)

    async def half_open(self) -> Outcome:
        """Hold connections whose handshake stops: after TCP, after TLS, after the first message."""
        open_now: list[sockets.socket] = []
        host, _, port = self.address.rpartition(":")
        for _ in range(self.count // 2):
            with contextlib.suppress(OSError):
                open_now.append(sockets.create_connection((host, int(port)), 5))

        async def stop_half_way(number: int) -> bool:
            with contextlib.suppress(*FAILURES):
                async with self.socket() as socket:
                    if number % 2:
                        await socket.send_bytes(self.handshake().start())
                    await asyncio.sleep(8)
                    return True
            return False

        held = await asyncio.gather(*(stop_half_way(number) for number in range(self.count // 2)))
        for one in open_now:
            one.close()
        return {"tcp": len(open_now), "held": sum(held), "refused": held.count(False)}

    async def wrong_certificate(self) -> Outcome:
        """Prove oneself for another server's certificate: what a man in the middle would pass on."""
        refused = 0
        for _ in range(self.count):
            handshake = self.handshake(binding=os.urandom(32))
            refused += await self._refused_handshake(handshake)
        return {"tried": self.count, "refused": refused}

    async def stolen_record(self) -> Outcome:
        """Show the node's own charters and record, with a key of one's own."""
        refused = 0
        for _ in range(self.count):
            theirs = await self._identity_of_the_node()
            stolen = Identity(self.keyring.signer, theirs.charters, theirs.node.raw)
            refused += await self._refused_handshake(self.handshake(stolen))
        return {"tried": self.count, "refused": refused}

    async def replay(self) -> Outcome:
        """Send a greeting and a proof once more that held on another connection."""
        handshake = self.handshake()
        async with self.socket() as socket:
            first = handshake.start()
            await socket.send_bytes(first)
            proof = handshake.receive(await socket.receive_bytes())
            assert isinstance(proof, bytes)
            await socket.send_bytes(proof)
            assert isinstance(handshake.receive(await socket.receive_bytes()), PeerIdentity)
        refused = 0
        for _ in range(self.count):
            refused += await self.refused(first, proof)
        return {"tried": self.count, "refused": refused}

    async def versions(self) -> Outcome:
        """Offer versions that make no sense, or that nobody speaks."""
        refused = 0
        pairs = ((9, 3), (7, 9), (0, 0), (65536, 65536))
        for number in range(self.count):
            hello = MESSAGE.encode(Hello(pairs[number % len(pairs)], "skerry", secrets.token_bytes(32)))
            refused += await self.refused(hello)
        return {"tried": self.count, "refused": refused}

    async def flood(self) -> Outcome:
        """Publish valid cards as fast as they can be signed: a head for every two dozen."""
        sent = 0
        async with self.peer() as socket:
            entries: list[Entry] = []
            for seq in range(1, self.count // CARDS_A_HEAD + 1):
                cards = tuple(self.card(f"flood-{seq}-{item}").to_bytes() for item in range(CARDS_A_HEAD))
                entries += [self.entry(raw) for raw in cards]
                catalogue = Catalogue.build(entries)
                if socket.closed:
                    break
                head = self.head(seq, catalogue.root, catalogue.count)
                await socket.send_bytes(MESSAGE.encode(News(head, seq - 1, cards, ())))
                sent += len(cards)
        return {"cards": sent}

    async def giants(self) -> Outcome:
        """Claim catalogues of a million million cards, and answer every request for them with nonsense."""
        claimed = asked = 0
        while claimed < self.count:
            with contextlib.suppress(*FAILURES):
                async with self.peer() as socket:
                    while claimed < self.count:
                        claimed += 1
                        head = self.head(int(time.time() * 1000) + claimed, os.urandom(32), 10**12)
                        await socket.send_bytes(MESSAGE.encode(News(head, 0, (), ())))
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(0.05):
                                asked += await self._answer_nonsense(socket)
        return {"claimed": claimed, "asked": asked}

    async def ranges(self) -> Outcome:
        """Ask for blobs that are not there, for ranges past the end, and for files that are no blobs."""
        headers = ("bytes=99999999999999999999-", "bytes=5-1", "bytes=-0", "bytes=0-1,5-6", "lines=1-2")
        paths = (
            "/blob/" + "00" * 32,
            "/blob/../../etc/passwd",
            "/blob/%2e%2e%2fapi.json",
            "/blob/" + "A" * 4000,
        )
        client = PinnedClient(client_context(), self.certificate, aiohttp.ClientTimeout(total=20))
        refused = 0
        try:
            for number in range(self.count):
                url = f"https://{self.address}{paths[number % len(paths)]}"
                async with client.get(url, {"Range": headers[number % len(headers)]}) as response:
                    refused += response.status >= 400
        finally:
            await client.aclose()
        return {"tried": self.count, "refused": refused}

    # Their parts.

    async def _answer_nonsense(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        message = MESSAGE.decode(await socket.receive_bytes())
        head = getattr(message, "head", b"h" * 32)
        await socket.send_bytes(MESSAGE.encode(Tree(head, b"", 1, 0, 20, (os.urandom(40),) * 16, ())))
        await socket.send_bytes(MESSAGE.encode(Cards(head, (os.urandom(1000),) * 30)))
        return 1

    async def _refused_handshake(self, handshake: Handshake) -> bool:
        async with self.socket() as socket:
            await socket.send_bytes(handshake.start())
            proof = handshake.receive(await socket.receive_bytes())
            assert isinstance(proof, bytes)
            await socket.send_bytes(proof)
            return await _closed(socket)

    async def _identity_of_the_node(self) -> PeerIdentity:
        handshake = self.handshake()
        async with self.socket() as socket:
            await socket.send_bytes(handshake.start())
            proof = handshake.receive(await socket.receive_bytes())
            assert isinstance(proof, bytes)
            await socket.send_bytes(proof)
            identity = handshake.receive(await socket.receive_bytes())
            assert isinstance(identity, PeerIdentity)
            return identity

    def entry(self, raw: bytes) -> Entry:
        """Return the catalogue entry of a card."""
        card = CARD.decode(raw)
        return Entry(card.id, card.island, card_hash(raw))

    def head(self, seq: int, root: bytes, count: int) -> bytes:
        """Return a signed head."""
        return make_head(
            self.keyring.signer,
            owner=self.keyring.owner,
            epoch=1,
            seq=seq,
            root=root,
            count=count,
            issued=int(time.time()),
        ).to_bytes()


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Return whether the node ends the connection soon; what it says until then does not matter."""
    try:
        async with asyncio.timeout(5):
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    return True
    except TimeoutError:
        return False


ATTACKS: dict[str, int] = {
    "malformed": 10_000,
    "half_open": 1_000,
    "wrong_certificate": 20,
    "stolen_record": 10,
    "replay": 20,
    "versions": 20,
    "flood": 4_800,
    "giants": 200,
    "ranges": 400,
}
"""Each attack with how often it strikes."""


def main() -> None:
    """Carry out one attack."""
    parser = argparse.ArgumentParser(description="Attack a node.")
    parser.add_argument("attack", choices=sorted(ATTACKS))
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=0)
    options = parser.parse_args()
    attacker = Attacker(options.folder, options.bootstrap, options.count or ATTACKS[options.attack])
    attack: Callable[[], Awaitable[Outcome]] = getattr(attacker, options.attack)

    async def run() -> Outcome:
        return await attack()

    print(json.dumps(asyncio.run(run())))


if __name__ == "__main__":
    main()
