"""Bytes leave by the kernel or through TLS, at most as fast as configured, and no reader holds up another."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

import aiohttp
import pytest
import uvloop

from skerry.node.limits import BLOB_CHUNK_BYTES
from skerry.node.transfer import kernel, sending
from skerry.node.transfer.pace import UNLIMITED

from .plain import SIZE, Blob, make_blob, plain, read


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    return make_blob(tmp_path)


async def become(served: list[int], size: int) -> None:
    """Wait until the last answer counts as served; whoever read it all may know so a moment earlier."""
    for _ in range(500):
        if served[-1:] == [size]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(served)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_plain_http_is_sent_by_the_kernel_in_whole_and_in_parts(blob: Blob, loop) -> None:  # type: ignore[no-untyped-def]
    store, root, content = blob

    async def go() -> None:
        async with plain(store) as (address, served), aiohttp.ClientSession() as session:
            url = f"http://{address}/blob/{root.hex()}"
            # One connection, so that an answer too long or too short would spoil the next.
            for first, last in [(0, SIZE - 1), (5, 5), (1_000_000, 8_999_999), (SIZE - 3, SIZE - 1)]:
                async with session.get(url, headers={"Range": f"bytes={first}-{last}"}) as response:
                    assert await response.read() == content[first : last + 1]
                await become(served, last + 1 - first)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go())


async def test_a_file_that_is_cut_short_ends_the_connection(blob: Blob) -> None:
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


class Greedy:
    """Stands for a connection that takes whatever comes without making anybody wait."""

    def __init__(self) -> None:
        self.taken = 0

    async def write(self, chunk: bytes) -> None:
        self.taken += len(chunk)


async def test_a_reader_that_takes_all_at_once_leaves_turns_to_others(blob: Blob) -> None:
    store, root, _ = blob
    greedy, turns = Greedy(), list[int]()

    async def other() -> None:
        while True:
            turns.append(greedy.taken)
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    with store.path(root).open("rb") as file:
        await sending._send_by_hand(greedy, file, 0, SIZE, UNLIMITED)  # type: ignore[arg-type]
    beside.cancel()
    assert greedy.taken == SIZE
    assert len(set(turns)) > SIZE // BLOB_CHUNK_BYTES // 2


async def test_the_limit_holds_for_all_readers_together(blob: Blob) -> None:
    store, root, content = blob
    async with plain(store, limit=2 * SIZE) as (address, _):
        began = time.monotonic()
        assert await asyncio.gather(*(read(address, root) for _ in range(2))) == [content] * 2
        assert 0.5 < time.monotonic() - began < 5


async def test_a_reader_that_stops_is_given_up_and_the_others_are_served(
    blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "BLOB_WRITE_SECONDS_MAX", 0.5)
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
