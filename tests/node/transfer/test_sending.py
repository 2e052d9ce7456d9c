"""Bytes leave by the kernel or through TLS, at most as fast as configured, and no reader holds up another."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web

from skerry.node.network.listening import address_of, bind, serving
from skerry.node.transfer import sending
from skerry.node.transfer.blobs_http import BlobRoutes
from skerry.node.transfer.sending import Pace
from skerry.package.blobs import BlobStore

SIZE = 9_000_001


@pytest.fixture
def blob(tmp_path: Path) -> tuple[BlobStore, bytes, bytes]:
    content = bytes(range(251)) * (SIZE // 251) + b"x" * (SIZE % 251)
    store = BlobStore(tmp_path / "blobs")
    return store, store.put_bytes(content).root, content


@asynccontextmanager
async def plain(store: BlobStore, limit: int = 0) -> AsyncIterator[tuple[str, list[int]]]:
    served: list[int] = []
    application = web.Application()
    BlobRoutes(store, lambda *_: True, limit, lambda _, __, size: served.append(size)).add_to(application)
    listening = bind("127.0.0.1", 0)
    async with serving(application, listening):
        yield address_of(listening), served


async def read(address: str, root: bytes, span: str = "") -> bytes:
    headers = {"Range": span} if span else {}
    url = f"http://{address}/blob/{root.hex()}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return await response.read()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_plain_http_is_sent_by_the_kernel_in_whole_and_in_parts(
    blob: tuple[BlobStore, bytes, bytes], loop
) -> None:  # type: ignore[no-untyped-def]
    store, root, content = blob

    async def go() -> None:
        async with plain(store) as (address, served), aiohttp.ClientSession() as session:
            url = f"http://{address}/blob/{root.hex()}"
            # One connection, so that an answer too long or too short would spoil the next.
            for first, last in [(0, SIZE - 1), (5, 5), (1_000_000, 8_999_999), (SIZE - 3, SIZE - 1)]:
                async with session.get(url, headers={"Range": f"bytes={first}-{last}"}) as response:
                    assert await response.read() == content[first : last + 1]
                    assert served[-1] == last + 1 - first

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go())


async def test_a_file_that_is_cut_short_ends_the_connection(blob: tuple[BlobStore, bytes, bytes]) -> None:
    store, root, _ = blob
    async with (
        plain(store) as (address, served),
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/blob/{root.hex()}") as response,
    ):
        os.truncate(store.path(root), SIZE // 2)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert served == [] or served[-1] < SIZE


async def test_the_limit_holds_for_all_readers_together(blob: tuple[BlobStore, bytes, bytes]) -> None:
    store, root, content = blob
    async with plain(store, limit=2 * SIZE) as (address, _):
        began = time.monotonic()
        assert await asyncio.gather(*(read(address, root) for _ in range(2))) == [content] * 2
        assert 0.5 < time.monotonic() - began < 5


def test_a_pace_allows_its_rate_and_saves_up_little() -> None:
    now = 0.0
    pace = Pace(100, lambda: now)
    assert pace.delay(50) == pytest.approx(0.5)
    now = 10.0
    assert pace.delay(10) == 0.0
    assert pace.delay(100) == pytest.approx(1.0)
    assert Pace(0).delay(10**12) == 0.0


async def test_a_reader_that_stops_is_given_up_and_the_others_are_served(
    blob: tuple[BlobStore, bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BLOB_WRITE_SECONDS_MAX", 0.5)
    store, root, content = blob
    async with plain(store) as (address, _):
        host, port = address.split(":")
        stuck = socket.create_connection((host, int(port)))
        stuck.sendall(f"GET /blob/{root.hex()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.1)
        assert await read(address, root) == content
        stuck.settimeout(0.0)
        await asyncio.sleep(0.8)
        stuck.setblocking(True)
        stuck.settimeout(5)
        received = 0
        while chunk := stuck.recv(1 << 20):
            received += len(chunk)
        assert received < SIZE
        stuck.close()
