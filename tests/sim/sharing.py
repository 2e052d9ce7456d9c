"""One verdict for all nodes: what is equal everywhere in a simulation is computed, and kept, once.

Theory of operation. Ten thousand simulated nodes decode and verify the same frames, heads and charters, and
keep ten thousand copies of them. Decoding and verifying depend on their arguments alone, and what they return
is frozen, so in one process the results can be shared: :func:`shared` puts a memory in front of them. The
states do not notice: ``test_sharing.py`` plays one seed with and without it.

Rules of this file:

1. Only functions that depend on nothing but their arguments, and whose results cannot be changed.
2. A refusal is not remembered: it is raised anew.
3. Only with fake signatures: a run that verifies for real shares nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from skerry.protocol.messages import MESSAGE

ENTRIES_MAX = 400_000
"""Results kept per function; a run of ten thousand nodes has about a hundred thousand different records."""
TIME_SHARED_SECONDS = 3600
"""Verdicts depend on the time only by tolerances of a day, so those of one hour are taken to be equal."""

PLACES = (
    ("skerry.protocol.conversation.open_envelope", 0),
    ("skerry.protocol.owners.verify_node_record", 3),
    ("skerry.protocol.conversation.verify_card", 0),
    ("skerry.protocol.index.verify_head", 3),
    ("skerry.protocol.index.open_envelope", 0),
    ("skerry.protocol.owners.open_envelope", 0),
    ("skerry.protocol.owners.verify_chain", 2),
)
"""Where a function is used, and which argument (counted from 1) is the wall clock; 0 for none."""


def _key(argument: Any) -> Any:
    """Return what an argument is recognised by: bytes by value, values by identity."""
    return argument if isinstance(argument, bytes | int | str | tuple) else id(argument)


def _remembering(function: Callable[..., Any], clock: int) -> Callable[..., Any]:
    memory: dict[Any, tuple[Any, tuple[Any, ...]]] = {}

    def remembered(*arguments: Any, **named: Any) -> Any:
        key: list[Any] = [_key(argument) for argument in arguments]
        if clock:
            key[clock - 1] //= TIME_SHARED_SECONDS
        place = (*key, *map(_key, named.values()))
        found = memory.get(place)
        if found is None:
            if len(memory) >= ENTRIES_MAX:
                memory.clear()
            # The arguments are kept too: an identity counts only while its object lives.
            found = memory[place] = (function(*arguments, **named), arguments)
        return found[0]

    return remembered


@contextmanager
def shared() -> Iterator[None]:
    """Share verdicts between all states of this process."""
    places = [(target, clock) for target, clock in PLACES]
    patches = [patch.object(MESSAGE, "decode", _remembering(MESSAGE.decode, 0))]
    for target, clock in places:
        module, _, name = target.rpartition(".")
        function = getattr(__import__(module, fromlist=[name]), name)
        patches.append(patch(target, _remembering(function, clock)))
    try:
        for item in patches:
            item.start()
        yield
    finally:
        for item in reversed(patches):
            item.stop()
