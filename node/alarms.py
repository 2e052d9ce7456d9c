"""What is wrong with this node itself, as the state machine found it: for the log, and for who asks.

An alarm stands until its cause is gone: a head that could not be renewed until one was, being cut off until
news come. That another daemon signs with this node's key stands until the end: only people can settle it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from skerry.protocol import effects

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = structlog.get_logger()

Key = tuple[str, bytes]


class Alarms:
    """The alarms that stand."""

    def __init__(self) -> None:
        self._standing: dict[Key, str] = {}

    def lines(self) -> list[str]:
        """Return a sentence for each."""
        return list(self._standing.values())

    def told(self, what: effects.Delivery) -> None:
        """Take note of what the state machine tells; most of it is no alarm."""
        match what:
            case effects.OwnKeyElsewhere(scope, epoch, seq):
                self._raise(
                    ("own key", scope),
                    f"another daemon signs with this node's key (epoch {epoch}, seq {seq}): end it, or if "
                    "nobody of yours runs one, the key was stolen and the charter must take it back",
                    log.error,
                )
            case effects.RenewalFailed(scope, why):
                sentence = f"the own head cannot be renewed ({why}): its learnwares vanish with its lease"
                self._raise(("renewal", scope), sentence, log.error)
            case effects.MayBeCutOff(alarmed, old, heads):
                sentence = (
                    f"this node may be cut off: {old} of {heads} heads are older than owners let them be"
                )
                if alarmed:
                    self._raise(("cut off", b""), sentence, log.warning)
                else:
                    self._standing.pop(("cut off", b""), None)
            case effects.Disputed(scope, node_key):
                log.warning("a node signed two heads with one number", scope=scope.hex(), node=node_key.hex())
            case _:
                pass

    def stored(self, operation: effects.StoreOperation) -> None:
        """Take note of what was stored: an own head was renewed."""
        if isinstance(operation, effects.PutCatalogue) and operation.own:
            self._standing.pop(("renewal", operation.scope), None)

    def _raise(self, key: Key, sentence: str, say: Callable[[str], object]) -> None:
        if self._standing.get(key) != sentence:
            say(sentence)
        self._standing[key] = sentence
