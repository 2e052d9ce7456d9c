"""Connections: one for a peer, frames in order, an end for whoever does not read or does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from skerry.errors import Unavailable
from skerry.node.api.problems import problems
from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.node.network.listening import address_of, bind, serving
from skerry.node.network.tls import PinnedClient, client_context, server_context
from skerry.node.network.transport import Transport
from skerry.protocol import events
from skerry.protocol.events import Event
from skerry.protocol.hello import Handshake, Identity, Role
from skerry.protocol.node_record import make_node_record
from tests.node.processes import nodes


class Driver:
    """Notes what the transport tells, and takes frames as slowly as the test wants."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reading = asyncio.Event()
        self.reading.set()

    def post(self, event: Event) -> None:
        self.events.append(event)

    async def receive(self, peer: bytes, frame: bytes) -> None:
        await self.reading.wait()
        self.events.append(events.Received(peer, frame))

    def frames(self) -> list[bytes]:
        return [event.frame for event in self.events if isinstance(event, events.Received)]

    def ups_and_downs(self) -> list[str]:
        kinds = (events.Connected, events.Disconnected)
        return [type(event).__name__ for event in self.events if isinstance(event, kinds)]


class Peer:
    """One side: keys, a listener and a transport."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder)
        self.keyring = initialise(self.folder, folder.name)
        self.key = self.keyring.signer.public_key
        self.driver = Driver()
        self.listening = bind("127.0.0.1", 0)
        record = make_node_record(
            self.keyring.signer,
            owner=self.keyring.owner,
            seq=1,
            issued=int(time.time()),
            addresses=[address_of(self.listening)],
            certificate=self.keyring.certificate,
        )
        self.record = record.to_bytes()
        self.transport = Transport(
            self.driver,  # type: ignore[arg-type]
            self._handshake,
            binding=self.keyring.certificate,
            node_key=self.key,
        )

    @property
    def bootstrap(self) -> str:
        return f"{address_of(self.listening)}#{self.keyring.certificate.hex()}"

    def _handshake(self, role: Role, binding: bytes) -> Handshake:
        return Handshake(
            role,
            Identity(self.keyring.signer, self.keyring.charters, self.record),
            network="test",
            binding=binding,
            nonce=secrets.token_bytes(32),
            now=int(time.time()),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Peer]:
        application = web.Application(middlewares=[problems])
        self.transport.add_to(application)
        async with serving(application, self.listening, server_context(self.folder)):
            yield self
            await self.transport.close()


@asynccontextmanager
async def peers(folder: Path, count: int = 2) -> AsyncIterator[list[Peer]]:
    async with AsyncExitStack() as stack:
        made = [Peer(folder / f"peer-{number}") for number in range(count)]
        yield [await stack.enter_async_context(peer.running()) for peer in made]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition has no event to wait for
            await asyncio.sleep(0.01)


async def test_frames_go_both_ways_in_order_and_before_the_end(tmp_path: Path) -> None:
    async with peers(tmp_path) as (first, second):
        first.transport.connect(second.key, second.record)
        await until(lambda: bool(second.transport.connections) and bool(first.transport.connections))
        sent = [bytes([number]) * 1000 for number in range(100)]
        for frame in sent:
            first.transport.send(second.key, frame)
        second.transport.send(first.key, b"back")
        await until(lambda: first.driver.frames() == [b"back"])
        first.transport.disconnect(second.key, "enough")
        await until(lambda: second.driver.ups_and_downs() == ["Connected", "Disconnected"])
        assert second.driver.frames() == sent
        await until(lambda: first.driver.ups_and_downs() == ["Connected", "Disconnected"])
        up = next(event for event in first.driver.events if isinstance(event, events.Connected))
        assert (up.peer, up.record, up.outbound) == (second.key, second.record, True)


async def test_of_two_crossing_dials_one_connection_stays(tmp_path: Path) -> None:
    async with peers(tmp_path) as (first, second):
        smaller = min((first, second), key=lambda peer: peer.key)
        for _ in range(5):
            first.transport.connect(second.key, second.record)
            second.transport.connect(first.bootstrap, b"")
            await until(lambda: bool(first.transport.connections) and bool(second.transport.connections))
            await asyncio.sleep(0.2)
            assert smaller.transport.connections
            (one,), (other,) = (peer.transport.connections.values() for peer in (first, second))
            assert one.outbound != other.outbound
            first.transport.send(second.key, b"still here")
            await until(lambda: b"still here" in second.driver.frames())
            first.transport.disconnect(second.key, "again")
            await until(lambda: not first.transport.connections and not second.transport.connections)
            for peer in (first, second):
                told = peer.driver.ups_and_downs()
                assert told == ["Connected", "Disconnected"] * (len(told) // 2)
                peer.driver.events.clear()


async def test_a_peer_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with peers(tmp_path) as (first, second):
        first.transport.connect(second.key, second.record)
        await until(lambda: bool(second.transport.connections) and bool(first.transport.connections))
        second.driver.reading.clear()
        frames = 0
        while first.transport.connections and frames < 20_000:
            first.transport.send(second.key, bytes(60_000))
            frames += 1
            await asyncio.sleep(0)
        assert frames < 20_000
        assert first.driver.ups_and_downs() == ["Connected", "Disconnected"]
        second.driver.reading.set()


async def test_dials_that_come_to_nothing_say_so(tmp_path: Path) -> None:
    async with peers(tmp_path, 3) as (first, second, third):
        first.transport.connect(third.key, second.record)  # another node answers there
        first.transport.connect(first.bootstrap, b"")  # itself
        first.transport.connect(f"127.0.0.1:1#{'ab' * 32}", b"")
        await until(lambda: len(first.driver.events) == 3)
        assert {type(event) for event in first.driver.events} == {events.ConnectFailed}
        targets = {event.target for event in first.driver.events}  # type: ignore[union-attr]
        assert targets == {third.key, first.bootstrap, f"127.0.0.1:1#{'ab' * 32}"}
        with pytest.raises(Unavailable) as caught:
            await first.transport.dial(f"{address_of(second.listening)}#{'ab' * 32}")
        assert "another certificate" in caught.value.why
        await first.transport.dial(second.bootstrap)
        assert list(first.transport.connections) == [second.key]


async def test_a_handshake_that_stops_half_way_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.node.network.transport.HANDSHAKE_SECONDS_MAX", 2.0)
    monkeypatch.setattr("skerry.node.network.transport.INBOUND_HANDSHAKES_MAX", 3)
    async with peers(tmp_path, 2) as (first, second):
        pin = first.keyring.certificate
        client = PinnedClient(client_context(), pin, aiohttp.ClientTimeout(total=10))
        url = f"wss://{address_of(first.listening)}/gossip"
        silent = [await client.websocket(url, 4096) for _ in range(3)]
        with pytest.raises(Unavailable, match="503"):
            await second.transport.dial(first.bootstrap)
        for socket in silent:
            assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY  # its greeting
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        await second.transport.dial(first.bootstrap)
        assert first.driver.ups_and_downs() == ["Connected"]
        for socket in silent:
            await socket.close()
        await client.aclose()


@pytest.mark.processes
def test_a_node_ends_cleanly_while_others_keep_knocking(tmp_path: Path) -> None:
    """Handshakes under way at the end, and some that never go on, leave no traceback behind."""
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        host, _, port = node.bootstrap.partition("#")[0].rpartition(":")
        silent = [socket.create_connection((host, int(port)), 5) for _ in range(5)]
        ended = threading.Event()

        def knock() -> None:
            context = client_context()
            while not ended.is_set():
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection((host, int(port)), 5) as raw,
                    context.wrap_socket(raw),
                ):
                    time.sleep(0.001)

        knockers = [threading.Thread(target=knock) for _ in range(4)]
        for knocker in knockers:
            knocker.start()
        time.sleep(0.5)
        code = node.stop()
        ended.set()
        for knocker in knockers:
            knocker.join()
        for one in silent:
            one.close()
        assert (code, "Traceback" in node.said()) == (0, False), node.said()
