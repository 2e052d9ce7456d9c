"""What follows when a sketch is found to be false, here or by others.

The state computes no sketch: the node does, and its verdict comes as an event. A false one is hidden here
and reported; a report by others is handed to the node, which computes the sketch itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .card import card_hash
from .context import Context
from .effects import SketchReported
from .envelope import Envelope, RecordHeader, Verified
from .errors import RemoteProtocolError
from .events import SketchVerdict, TimerKind
from .history import Because
from .index import Index
from .limits import REPORT_SECONDS, REPORTS_PER_CARD
from .report import Report, make_report


def _reporters(index: Index, card: bytes) -> int:
    """Return how many owners reported a card, as far as their reports are held."""
    return len({item.value.owner for item in index.reports.records.values() if item.value.card == card})


class Reports:
    """See the module's docstring.

    Parameters
    ----------
    context
        Shared with the other parts of the state.
    indexes
        Scope -> index.
    spread
        Keeps an own report and sends it on; raises RemoteProtocolError when others would refuse it.
    """

    def __init__(
        self, context: Context, indexes: Mapping[bytes, Index], spread: Callable[[Envelope], object]
    ) -> None:
        self._context = context
        self._indexes = indexes
        self._spread = spread

    def kept(self, record: Verified[RecordHeader]) -> None:
        """Have the node judge what others report about a card that is shown here."""
        report = record.value
        if not isinstance(report, Report) or report.node_key == self._context.key:
            return
        self._ask(report)

    def arrived(self, index: Index, cards: Iterable[bytes]) -> None:
        """Have the node judge cards that are shown from now on and were reported before."""
        reported = {item.value.card: item.value for item in index.reports.records.values()}
        for raw in cards if reported else ():
            report = reported.get(card_hash(raw))
            if report is not None:
                self._ask(report)

    def _ask(self, report: Report) -> None:
        held = self._indexes[report.scope].heads.get(report.accused)
        if held is not None and report.card in held.cards and report.card not in held.hidden:
            card = held.cards[report.card]
            self._context.deliver(SketchReported(report.scope, report.accused, card, report.owner))

    def verdict(self, event: SketchVerdict, owner: bytes) -> None:
        """Show a card with a false sketch no more, and report it; ``owner`` is this node's."""
        for index in self._indexes.values():
            held = index.heads.get(event.node_key)
            entry = None if held is None else held.catalogue.find(event.card_id)
            if held is None or entry is None or event.honest or entry.hash in held.hidden:
                continue
            index.hide(held, event.card_id)
            if _reporters(index, entry.hash):
                # The others know already, and judge at this moment as well.
                wait = REPORT_SECONDS * self._context.rng.random()
                self._context.timer(TimerKind.REPORT, wait, entry.hash)
            else:
                self._report(index, event.node_key, entry.hash, owner)

    def due(self, card: bytes, owner: bytes) -> None:
        """Report a card that was found to be false some time ago, unless enough others have."""
        for index in self._indexes.values():
            accused = next((key for key, held in index.heads.items() if card in held.hidden), None)
            # Everybody judges by what is reported already: one more tells nothing.
            if accused is not None and _reporters(index, card) < REPORTS_PER_CARD:
                self._report(index, accused, card, owner)

    def _report(self, index: Index, accused: bytes, card: bytes, owner: bytes) -> None:
        report = make_report(
            self._context.signer,
            owner=owner,
            scope=index.scope,
            accused=accused,
            card=card,
            issued=self._context.wall,
        )
        try:
            self._spread(report)
        except RemoteProtocolError as error:
            # A key that is about to end cannot promise so long a lease; the card is hidden here at least.
            self._context.note(self._context.key, Because.REFUSED, f"{error.violation}: {error.why}")
