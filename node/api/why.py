"""``/why/ID``: why a node, an owner or a card is not here, in words.

The state machine knows the reasons (:mod:`skerry.protocol.why`); this file asks it, and says them in a
sentence each, with what to do where something can be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skerry.node.transfer.blobs_http import parse_root
from skerry.protocol import effects, events
from skerry.protocol.api import WhyAnswer, WhyQuery, WhyReason
from skerry.protocol.history import Because

from .routes import Route, typed

if TYPE_CHECKING:
    from aiohttp import web

    from skerry.node.driver import Driver
    from skerry.protocol.history import Reason

WORDS: Final[dict[Because, tuple[str, str]]] = {
    Because.NEVER_HEARD: (
        "Nothing about it ever came here.",
        "Check the id; for a card, name its owner with --owner. See `skerry peers` for who is connected.",
    ),
    Because.PRESENT: ("It is here.", ""),
    Because.REFUSED: (
        "Something of it was refused.",
        "Its owner should update or repair its node; docs/protocol.md explains the violation.",
    ),
    Because.LEASE_ENDED: (
        "Its lease ended: its owner's node did not renew it.",
        "It comes back when its owner's node runs and is connected again.",
    ),
    Because.NOT_IN_HEAD: ("Its owner's catalogue is whole here and does not hold it.", "Ask its owner."),
    Because.NOT_WHOLE: (
        "A catalogue of its owner is still being fetched.",
        "Wait; if it stays so, its owner's node cannot be reached from here.",
    ),
    Because.DISPUTED: (
        "Its key signed two heads with one number: shown marked, never recommended.",
        "Its owner restored an old backup or runs one key twice; it must take a new epoch.",
    ),
    Because.FROZEN: (
        "Two rival charters of its owner exist.",
        "Only the owner's recovery key can settle that.",
    ),
    Because.WITHHELD: (
        "This node does not show it: its sketch does not follow from its specification.",
        "Its owner must publish it anew with a current version.",
    ),
    Because.WITHDRAWN: ("Its owner took it out of the market.", ""),
    Because.UNREACHABLE: (
        "Dialling it came to nothing.",
        "Check address, port and firewall; `skerry doctor` tries its addresses.",
    ),
    Because.DISCONNECTED: ("This node closed the connection.", "The detail says why."),
    Because.NOT_CONNECTED: (
        "It is known, and there is no connection to it now.",
        "Nothing need be done: news comes by way of others. `skerry peers ADDRESS` connects to it.",
    ),
    Because.NO_HEAD: (
        "The owner is known, and no catalogue of it is held.",
        "It published nothing public yet, or its node is not connected to this network.",
    ),
}
"""Reason -> what it means, what to do."""


class WhyRoutes:
    """``/why``.

    Parameters
    ----------
    driver
        Asks the state machine.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (typed("GET", "/why/{subject}", "search", WhyQuery, WhyAnswer, self._why),)

    async def _why(self, request: web.Request, given: WhyQuery) -> WhyAnswer:
        """Say all that is known about why a node, an owner or a card is absent."""
        subject = parse_root(request.match_info["subject"])
        owner = bytes.fromhex(given.owner)
        report = await self._driver.ask(lambda token: events.Why(token, subject, owner))
        assert isinstance(report, effects.WhyReport)
        return WhyAnswer(subject.hex(), [_in_words(reason) for reason in report.reasons])


def _in_words(reason: Reason) -> WhyReason:
    sentence, todo = WORDS[reason.because]
    return WhyReason(reason.because.value, sentence, reason.detail, todo, reason.at)
