"""Searching this node's index: filters, then sketches, then the full specifications, then the mix.

Theory of operation. Filters and words come first, since they cost least. With a requirement, the cards of
its island that are left go through the sketch index, unless they are few; the full specifications of those
that pass are fetched by name, compared exactly, and mixed. Whatever could not be had in time is left out,
and the answer's coverage says so. Everything numerical runs in threads.

Rules of this file:

1. Distances are of verified specifications only: a card whose sketch or island does not follow from its
   specification is left out, and the state machine is told.
2. A disputed card is shown and marked, and never recommended.
3. The requirement stays in this process.
4. A searcher elsewhere sends a sketch, and gets the nearest by it to compare by himself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from msgspec.structs import replace

from skerry.errors import SkerryError, SpecificationError, Unavailable
from skerry.node.api.problems import BadRequest
from skerry.node.limits import (
    RKMES_CACHED_BYTES_MAX,
    SEARCH_CANDIDATES,
    SEARCH_CONCURRENT_MAX,
    SEARCH_HITS_MAX,
    SEARCH_SECONDS_MAX,
    SEARCHES_WAITING_MAX,
)
from skerry.protocol import events
from skerry.protocol.api import Coverage, Hit, MixView, SearchAnswer, SearchRequest, SketchView
from skerry.spec.limits import MIX_CANDIDATES_MAX, MIX_MEMBERS_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from skerry.node.directory import Directory
    from skerry.node.driver import Driver
    from skerry.node.transfer.fetching import SpecificationCache
    from skerry.node.view import NodeView
    from skerry.spec import Mix, Rkme
    from skerry.spec.ranking import Ranking
    from skerry.spec.sketch import Sketch

    from .index import CardIndex, Entry
    from .sketches import Sketches

log: Final = structlog.get_logger()


@dataclass
class Compared:
    """What the exact comparison found."""

    entries: list[Entry] = field(default_factory=list)
    """The candidates that were compared."""
    rkmes: list[Rkme] = field(default_factory=list)
    """Their specifications."""
    dishonest: list[Entry] = field(default_factory=list)
    """Those whose card does not follow from its specification."""
    ranking: Ranking | None = None
    mixable: list[int] = field(default_factory=list)
    """Positions of the candidates that the mix was chosen from, nearest first."""
    mix: Mix | None = None


class SearchService:
    """Answers searches.

    Parameters
    ----------
    owner
        The node's own owner, for ``exclude_own``.
    index, sketches, directory, view
        What the node knows.
    specifications
        Where full specifications come from.
    driver
        Told of cards that do not follow from their specification.
    """

    def __init__(
        self,
        owner: bytes,
        index: CardIndex,
        sketches: Sketches,
        directory: Directory,
        view: NodeView,
        specifications: SpecificationCache,
        driver: Driver,
    ) -> None:
        self._owner = owner
        self._index = index
        self._sketches = sketches
        self._directory = directory
        self._view = view
        self._specifications = specifications
        self._driver = driver
        self._slots = asyncio.Semaphore(SEARCH_CONCURRENT_MAX)
        self._waiting = 0
        self._rkmes = RkmeCache()

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """Answer a search.

        Raises
        ------
        BadRequest
            ``E-API-SEARCH``: a number is out of range.
        SpecificationError
            The requirement is not acceptable.
        Unavailable
            ``E-UNAVAILABLE-BUSY``: too many searches wait already.
        """
        _validate(request)
        entries = [entry for entry in self._index.shown() if self._passes(entry, request)]
        if request.sketch is not None:
            return await self._search_by_sketch(request.sketch, entries, request.k)
        if not request.requirement:
            entries.sort(key=lambda entry: (-entry.card.published, entry.hash))
            return SearchAnswer(
                hits=[self._hit(entry) for entry in entries[: request.k]],
                mix=None,
                coverage=self._coverage(len(entries), (), ()),
            )
        async with self._slot():
            return await self._search_by_data(request, entries)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for one of the few places for searches that compute; too many do not even wait."""
        if self._waiting >= SEARCHES_WAITING_MAX:
            raise Unavailable(
                "The node has too many searches to do",
                why=f"{self._waiting} are waiting",
                todo="Try again in a moment.",
                code="E-UNAVAILABLE-BUSY",
            )
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    def _passes(self, entry: Entry, request: SearchRequest) -> bool:
        """Return whether a card passes all filters."""
        card = entry.card
        if request.exclude_own and card.owner == self._owner:
            return False
        if request.owner and not self._is_owner(card.owner, request.owner):
            return False
        if request.scenario and request.scenario.casefold() not in map(str.casefold, card.scenarios):
            return False
        for name in ("data", "task", "library", "license"):
            wanted = getattr(request, name)
            if wanted and wanted.casefold() != getattr(card, name).casefold():
                return False
        return _has_words(entry, request.text)

    def _is_owner(self, owner: bytes, wanted: str) -> bool:
        return wanted.casefold() in (owner.hex(), self._directory.name(owner).casefold())

    async def _search_by_data(self, request: SearchRequest, entries: Sequence[Entry]) -> SearchAnswer:
        deadline = time.monotonic() + min(request.timeout_seconds, SEARCH_SECONDS_MAX)
        requirement = await asyncio.to_thread(_decode_requirement, request.requirement)
        entries = [entry for entry in entries if entry.card.island == requirement.island.id]
        nearest = await self._nearest(requirement, entries)
        had = await self._fetch(nearest, deadline)
        compared = await asyncio.to_thread(self._compare, requirement, nearest, had, request)
        for entry in compared.dishonest:
            self._convict(entry)
        hits, mix = self._hits(compared, request)
        missing = [entry for entry in nearest if entry.hash not in had]
        return SearchAnswer(hits, mix, self._coverage(len(entries), compared.entries, missing))

    async def _search_by_sketch(
        self, sketch: SketchView, entries: Sequence[Entry], count: int
    ) -> SearchAnswer:
        """Return the nearest by sketch, for a searcher elsewhere who compares them himself."""
        from skerry.spec.metric import Scale

        wanted, island = _decode_sketch(sketch)
        entries = [entry for entry in entries if entry.card.island == island]
        candidates = len(entries)
        if candidates > count:
            by_hash = {entry.hash: entry for entry in entries}
            async with self._slot():
                hashes = await self._sketches.nearest(wanted, Scale.of_sketch(wanted), island, count, by_hash)
            entries = [by_hash[item] for item in hashes]
        hits = [self._hit(entry) for entry in entries]
        return SearchAnswer(hits, None, self._coverage(candidates, (), ()))

    async def _nearest(self, requirement: Rkme, entries: Sequence[Entry]) -> list[Entry]:
        """Return the candidates worth an exact comparison; all when they are few."""
        if len(entries) <= SEARCH_CANDIDATES:
            return list(entries)
        from skerry.spec import Scale
        from skerry.spec.sketch import sketch_of

        by_hash = {entry.hash: entry for entry in entries}
        scale = await asyncio.to_thread(Scale.of, requirement)
        wanted = await asyncio.to_thread(sketch_of, requirement)
        island = requirement.island.id
        hashes = await self._sketches.nearest(wanted, scale, island, SEARCH_CANDIDATES, by_hash)
        return [by_hash[item] for item in hashes]

    async def _fetch(self, entries: Sequence[Entry], deadline: float) -> dict[bytes, Rkme | bytes]:
        """Return what could be had in time, by card hash: decoded, or as the blob that came."""
        had: dict[bytes, Rkme | bytes] = {}
        tasks: dict[asyncio.Task[bytes], bytes] = {}
        for entry in entries:
            if (known := self._rkmes.get(entry.hash)) is not None:
                had[entry.hash] = known
            else:
                tasks[asyncio.create_task(self._specifications.of(entry))] = entry.hash
        if not tasks:
            return had
        done, late = await asyncio.wait(tasks, timeout=max(0.0, deadline - time.monotonic()))
        for task in late:
            task.cancel()
        for task in done:
            try:
                had[tasks[task]] = task.result()
            except SkerryError as error:
                log.info("specification missing", card=tasks[task].hex(), error=str(error))
        return had

    def _compare(
        self,
        requirement: Rkme,
        nearest: Sequence[Entry],
        had: dict[bytes, Rkme | bytes],
        request: SearchRequest,
    ) -> Compared:
        """Decode, rank and mix the candidates; runs in a thread."""
        from skerry.spec import mix
        from skerry.spec.ranking import rank

        compared = Compared()
        for entry in nearest:
            if entry.hash in had:
                rkme = self._decode(entry, had[entry.hash])
                if rkme is None:
                    compared.dishonest.append(entry)
                else:
                    compared.entries.append(entry)
                    compared.rkmes.append(rkme)
        compared.ranking = rank(requirement, compared.rkmes)
        nearest_first = compared.ranking.indices.tolist()
        undisputed = [at for at in nearest_first if not self._index.is_disputed(compared.entries[at])]
        compared.mixable = undisputed[:MIX_CANDIDATES_MAX]
        size = min(request.mix_size, MIX_MEMBERS_MAX)
        if compared.mixable and size:
            compared.mix = mix(requirement, [compared.rkmes[at] for at in compared.mixable], size)
        return compared

    def _decode(self, entry: Entry, had: Rkme | bytes) -> Rkme | None:
        """Return the specification; None when the card does not follow from it."""
        if not isinstance(had, bytes):
            return had
        rkme = _decode_honest(entry, had)
        if rkme is not None:
            self._rkmes.put(entry.hash, rkme)
        return rkme

    def _convict(self, entry: Entry) -> None:
        """Tell the state machine whose word was wrong; it takes the card out of the index."""
        log.warning("card does not follow from its specification", card=entry.card.id.hex())
        for _, node_key in entry.places:
            self._driver.post(events.SketchVerdict(node_key, entry.card.id, honest=False))

    def _hits(self, compared: Compared, request: SearchRequest) -> tuple[list[Hit], MixView | None]:
        """Return the first hits and the members of the mix, nearest first, and the mix by their positions."""
        assert compared.ranking is not None
        order = compared.ranking.indices.tolist()
        members = [] if compared.mix is None else [compared.mixable[at] for at in compared.mix.indices]
        shown = [at for rank, at in enumerate(order) if rank < request.k or at in members]
        distances = dict(zip(order, compared.ranking.mmd2.tolist(), strict=True))
        cosines = dict(zip(order, compared.ranking.cosines.tolist(), strict=True))
        hits = []
        for at in shown:
            hit = self._hit(compared.entries[at])
            noise = request.noise_mmd2
            within = None if noise is None else distances[at] <= noise
            hits.append(replace(hit, mmd2=distances[at], cosine=max(0.0, cosines[at]), within_noise=within))
        if compared.mix is None:
            return hits, None
        positions = [shown.index(at) for at in members]
        chosen = compared.mix
        return hits, MixView(positions, chosen.weights.tolist(), chosen.mmd2, chosen.single_mmd2)

    def _hit(self, entry: Entry) -> Hit:
        node_keys = [node_key for _, node_key in entry.places]
        return Hit(self._view.card(entry), self._directory.sources(node_keys))

    def _coverage(self, candidates: int, compared: Sequence[Entry], missing: Sequence[Entry]) -> Coverage:
        shown = self._index.shown()
        places = {place for entry in shown for place in entry.places}
        issued = [self._directory.heads[place].issued for place in places if place in self._directory.heads]
        owners = sorted({entry.card.owner for entry in missing})
        return Coverage(
            cards=len(shown),
            candidates=candidates,
            compared=len(compared),
            owners=len({entry.card.owner for entry in shown}),
            oldest_head_seconds=max(0.0, time.time() - min(issued)) if issued else 0.0,
            unreachable=[f"{self._directory.name(owner)} {owner.hex()}".strip() for owner in owners],
            owners_asked=len({entry.card.owner for entry in [*compared, *missing]}),
        )


class RkmeCache:
    """Decoded specifications by card hash, bounded in bytes, oldest use out first; for any thread."""

    def __init__(self) -> None:
        self._rkmes: OrderedDict[bytes, Rkme] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Rkme | None:
        """Return a decoded specification, or None."""
        with self._lock:
            if key in self._rkmes:
                self._rkmes.move_to_end(key)
            return self._rkmes.get(key)

    def put(self, key: bytes, rkme: Rkme) -> None:
        """Keep a decoded specification for a while."""
        with self._lock:
            if key not in self._rkmes:
                self._bytes += _bytes_of(rkme)
            self._rkmes[key] = rkme
            while self._bytes > RKMES_CACHED_BYTES_MAX:
                self._bytes -= _bytes_of(self._rkmes.popitem(last=False)[1])


def _bytes_of(rkme: Rkme) -> int:
    responses = 0 if rkme.responses is None else rkme.responses.nbytes
    return int(rkme.points.nbytes + rkme.weights.nbytes + responses)


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


def _has_words(entry: Entry, text: str) -> bool:
    """Return whether every word of `text` occurs in what the card says about itself."""
    card = entry.card
    said = " ".join([card.name, card.summary, card.slug, *card.tags, *card.scenarios]).casefold()
    return all(word in said for word in text.casefold().split())


def _decode_requirement(blob: bytes) -> Rkme:
    from skerry.spec import Rkme

    return Rkme.from_bytes(blob)


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


def _decode_honest(entry: Entry, blob: bytes) -> Rkme | None:
    """Return the specification in `blob` if the card follows from it, else None."""
    from skerry.spec import Specification
    from skerry.spec.sketch import SKETCH_VERSION, Sketch, check_sketch

    card = entry.card
    try:
        rkme = Specification.from_bytes(blob).rkme
        if card.sketch_version != SKETCH_VERSION:
            return rkme if rkme.island.id == card.island else None
        claimed = Sketch.from_bytes(card.sketch_version, card.sketch, card.means, card.spreads)
    except SpecificationError:
        return None
    follows = rkme.island.id == card.island and check_sketch(claimed, rkme) is None
    return rkme if follows else None
