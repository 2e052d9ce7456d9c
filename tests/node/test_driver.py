"""The driver keeps the one order that matters: what is stored is on the disk before anything later leaves."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import Refused, StorageError
from skerry.node.driver import Driver
from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.node.limits import HANDLING_SECONDS_MAX, STORE_BEHIND_MAX
from skerry.node.storage.store import Store
from skerry.protocol import effects, events
from skerry.protocol.context import StateConfig
from skerry.protocol.effects import Effect
from skerry.protocol.events import Event, Timer, TimerKind
from skerry.protocol.snapshot import Snapshot
from skerry.protocol.state import State

PEER = b"p" * 32


class Script:
    """A state machine that wants, on every event, what the test wrote down."""

    def __init__(self, *wanted: Sequence[Effect]) -> None:
        self.wanted = [[], *wanted]
        self.events: list[Event] = []
        self.idle = asyncio.Event()

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.events.append(event)
        if not self.wanted:
            self.idle.set()
        return list(self.wanted.pop(0)) if self.wanted else []


class Recorder:
    """Notes in one list what reaches the disk and what reaches the network, slowly and quickly."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    async def write(self, operations: Sequence[effects.StoreOperation]) -> None:
        await asyncio.sleep(0.01)
        self.done.append(tuple(operations))

    def begin(self, operations: Sequence[effects.StoreOperation]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.write(operations))

    def send(self, peer: bytes, frame: bytes) -> None:
        self.done.append(frame)

    def connect(self, target: bytes | str, record: bytes) -> None:
        self.done.append(target)

    def disconnect(self, peer: bytes, reason: str) -> None:
        self.done.append(reason)


async def run(script: Script, *posted: Event) -> Recorder:
    recorder = Recorder()
    driver = Driver(script, recorder, recorder.done.append, lambda _: None)  # type: ignore[arg-type]
    await driver.start(recorder)  # type: ignore[arg-type]
    running = asyncio.create_task(driver.run())
    for event in posted:
        driver.post(event)
    driver.post(events.WallClock(9.0))  # comes when the script is at its end
    async with asyncio.timeout(5):
        await script.idle.wait()
    await asyncio.sleep(0.1)
    running.cancel()
    return recorder


def put(key: bytes) -> effects.Store:
    return effects.Store(effects.PutNodeRecord(key, b"record"))


async def test_effects_keep_their_order_and_stores_come_first() -> None:
    wanted = [
        effects.Send(PEER, b"before"),
        put(b"1"),
        put(b"2"),
        effects.Send(PEER, b"after"),
        put(b"3"),
        effects.Deliver(effects.PublishRefused(7, "no")),
        effects.Disconnect(PEER, "bye"),
        put(b"4"),
    ]
    recorder = await run(Script(wanted, [effects.Send(PEER, b"next")]), *[events.WallClock(0.0)] * 2)
    one, two, three, four = (put(key).operation for key in (b"1", b"2", b"3", b"4"))
    assert recorder.done == [
        b"before",
        (one, two),
        b"after",
        (three,),
        effects.PublishRefused(7, "no"),
        "bye",
        (four,),
        b"next",
    ]


def pending(digest: bytes) -> effects.Store:
    return effects.Store(effects.PutPendingCards(b"", PEER, {digest: b"card"}))


async def test_only_sends_overtake_pending_cards() -> None:
    sends = [effects.Send(PEER, bytes([n])) for n in range(STORE_BEHIND_MAX + 1)]
    portions = [pending(bytes([n])) for n in range(STORE_BEHIND_MAX + 1)]
    many = [effect for pair in zip(portions, sends, strict=True) for effect in pair]
    recorder = await run(Script([*many, put(b"1"), effects.Send(PEER, b"last")]), events.WallClock(0.0))
    stored = [(effect.operation,) for effect in [*portions, put(b"1")]]
    assert [done for done in recorder.done if isinstance(done, tuple)] == stored
    assert recorder.done[0] == sends[0].frame, "it does not wait for the disk"
    assert recorder.done.index(stored[0]) < recorder.done.index(sends[-1].frame), "unless many are behind"
    assert recorder.done[-2:] == [stored[-1], b"last"]


async def test_a_portion_of_pending_cards_that_fails_is_written_again() -> None:
    class Failing(Recorder):
        def begin(self, operations: Sequence[effects.StoreOperation]) -> asyncio.Future[None]:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StorageError("full", code="E-STORAGE-FULL"))
            return future

    recorder = Failing()
    script = Script([pending(b"1"), effects.Send(PEER, b"on"), put(b"2")])
    driver = Driver(script, recorder, recorder.done.append, lambda _: None)  # type: ignore[arg-type]
    await driver.start(recorder)  # type: ignore[arg-type]
    running = asyncio.create_task(driver.run())
    driver.post(events.WallClock(0.0))
    await asyncio.sleep(0.1)
    running.cancel()
    assert recorder.done == [b"on", (pending(b"1").operation,), (put(b"2").operation,)]


async def test_others_have_their_turn_while_events_wait() -> None:
    class Busy(Script):
        def handle(self, event: Event, now: float) -> list[Effect]:
            time.sleep(HANDLING_SECONDS_MAX / 2)
            return super().handle(event, now)

    recorder, script = Recorder(), Busy(*[[]] * 40)
    driver = Driver(script, recorder, recorder.done.append, lambda _: None)  # type: ignore[arg-type]
    await driver.start(recorder)  # type: ignore[arg-type]
    running = asyncio.create_task(driver.run())
    for _ in range(41):
        driver.post(events.WallClock(0.0))
    turns = 0
    while not script.idle.is_set():
        await asyncio.sleep(0)
        turns += 1
    running.cancel()
    assert turns > 10


async def test_timers_replace_each_other_and_fire_once() -> None:
    timer = Timer(TimerKind.DIAL)
    soon = time.monotonic() + 0.03
    script = Script([effects.SetTimer(timer, soon + 60), effects.SetTimer(timer, soon)])
    await run(script, events.WallClock(0.0))
    assert script.events.count(events.TimerFired(timer)) == 1


async def test_a_failing_store_stops_the_driver_before_anything_is_sent() -> None:
    class Full(Recorder):
        async def write(self, operations: Sequence[effects.StoreOperation]) -> None:
            raise StorageError("full")

    recorder = Full()
    script = Script([put(b"1"), effects.Send(PEER, b"after")])
    driver = Driver(script, recorder, recorder.done.append, lambda _: None)  # type: ignore[arg-type]
    await driver.start(recorder)  # type: ignore[arg-type]
    driver.post(events.WallClock(0.0))
    with pytest.raises(StorageError):
        await driver.run()
    assert recorder.done == []


async def test_frames_wait_for_their_turn() -> None:
    script = Script()
    recorder = Recorder()
    driver = Driver(script, recorder, recorder.done.append, lambda _: None)  # type: ignore[arg-type]
    await driver.start(recorder)  # type: ignore[arg-type]
    flood = asyncio.create_task(_flood(driver, 5000))
    await asyncio.sleep(0.05)
    assert not flood.done()  # nobody handles them yet: the reader of the flooding peer waits
    driver.post(events.WallClock(1.0))
    running = asyncio.create_task(driver.run())
    await flood
    running.cancel()
    at = script.events.index(events.WallClock(1.0))
    assert at < 2000  # what is no frame did not wait behind the whole flood


async def _flood(driver: Driver, count: int) -> None:
    for number in range(count):
        await driver.receive(PEER, number.to_bytes(4, "big"))


async def test_publishing_with_the_real_state(tmp_path: Path) -> None:
    """The answer comes when the head is on the disk, and a refusal says why."""
    keyring = initialise(Folder(tmp_path / "node"), "Cleveland")
    config = StateConfig(addresses=("127.0.0.1:1",), certificate=keyring.certificate)
    state = State(config, keyring.signer, random.Random(1), keyring.charters, Snapshot())
    store = Store(tmp_path / "store.sqlite")
    recorder = Recorder()
    driver = Driver(state, store, recorder.done.append, lambda _: None)
    await driver.start(recorder)  # type: ignore[arg-type]
    running = asyncio.create_task(driver.run())
    published = await driver.publish(removed=(b"i" * 32,))
    held = Store(tmp_path / "store.sqlite").read().catalogues[b"", keyring.signer.public_key]
    assert held.shown == published.head
    with pytest.raises(Refused) as caught:
        await driver.publish(cards=(b"no card",))
    assert caught.value.code == "E-REFUSED-PUBLISH"
    running.cancel()
    store.close()
