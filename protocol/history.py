"""Why something is absent: the bounded log of what this node refused, lost or took back.

Rules of this file:

1. It decides nothing: no part of the state reads it but :mod:`.why`.
2. Subjects are 32-byte ids: a node key, an owner, or a card. What a peer claims may fill it, so each subject
   keeps few reasons, and the subject that was quiet longest makes way.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum

from .limits import HISTORY_DETAIL_CHARACTERS_MAX, HISTORY_REASONS_MAX, HISTORY_SUBJECTS_MAX


class Because(StrEnum):
    """The closed list of reasons; the names appear in ``skerry why``."""

    NEVER_HEARD = "never-heard"
    """Nothing about it ever came here."""
    PRESENT = "present"
    """It is not absent: connected, or shown."""
    REFUSED = "refused"
    """Something of it was refused; the detail begins with the violation's code."""
    LEASE_ENDED = "lease-ended"
    NOT_IN_HEAD = "not-in-head"
    """A catalogue of its owner is whole here, and does not hold it; the detail names key and seq."""
    NOT_WHOLE = "not-whole"
    """A catalogue of its owner is still being fetched."""
    DISPUTED = "disputed"
    """Its key signed two heads with one number: shown marked, never recommended."""
    FROZEN = "frozen"
    """Two rival charters of its owner exist; only its recovery key can settle that."""
    WITHHELD = "withheld"
    """This node does not show it: its sketch does not follow from its specification."""
    WITHDRAWN = "withdrawn"
    """A newer head took it out."""
    UNREACHABLE = "unreachable"
    """A dial came to nothing."""
    DISCONNECTED = "disconnected"
    """This node closed the connection."""
    NOT_CONNECTED = "not-connected"
    """It is known, and there is no connection to it now."""
    NO_HEAD = "no-head"
    """The owner is known, and no head of it is held."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason."""

    because: Because
    detail: str = ""
    """More, for people; it may quote a peer and is escaped where it is shown."""
    at: int | None = None
    """Wall clock when it happened, seconds since 1970 UTC; None for how things stand now."""


class History:
    """Subject -> its newest reasons."""

    def __init__(self) -> None:
        self._reasons: OrderedDict[bytes, deque[Reason]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._reasons)

    def note(self, subject: bytes, because: Because, detail: str, wall: int) -> None:
        """Keep a reason; the same one again only becomes newer."""
        reason = Reason(because, detail[:HISTORY_DETAIL_CHARACTERS_MAX], wall)
        kept = self._reasons.setdefault(subject, deque(maxlen=HISTORY_REASONS_MAX))
        if kept and (kept[-1].because, kept[-1].detail) == (because, reason.detail):
            kept.pop()
        kept.append(reason)
        self._reasons.move_to_end(subject)
        while len(self._reasons) > HISTORY_SUBJECTS_MAX:
            self._reasons.popitem(last=False)

    def of(self, subject: bytes) -> tuple[Reason, ...]:
        """Return what is kept about a subject, newest first."""
        return tuple(reversed(self._reasons.get(subject, ())))
