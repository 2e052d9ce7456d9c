"""Turns: callers are served in turn, nobody waits in vain, and no place is ever lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from skerry.node.api.problems import Busy
from skerry.node.search.turns import Turns

PLACES = 2


async def searching(turns: Turns, caller: str, order: list[str], seconds: float = 30.0) -> None:
    async with turns.place(caller, seconds):
        order.append(caller)
        await asyncio.sleep(0)


async def held_by(turns: Turns, count: int) -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
    """Take places until they are released."""
    released, begun = asyncio.Event(), [asyncio.Event() for _ in range(count)]

    async def hold(holding: asyncio.Event) -> None:
        async with turns.place("holder", 30.0):
            holding.set()
            await released.wait()

    tasks = [asyncio.create_task(hold(holding)) for holding in begun]
    async with asyncio.timeout(5):
        await asyncio.gather(*(holding.wait() for holding in begun))
    return released, tasks


async def test_callers_take_turns_however_long_their_lines_are() -> None:
    turns, order = Turns(1, 512), list[str]()
    released, holders = await held_by(turns, 1)
    many = [asyncio.create_task(searching(turns, "many", order)) for _ in range(200)]
    await asyncio.sleep(0)
    few = [asyncio.create_task(searching(turns, "few", order)) for _ in range(3)]
    await asyncio.sleep(0)
    released.set()
    await asyncio.gather(*holders, *many, *few)
    assert order[:6] == ["many", "few"] * 3
    assert order[6:] == ["many"] * 197


async def test_who_cannot_be_answered_in_time_is_told_when_to_come_again() -> None:
    now = 0.0
    turns = Turns(1, 512, clock=lambda: now)
    for _ in range(200):
        async with turns.place("a", 5.0):
            now += 2.0
    released, holders = await held_by(turns, 1)
    waiting = [asyncio.create_task(searching(turns, "a", [])) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as caught:
        await searching(turns, "a", [], seconds=7.0)  # four searches of two seconds are before it
    assert caught.value.code == "E-UNAVAILABLE-BUSY"
    assert caught.value.again_seconds == 8
    # Another caller has one search before it of those that wait, and so much less to wait for.
    other = asyncio.create_task(searching(turns, "b", [], seconds=7.0))
    await asyncio.sleep(0)
    released.set()
    await asyncio.gather(*holders, *waiting, other)


async def test_a_line_is_bounded() -> None:
    turns = Turns(1, 3)
    released, holders = await held_by(turns, 1)
    waiting = [asyncio.create_task(searching(turns, str(at), [])) for at in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await searching(turns, "one more", [])
    released.set()
    await asyncio.gather(*holders, *waiting)


async def test_who_waits_longer_than_it_may_is_refused() -> None:
    turns = Turns(100, 8)
    released, holders = await held_by(turns, 100)
    with pytest.raises(Busy):
        await searching(turns, "a", [], seconds=0.01)
    released.set()
    await asyncio.gather(*holders)
    await searching(turns, "a", [])


@pytest.mark.parametrize("seed", range(5))
async def test_no_place_is_lost_whoever_leaves(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    turns, inside = Turns(PLACES, 64), list[int]()

    async def one(caller: str) -> None:
        async with turns.place(caller, rng.choice([0.0005, 0.003, 30.0])):
            inside.append(1)
            assert len(inside) <= PLACES
            try:
                await asyncio.sleep(rng.choice([0, 0, 0.001]))
                if rng.random() < 0.1:
                    raise ValueError
            finally:
                inside.pop()

    tasks = list[asyncio.Task[None]]()
    for _ in range(300):
        tasks.append(asyncio.create_task(one(rng.choice("abc"))))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ended} <= {type(None), Busy, ValueError, asyncio.CancelledError}
    assert sum(end is None for end in ended) > 30
    released, holders = await held_by(turns, PLACES)
    released.set()
    await asyncio.gather(*holders)
