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

from skerry.protocol.head import HEAD
from skerry.protocol.messages import MESSAGE
from skerry.protocol.node_record import NODE_RECORD

ENTRIES_MAX = 400_000
"""Results kept per function; a run of ten thousand nodes has about a hundred thousand different records."""
FRAMES_MAX = 20_000
"""Decoded frames kept: equal ones arrive within a second or two, and most are only ever seen once."""
TIME_SHARED_SECONDS = 3600
"""Verdicts depend on the time only by tolerances of a day, so those of one hour are taken to be equal."""

Function = Callable[..., Any]


def _by_value(entries_max: int) -> Callable[[Function], Function]:
    """Return what remembers by arguments that are compared by their value."""

    def remembering(function: Function) -> Function:
        memory: dict[tuple[Any, ...], Any] = {}

        def remembered(*arguments: Any) -> Any:
            found = memory.get(arguments)
            if found is None:
                if len(memory) >= entries_max:
                    memory.clear()
                found = memory[arguments] = function(*arguments)
            return found

        return remembered

    return remembering


def _by_trust(function: Function) -> Function:
    """Remember verdicts on a record, given its owner's charters and the wall clock."""
    memory: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def remembered(raw: bytes, trust: Any, wall: int, **named: Any) -> Any:
        place = (raw, id(trust), wall // TIME_SHARED_SECONDS, *named.values())
        found = memory.get(place)
        if found is None:
            if len(memory) >= ENTRIES_MAX:
                memory.clear()
            # The charters are kept too: an identity counts only while its object lives.
            found = memory[place] = (function(raw, trust, wall, **named), trust)
        return found[0]

    return remembered


def _named(function: Function) -> Function:
    """Remember by the values of all arguments, those with a name too."""
    remembered = _by_value(ENTRIES_MAX)(
        lambda names, *values: function(
            *values[: len(values) - len(names)],
            **dict(zip(names, values[len(values) - len(names) :], strict=True)),
        )
    )
    return lambda *values, **named: remembered(tuple(named), *values, *named.values())


def _by_chain(function: Function) -> Function:
    """Remember verdicts on charter chains."""
    remembered = _named(lambda chain, hours, **named: function(chain, hours * TIME_SHARED_SECONDS, **named))
    return lambda chain, wall, **named: remembered(tuple(chain), wall // TIME_SHARED_SECONDS, **named)


PLACES = (
    ("skerry.protocol.conversation.open_envelope", _by_value(ENTRIES_MAX)),
    ("skerry.protocol.index.open_envelope", _by_value(ENTRIES_MAX)),
    ("skerry.protocol.owners.open_envelope", _by_value(ENTRIES_MAX)),
    ("skerry.protocol.conversation.verify_card", _named),
    ("skerry.protocol.index.verify_head", _by_trust),
    ("skerry.protocol.owners.verify_node_record", _by_trust),
    ("skerry.protocol.owners.verify_chain", _by_chain),
)
"""Where a function is used, and how its results are remembered."""
FORMATS = ((MESSAGE, FRAMES_MAX), (NODE_RECORD, ENTRIES_MAX), (HEAD, ENTRIES_MAX))
"""Whose ``decode`` is shared."""


TIMED = (_by_trust, _by_chain)
"""What takes verdicts of one hour to be equal."""


@contextmanager
def shared(*, timed: bool = True) -> Iterator[None]:
    """Share verdicts between all states of this process; such as depend on the time only when ``timed``."""
    patches: list[Any] = [
        patch.object(form, "decode", _by_value(entries_max)(form.decode)) for form, entries_max in FORMATS
    ]
    for target, remembering in PLACES:
        if remembering in TIMED and not timed:
            continue
        module, _, name = target.rpartition(".")
        function = getattr(__import__(module, fromlist=[name]), name)
        patches.append(patch(target, remembering(function)))
    try:
        for item in patches:
            item.start()
        yield
    finally:
        for item in reversed(patches):
            item.stop()
