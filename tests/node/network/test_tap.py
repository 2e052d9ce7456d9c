"""Whatever the program writes to a socket under the tapped loop stands in the tap's files, readable."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.node.folder import Folder
from skerry.node.network.listening import address_of, bind, serving
from skerry.node.network.tap import TappedLoop, Unmask
from skerry.node.network.tls import (
    PinnedClient,
    certificate_hash,
    client_context,
    make_certificate,
    server_context,
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "node")
    folder.keys.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    folder.tls_key.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    folder.tls_certificate.write_bytes(make_certificate(key, dt.datetime.now(dt.UTC)))
    return folder


async def _talk(folder: Folder) -> None:
    """Serve one WebSocket and one file over TLS, one page without, and use all three."""

    async def gossip(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_bytes(b"frame-of-the-server" * 10)
        assert (await socket.receive_bytes()) == b"frame-of-the-client" * 10
        await socket.close()
        return socket

    async def blob(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"body-of-a-blob" * 10000)

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="answer-of-the-api")

    public, local = web.Application(), web.Application()
    public.router.add_get("/gossip", gossip)
    public.router.add_get("/blob", blob)
    local.router.add_get("/", page)
    listening, loopback = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    async with serving(public, listening, server_context(folder)), serving(local, loopback):
        pin = certificate_hash(folder.tls_certificate)
        client = PinnedClient(client_context(), pin, aiohttp.ClientTimeout(total=10))
        socket = await client.websocket(f"wss://{address_of(listening)}/gossip", 4096)
        assert (await socket.receive_bytes()) == b"frame-of-the-server" * 10
        await socket.send_bytes(b"frame-of-the-client" * 10)
        await socket.receive()
        async with client.get(f"https://{address_of(listening)}/blob") as response:
            assert len(await response.read()) == 140000
        await client.aclose()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address_of(loopback)}/") as answer,
        ):
            assert await answer.text() == "answer-of-the-api"


def test_every_sent_byte_is_recorded_before_encryption(folder: Folder, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=lambda: TappedLoop(tmp_path / "tap")) as runner:
        runner.run(_talk(folder))
    network, api = (tmp_path / "tap").read_bytes(), (tmp_path / "tap.api").read_bytes()
    assert b"frame-of-the-server" * 10 in network
    assert b"frame-of-the-client" * 10 in network  # a client masks its frames; the tap takes the mask off
    assert network.count(b"body-of-a-blob") == 10000
    assert b"GET /blob" in network  # what is dialled counts as well
    assert b"answer-of-the-api" not in network
    assert b"answer-of-the-api" in api


def test_serving_ends_though_a_connection_was_closed_twice_already(folder: Folder) -> None:
    async def dial() -> None:
        closed = asyncio.Event()

        async def page(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()
            request.transport.close()
            closed.set()
            await asyncio.sleep(60.0)
            raise AssertionError("the request was not ended")

        public, listening = web.Application(), bind("127.0.0.1", 0)
        public.router.add_get("/", page)
        with socket.create_connection(listening.getsockname()) as raw:
            async with serving(public, listening, server_context(folder)):
                client = await asyncio.to_thread(client_context().wrap_socket, raw)
                client.sendall(b"GET / HTTP/1.1\r\nHost: one\r\n\r\n")
                await closed.wait()
            client.close()

    asyncio.run(asyncio.wait_for(dial(), 30.0))


def test_another_certificate_is_refused(folder: Folder) -> None:
    async def dial() -> None:
        listening = bind("127.0.0.1", 0)
        async with serving(web.Application(), listening, server_context(folder)):
            client = PinnedClient(client_context(), b"\1" * 32, aiohttp.ClientTimeout(total=10))
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                async with client.get(f"https://{address_of(listening)}/"):
                    pass
            await client.aclose()

    asyncio.run(dial())


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    return b"\x82" + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@given(
    payloads=st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=4),
    mask=st.binary(min_size=4, max_size=4),
    piece=st.integers(1, 5000),
)
@settings(max_examples=50, deadline=None)
def test_frames_are_unmasked_wherever_writes_are_cut(payloads: list[bytes], mask: bytes, piece: int) -> None:
    recorded = bytearray()
    unmask = Unmask(recorded.extend)
    unmask(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    del recorded[:]
    wire = b"".join(_masked(payload, mask) for payload in payloads)
    for start in range(0, len(wire), piece):
        unmask(wire[start : start + piece])
    assert len(recorded) == len(wire)
    rest = bytes(recorded)
    for payload in payloads:
        _, found, rest = rest.partition(mask + payload)
        assert found


@pytest.mark.parametrize("name", ["create_datagram_endpoint", "sendfile", "start_tls", "sock_sendall"])
def test_there_is_no_way_past_the_tap(tmp_path: Path, name: str) -> None:
    async def call() -> None:
        with pytest.raises(RuntimeError, match=name):
            await getattr(asyncio.get_running_loop(), name)()

    with asyncio.Runner(loop_factory=lambda: TappedLoop(tmp_path / "tap")) as runner:
        runner.run(call())
