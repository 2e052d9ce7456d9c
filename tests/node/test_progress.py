"""Listeners hear what they should, and one that does not keep up is ended rather than waited for."""

from __future__ import annotations

import pytest

from skerry.errors import Unavailable
from skerry.node.limits import EVENT_LISTENERS_MAX, EVENTS_QUEUED_MAX
from skerry.node.progress import Progress


async def test_a_listener_hears_what_comes_and_can_take_up(tmp_path: object) -> None:
    progress = Progress()
    progress.tell("peer", "ab", "connected")
    with progress.listening() as listener:
        progress.tell("publish", "ward-model", "signed", 1, 2)
        event = listener.get_nowait()
        assert event is not None
        assert (event.id, event.kind, event.done, event.total) == (2, "publish", 1, 2)
        assert listener.empty()
    with progress.listening(after=0) as listener:
        assert listener.qsize() == 2
    with progress.listening(after=1) as listener:
        assert listener.qsize() == 1
    with progress.listening(after=99) as listener:  # a number from before a restart
        assert listener.qsize() == 2


async def test_who_does_not_keep_up_is_ended() -> None:
    progress = Progress()
    with progress.listening() as slow, progress.listening() as quick:
        for number in range(EVENTS_QUEUED_MAX + 1):
            progress.tell("peer", str(number), "connected")
            if not quick.empty():
                quick.get_nowait()
        heard = [slow.get_nowait() for _ in range(slow.qsize())]
        assert heard[-1] is None
        progress.tell("peer", "x", "connected")
        assert quick.qsize() == 1


async def test_listeners_are_few() -> None:
    progress = Progress()
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(EVENT_LISTENERS_MAX):
            stack.enter_context(progress.listening())
        with pytest.raises(Unavailable, match="E-UNAVAILABLE-FULL"):
            stack.enter_context(progress.listening())
