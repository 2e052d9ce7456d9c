"""Searching this node's index: filters, then sketches, then the full specifications, then the mix.

Theory of operation. Filters and words come first, since they cost least. With a requirement, the cards that
are left go through the sketch index, island by island, unless they are few; the full specifications of those
that pass are fetched by name, compared exactly, and mixed (``comparing.py``). Whatever could not be had in
time is left out, and the answer's coverage says so. Everything numerical runs in threads.

Rules of this file:

1. A card from whose specification its sketch or island does not follow is left out, and the state machine is
   told; what others report is computed here before it is believed.
2. A disputed card is shown and marked, and never recommended.
3. The requirement stays in this process.
4. A searcher elsewhere sends a sketch, and gets the nearest by it to compare by himself.
5. A search visits threads as seldom as it can: each time it waits for a turn of the event loop, which readers
   of blobs share, and for the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog
from msgspec.structs import replace

from skerry.errors import SkerryError
from skerry.node.api.problems import BadRequest
from skerry.node.limits import (
    ISLANDS_LEARNED_MAX,
    ISLANDS_SECONDS_SHARE,
    REPORTS_WAITING_MAX,
    SEARCH_CANDIDATES,
    SEARCH_CONCURRENT_MAX,
    SEARCH_HITS_MAX,
    SEARCH_SECONDS_MAX,
    SEARCH_SHARED,
    SEARCHES_WAITING_MAX,
    WORDS_TRIES_MAX,
)
from skerry.protocol import events
from skerry.protocol.api import Coverage, Hit, MixView, SearchAnswer, SearchRequest, Shared, SketchView
from skerry.protocol.card import CARD, card_hash
from skerry.spec.limits import MIX_MEMBERS_MAX

from .columns import code
from .comparing import (
    Asking,
    Candidate,
    Compared,
    Known,
    KnownCards,
    Measured,
    compare,
    honest_rkme,
    honest_rkmes,
)
from .filters import newest_first, passing, with_words
from .index import Entry
from .islands import Islands
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from skerry.node.directory import Directory
    from skerry.node.driver import Driver
    from skerry.node.storage.store import Store
    from skerry.node.transfer.fetching import SpecificationCache
    from skerry.node.view import NodeView
    from skerry.protocol.effects import SketchReported
    from skerry.spec import Rkme
    from skerry.spec.bridging import Sharing
    from skerry.spec.sketch import Sketch

    from .columns import Mask
    from .index import CardIndex
    from .islands import Comparable
    from .sketches import Sketches

log: Final = structlog.get_logger()


class SearchService:
    """Answers searches.

    Parameters
    ----------
    owner
        The node's own owner, for ``exclude_own``.
    index, sketches, directory, view
        What the node knows.
    store
        Finds words, and keeps what is learned of islands.
    specifications
        Where full specifications come from.
    driver
        Told of cards that do not follow from their specification.
    coming
        Returns how many cards are still on their way here.
    """

    def __init__(
        self,
        owner: bytes,
        index: CardIndex,
        sketches: Sketches,
        directory: Directory,
        view: NodeView,
        store: Store,
        specifications: SpecificationCache,
        driver: Driver,
        coming: Callable[[], int] = lambda: 0,
    ) -> None:
        self._owner = owner
        self._index = index
        self._sketches = sketches
        self._directory = directory
        self._view = view
        self._store = store
        self._specifications = specifications
        self._driver = driver
        self._coming = coming
        self._turns = Turns(SEARCH_CONCURRENT_MAX, SEARCHES_WAITING_MAX)
        self._known = KnownCards()
        self._islands = Islands(store.read_islands())
        self._reports: deque[SketchReported] = deque(maxlen=REPORTS_WAITING_MAX)
        self._judging: asyncio.Task[None] | None = None

    async def search(
        self, request: SearchRequest, caller: str = "", gone: Callable[[], bool] = lambda: False
    ) -> SearchAnswer:
        """Answer a search.

        Parameters
        ----------
        request
            What is searched for, and how long it may wait for its turn, and then for specifications.
        caller
            Who asks: callers take turns.
        gone
            Returns whether nobody waits for the answer any more.

        Raises
        ------
        BadRequest
            ``E-API-SEARCH``: a number is out of range.
        SpecificationError
            The requirement is not acceptable.
        Busy
            ``E-UNAVAILABLE-BUSY``: too many searches are before this one.
        ConnectionAbortedError
            The caller is gone.
        """
        _validate(request)
        async with self._turns.place(caller, min(request.timeout_seconds, SEARCH_SECONDS_MAX)):
            if gone():
                raise ConnectionAbortedError
            found = await self._found(request.text) if request.text.strip() else None
            mask = passing(request, self._index, self._directory, self._owner)
            rows = None
            if found is not None:
                mask, rows = with_words(mask, self._index, found)
            if request.sketch is not None:
                return await self._search_by_sketch(request.sketch, mask, request.k)
            if request.requirement:
                return await self._search_by_data(request, mask)
            rows = newest_first(mask, self._index, request.k) if rows is None else rows[: request.k]
            hits = [self._hit(entry) for entry in self._index.entries(rows)]
            return SearchAnswer(hits, None, self._coverage(int(np.count_nonzero(mask))))

    async def _found(self, text: str) -> dict[bytes, float]:
        """Return the cards with some words; again when cards changed meanwhile, lest one is lost."""
        for _ in range(WORDS_TRIES_MAX):
            before = self._index.changes
            found = await self._store.find_words(text)
            if self._index.changes == before:
                break
        return found

    async def _search_by_data(self, request: SearchRequest, mask: Mask) -> SearchAnswer:
        start, seconds = time.monotonic(), min(request.timeout_seconds, SEARCH_SECONDS_MAX)
        asking = await asyncio.to_thread(Asking.read, request.requirement)
        requirement = asking.requirement
        live = self._index.islands_in(mask)
        await self._learn(requirement, live, start + ISLANDS_SECONDS_SHARE * seconds)
        others = self._islands.comparable(requirement.island, live)
        candidates = await self._candidates(asking, mask, others)
        known, missing = await self._know(candidates, start + seconds)
        compared, shown = await self._compare(asking, candidates, known, request)
        hits, mix = self._hits(compared, shown, requirement, request)
        searched = [requirement.island.id, *(other.island for other in others)]
        coverage = self._coverage(
            sum(live.get(code(island), (0, 0))[1] for island in searched),
            [known[item.candidate.hash].owner for item in compared.nearest],
            [entry.card.owner for entry in missing],
        )
        named = requirement.columns is not None
        unknown = sum(n for value, (_, n) in live.items() if named and not self._islands.knows(value))
        return SearchAnswer(hits, mix, replace(coverage, islands=len(searched), unknown=unknown))

    async def _search_by_sketch(self, sketch: SketchView, mask: Mask, count: int) -> SearchAnswer:
        """Return the nearest by sketch, for a searcher elsewhere who compares them himself."""
        from skerry.spec.metric import Scale

        wanted, island = _decode_sketch(sketch)
        among = mask & self._on_island(island, mask)
        candidates = int(np.count_nonzero(among))
        if candidates > count:
            asked = wanted, Scale.of_sketch(wanted)
            found = self._index.rows_of(await self._sketches.nearest(lambda: asked, island, count, among))
            rows = found[found >= 0]
        else:
            rows = np.flatnonzero(among)
        hits = [self._hit(entry) for entry in self._index.entries(rows)]
        return SearchAnswer(hits, None, self._coverage(candidates))

    # Candidates.

    async def _candidates(self, asking: Asking, mask: Mask, others: Sequence[Comparable]) -> list[Candidate]:
        """Return what is worth an exact comparison: of the own island, then of those that share most."""
        own = asking.requirement.island.id
        candidates = await self._nearest(asking, mask, own, None, SEARCH_CANDIDATES)
        left = SEARCH_SHARED
        for island, sharing in others:
            if left <= 0:
                break
            found = await self._nearest(asking, mask, island, sharing, left)
            candidates += found
            left -= len(found)
        disputed = self._index.disputed_among(candidate.row for candidate in candidates)
        return [
            dataclasses.replace(candidate, disputed=True) if candidate.row in disputed else candidate
            for candidate in candidates
        ]

    async def _nearest(
        self, asking: Asking, mask: Mask, island: bytes, sharing: Sharing | None, count: int
    ) -> list[Candidate]:
        """Return the most promising cards of one island; all when they are few."""
        among = mask & self._on_island(island, mask)
        if np.count_nonzero(among) <= count:
            rows = np.flatnonzero(among)
            hashes = self._index.hashes(rows)
        else:
            hashes = await self._sketches.nearest(
                lambda: asking.sketched(sharing), island, count, among, sharing
            )
            rows = self._index.rows_of(hashes)
        pairs = zip(rows.tolist(), hashes, strict=True)
        return [Candidate(row, digest, sharing) for row, digest in pairs if row >= 0]

    def _on_island(self, island: bytes, mask: Mask) -> Mask:
        return self._index.on_island(island)[: len(mask)]

    # Islands.

    async def _learn(self, requirement: Rkme, live: Mapping[int, tuple[int, int]], deadline: float) -> None:
        """Ask for one specification each of some islands whose columns are not known.

        ``live`` holds by the code of each island one row on it, and how many there are.
        """
        self._islands.learn(requirement.island)
        if requirement.columns is None:
            return
        unknown = [row for value, (row, _) in live.items() if not self._islands.knows(value)]
        if unknown := unknown[:ISLANDS_LEARNED_MAX]:
            pairs = zip(unknown, self._index.hashes(np.array(unknown)), strict=True)
            known, _ = await self._know([Candidate(row, digest) for row, digest in pairs], deadline)
            for card in known.values():
                self._islands.learn(card.rkme.island)
        if new := self._islands.take_new():
            await self._store.put_islands(new)

    # Specifications.

    async def _know(
        self, candidates: Sequence[Candidate], deadline: float
    ) -> tuple[dict[bytes, Known], list[Entry]]:
        """Return what is known of cards by hash, once their specifications came, and those that did not come.

        Cards that do not follow from theirs are in neither, and reported.
        """
        known = self._known.of(candidate.hash for candidate in candidates)
        entries = self._index.entries(item.row for item in candidates if item.hash not in known)
        if not entries:
            return known, []
        blobs = await self._specifications.gather(entries, deadline)
        came = [entry for entry in entries if entry.card.specification.root in blobs]
        claims = [(entry.card, blobs[entry.card.specification.root]) for entry in came]
        for entry, rkme in zip(came, await asyncio.to_thread(honest_rkmes, claims), strict=True):
            if rkme is None:
                self._convict(entry)
            else:
                known[entry.hash] = Known(entry.card.owner, rkme)
                self._known.put(entry.hash, known[entry.hash])
        return known, [entry for entry in entries if entry.card.specification.root not in blobs]

    async def _compare(
        self,
        asking: Asking,
        candidates: Sequence[Candidate],
        known: Mapping[bytes, Known],
        request: SearchRequest,
    ) -> tuple[Compared, dict[int, Entry]]:
        """Compare, and return with it the cards to be shown, by their positions in it.

        Only these are read from the store. When one of them went meanwhile, the others are compared anew.
        """
        left = candidates
        while True:
            compared = await asyncio.to_thread(compare, asking, left, known, request)
            wanted = compared.shown(request.k)
            entries = self._index.entries(compared.nearest[at].candidate.row for at in wanted)
            by_hash = {entry.hash: entry for entry in entries}
            hashes = {at: compared.nearest[at].candidate.hash for at in wanted}
            gone = set(hashes.values()) - by_hash.keys()
            if not gone:
                return compared, {at: by_hash[digest] for at, digest in hashes.items()}
            left = [candidate for candidate in left if candidate.hash not in gone]

    def forget(self, hashes: Iterable[bytes]) -> None:
        """Keep nothing of cards that are gone."""
        self._known.forget(hashes)

    def _convict(self, entry: Entry) -> None:
        """Tell the state machine whose word was wrong; it takes the card out of the index."""
        log.warning("card does not follow from its specification", card=entry.card.id.hex())
        for _, node_key in entry.places:
            self._driver.post(events.SketchVerdict(node_key, entry.card.id, honest=False))

    def reported(self, report: SketchReported) -> None:
        """Judge what another owner says about a card, in the background and one after the other."""
        self._reports.append(report)
        if self._judging is None or self._judging.done():
            self._judging = asyncio.create_task(self._judge())

    async def judged(self) -> None:
        """Return when all reports so far are judged."""
        if self._judging is not None:
            await self._judging

    async def close(self) -> None:
        """End what runs in the background."""
        if self._judging is not None:
            self._judging.cancel()
            await asyncio.gather(self._judging, return_exceptions=True)

    async def _judge(self) -> None:
        """Compute the sketches of reported cards anew, and tell the state machine what follows from them."""
        while self._reports:
            report = self._reports.popleft()
            card = CARD.decode(report.card)
            entry = Entry(card_hash(report.card), card, {(report.scope, report.node_key)})
            try:
                blob = await self._specifications.of(entry)
            except SkerryError as error:
                log.info("a report cannot be judged", card=card.id.hex(), error=str(error))
                continue
            honest = await asyncio.to_thread(honest_rkme, card, blob) is not None
            log.warning("a card was reported", card=card.id.hex(), by=report.reporter.hex(), honest=honest)
            self._driver.post(events.SketchVerdict(report.node_key, card.id, honest=honest))

    # Answers.

    def _hits(
        self, compared: Compared, shown: Mapping[int, Entry], requirement: Rkme, request: SearchRequest
    ) -> tuple[list[Hit], MixView | None]:
        """Return the hits to be shown, best first, and the mix by their positions."""
        hits = [
            self._measured(compared.nearest[at], entry, requirement, request) for at, entry in shown.items()
        ]
        if compared.mix is None:
            return hits, None
        positions = [list(shown).index(at) for at in compared.members()]
        chosen = compared.mix
        return hits, MixView(positions, chosen.weights.tolist(), chosen.mmd2, chosen.single_mmd2)

    def _measured(self, item: Measured, entry: Entry, requirement: Rkme, request: SearchRequest) -> Hit:
        hit, noise, sharing = self._hit(entry), request.noise_mmd2, item.candidate.sharing
        # The noise was measured on all columns; on some it says nothing.
        compared_whole = sharing is None or len(sharing.here) == sharing.columns_here
        return replace(
            hit,
            mmd2=item.mmd2,
            cosine=item.cosine,
            within_noise=item.mmd2 <= noise if noise is not None and compared_whole else None,
            shared=None if sharing is None else _shared(sharing, requirement, item.rkme),
        )

    def _hit(self, entry: Entry) -> Hit:
        node_keys = [node_key for _, node_key in entry.places]
        return Hit(self._view.card(entry), self._directory.sources(node_keys))

    def _coverage(
        self, candidates: int, compared: Sequence[bytes] = (), missing: Sequence[bytes] = ()
    ) -> Coverage:
        """Return what an answer covers, given the owners of what was compared and of what did not come."""
        cards, owners = self._index.count()
        places = self._index.places()
        issued = [self._directory.heads[place].issued for place in places if place in self._directory.heads]
        absent = sorted(set(missing))
        return Coverage(
            cards=cards,
            candidates=candidates,
            compared=len(compared),
            owners=owners,
            oldest_head_seconds=max(0.0, time.time() - min(issued)) if issued else 0.0,
            unreachable=[f"{self._directory.name(owner)} {owner.hex()}".strip() for owner in absent],
            owners_asked=len({*compared, *missing}),
            coming=self._coming(),
        )


def _shared(sharing: Sharing, requirement: Rkme, candidate: Rkme) -> Shared:
    """Return how a candidate was compared, in names."""
    ours, theirs = requirement.columns or (), candidate.columns or ()
    return Shared(
        columns=[column.name for column in sharing.columns],
        imputed=[column.name for at, column in enumerate(theirs) if at not in sharing.there],
        unused=[column.name for at, column in enumerate(ours) if at not in sharing.here],
    )


def _validate(request: SearchRequest) -> None:
    bounds = {
        "k": (1, SEARCH_HITS_MAX),
        "mix_size": (0, MIX_MEMBERS_MAX),
        "timeout_seconds": (0, float("inf")),
    }
    for name, (low, high) in bounds.items():
        value = getattr(request, name)
        if not low <= value <= high:
            raise BadRequest(
                "A number is out of range",
                where=name,
                why=f"{value} is not between {low} and {high}",
                code="E-API-SEARCH",
            )


def _decode_sketch(sketch: SketchView) -> tuple[Sketch, bytes]:
    """Return a searcher's sketch and its island's id."""
    from skerry.spec.sketch import Sketch

    try:
        island = bytes.fromhex(sketch.island)
    except ValueError as error:
        raise BadRequest(
            "The island is no id", where="sketch.island", why=str(error), code="E-API-SEARCH"
        ) from error
    return Sketch.from_bytes(sketch.version, sketch.vector, sketch.means, sketch.spreads), island
