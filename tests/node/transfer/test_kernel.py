"""Threads send for readers that keep up; whoever stalls, goes or may not read on holds none of them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from skerry.node.limits import DRAIN_SECONDS_MAX, SEND_THREADS_MAX
from skerry.node.transfer import kernel

from .plain import SIZE, Blob, ask, drain, make_blob, plain, read

pytestmark = pytest.mark.skipif(not kernel.AVAILABLE, reason="the system has no sendfile as used here")
STEADY_SECONDS = 0.004
"""Pause of a reader that is slow and never stalls: nine megabytes take a second or so."""


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    return make_blob(tmp_path)


def threads_sending() -> int:
    return sum(one.name.startswith("sending") for one in threading.enumerate())


async def ended(before: int) -> None:
    for _ in range(100):
        if threads_sending() == before:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{threads_sending() - before} threads have not ended")


async def test_a_thread_sends_a_large_answer_and_ends_with_the_listener(blob: Blob) -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    store, root, content = blob
    before = threads_sending()
    async with plain(store) as (address, _):
        assert await read(address, root) == content
        assert threads_sending() == before + 1
    await ended(before)


async def test_more_readers_than_threads_are_all_served(blob: Blob) -> None:
    store, root, content = blob
    async with plain(store) as (address, served):
        answers = await asyncio.gather(*(read(address, root) for _ in range(3 * SEND_THREADS_MAX)))
        assert all(answer == content for answer in answers)
        assert threads_sending() <= SEND_THREADS_MAX
    assert served == [SIZE] * 3 * SEND_THREADS_MAX


async def test_readers_that_stall_hold_up_nobody(blob: Blob) -> None:
    store, root, content = blob
    async with plain(store) as (address, served):
        stalled = [ask(address, root) for _ in range(2 * SEND_THREADS_MAX)]
        await asyncio.sleep(0.1)
        assert await read(address, root) == content
        assert served == [SIZE]
        # They go on where they stopped.
        assert all(size > SIZE for size in await asyncio.gather(*(drain(one, 0, SIZE) for one in stalled)))


async def test_who_may_have_it_no_more_is_cut_off_while_a_thread_sends(
    blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "SEND_CHECK_SECONDS", 0.05)
    store, root, _ = blob
    allowed = True
    async with plain(store, may_have=lambda _, __: allowed) as (address, served):
        reading = asyncio.create_task(drain(ask(address, root), STEADY_SECONDS))
        await asyncio.sleep(0.2)
        allowed = False
        assert 0 < await reading < SIZE
        assert served == []


async def test_a_reader_that_goes_away_costs_its_own_answer_only(blob: Blob) -> None:
    store, root, content = blob
    async with plain(store) as (address, served):
        gone = ask(address, root)
        assert await asyncio.to_thread(gone.recv, 1000)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        gone.close()
        assert await read(address, root) == content
    assert served == [SIZE]


async def test_the_listener_ends_in_time_while_a_thread_sends(tmp_path: Path) -> None:
    store, root, _ = make_blob(tmp_path, 4 * SIZE)
    before = threads_sending()
    async with plain(store) as (address, served):
        reading = asyncio.create_task(drain(ask(address, root), 5 * STEADY_SECONDS))
        await asyncio.sleep(0.2)
        assert threads_sending() == before + 1
        began = time.monotonic()
    assert time.monotonic() - began < DRAIN_SECONDS_MAX
    assert served == []
    await ended(before)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
