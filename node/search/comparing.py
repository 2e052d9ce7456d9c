"""The exact comparison: full specifications against a requirement, and the mix of the nearest.

Theory of operation. Candidates of the requirement's own island, and of islands that have all of its columns,
are compared on all its columns. A candidate that lacks some is compared on those that it has; it comes after
the others, whatever its distance, since what was compared of it is less: on one shared column everybody is
near. Within either part the nearest comes first.

Rules of this file:

1. Distances are of verified specifications only: one from which its card does not follow is dishonest.
2. A disputed card is never in the mix, nor one of another island: the mix wants models that take the rows as
   they are.
3. Everything here runs in a thread and touches nothing that others change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skerry.errors import SpecificationError
from skerry.node.limits import RKMES_CACHED_BYTES_MAX
from skerry.spec.limits import MIX_CANDIDATES_MAX, MIX_MEMBERS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skerry.protocol.api import SearchRequest
    from skerry.spec import Mix, Rkme
    from skerry.spec.bridging import Sharing
    from skerry.spec.sketch import Sketch

    from .index import Entry


@dataclass(frozen=True)
class Candidate:
    """A card that is worth an exact comparison."""

    entry: Entry
    sharing: Sharing | None = None
    """What its island shares with the requirement's; None for the same island."""
    disputed: bool = False


@dataclass(frozen=True)
class Measured:
    """A candidate and its distance."""

    candidate: Candidate
    rkme: Rkme
    """Its specification."""
    mmd2: float
    cosine: float


@dataclass
class Compared:
    """What the exact comparison found."""

    nearest: list[Measured] = field(default_factory=list)
    """Best first."""
    dishonest: list[Entry] = field(default_factory=list)
    """Those whose card does not follow from its specification."""
    mixable: list[int] = field(default_factory=list)
    """Positions in ``nearest`` that the mix was chosen from."""
    mix: Mix | None = None


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


def compare(
    requirement: Rkme,
    candidates: Sequence[Candidate],
    had: Mapping[bytes, Rkme | bytes],
    request: SearchRequest,
    cache: RkmeCache,
) -> Compared:
    """Decode, rank and mix the candidates whose specification could be had.

    Parameters
    ----------
    had
        By card hash, the specification or the blob that came.
    cache
        Where decoded specifications go.
    """
    compared = Compared()
    honest: list[tuple[Candidate, Rkme]] = []
    there = [candidate for candidate in candidates if candidate.entry.hash in had]
    came = [(item.entry, blob) for item in there if isinstance(blob := had[item.entry.hash], bytes)]
    checked = {entry.hash: rkme for (entry, _), rkme in zip(came, honest_rkmes(came), strict=True)}
    for candidate in there:
        digest = candidate.entry.hash
        known = had[digest]
        rkme = checked[digest] if isinstance(known, bytes) else known
        if rkme is None:
            compared.dishonest.append(candidate.entry)
            continue
        honest.append((candidate, rkme))
        cache.put(digest, rkme)
    compared.nearest = _measure(requirement, honest)
    _mix(requirement, compared, request)
    return compared


def honest_rkme(entry: Entry, blob: bytes) -> Rkme | None:
    """Return the specification in `blob` if the card follows from it, else None."""
    return honest_rkmes([(entry, blob)])[0]


def honest_rkmes(came: Sequence[tuple[Entry, bytes]]) -> list[Rkme | None]:
    """Return of each blob the specification if the card follows from it, else None."""
    from skerry.spec.sketch import check_sketches

    claims = [_claim(entry, blob) for entry, blob in came]
    checked = [claim for claim in claims if claim is not None and claim.sketch is not None]
    sketches = [claim.sketch for claim in checked if claim.sketch is not None]
    reasons = check_sketches(sketches, [claim.rkme for claim in checked])
    liars = {id(claim) for claim, reason in zip(checked, reasons, strict=True) if reason is not None}
    return [None if claim is None or id(claim) in liars else claim.rkme for claim in claims]


@dataclass(frozen=True)
class _Claim:
    """A specification, and what its card says of it."""

    rkme: Rkme
    sketch: Sketch | None
    """None where the card's version of sketches is not known here."""


def _claim(entry: Entry, blob: bytes) -> _Claim | None:
    """Decode a specification and the sketch of its card; None when they are none, or of two islands."""
    from skerry.spec import Specification
    from skerry.spec.sketch import SKETCH_VERSION, Sketch

    card = entry.card
    try:
        rkme = Specification.rkme_in(blob)
        sketch = None
        if card.sketch_version == SKETCH_VERSION:
            sketch = Sketch.from_bytes(card.sketch_version, card.sketch, card.means, card.spreads)
    except SpecificationError:
        return None
    return _Claim(rkme, sketch) if rkme.island.id == card.island else None


def _measure(requirement: Rkme, honest: Sequence[tuple[Candidate, Rkme]]) -> list[Measured]:
    """Return the candidates with their distances: those compared on all columns first, then by distance."""
    from skerry.spec.ranking import rank

    groups: defaultdict[tuple[int, ...], list[tuple[Candidate, Rkme]]] = defaultdict(list)
    whole = tuple(range(requirement.dimension))
    for candidate, rkme in honest:
        groups[candidate.sharing.here if candidate.sharing is not None else whole].append((candidate, rkme))
    measured: list[Measured] = []
    for here, members in groups.items():
        asking = requirement
        if here != whole and members[0][0].sharing is not None:
            asking = members[0][0].sharing.from_here(requirement)
        ranking = rank(asking, [_aligned(candidate, rkme) for candidate, rkme in members])
        for at, mmd2, cosine in zip(ranking.indices, ranking.mmd2, ranking.cosines, strict=True):
            candidate, rkme = members[at]
            measured.append(Measured(candidate, rkme, float(mmd2), max(0.0, float(cosine))))
    return sorted(measured, key=lambda item: (_lacks(item.candidate), item.mmd2))


def _aligned(candidate: Candidate, rkme: Rkme) -> Rkme:
    return rkme if candidate.sharing is None else candidate.sharing.from_there(rkme)


def _lacks(candidate: Candidate) -> bool:
    """Return whether a candidate was compared on a part of the requirement's columns."""
    sharing = candidate.sharing
    return sharing is not None and len(sharing.here) < sharing.columns_here


def _mix(requirement: Rkme, compared: Compared, request: SearchRequest) -> None:
    """Choose the mix from the nearest that may be in one."""
    from skerry.spec import mix

    compared.mixable = [
        at
        for at, item in enumerate(compared.nearest)
        if item.candidate.sharing is None and not item.candidate.disputed
    ][:MIX_CANDIDATES_MAX]
    size = min(request.mix_size, MIX_MEMBERS_MAX)
    if compared.mixable and size:
        compared.mix = mix(requirement, [compared.nearest[at].rkme for at in compared.mixable], size)


def _bytes_of(rkme: Rkme) -> int:
    responses = 0 if rkme.responses is None else rkme.responses.nbytes
    return int(rkme.points.nbytes + rkme.weights.nbytes + responses)
