"""The exact comparison: full specifications against a requirement, and the mix of the nearest.

Theory of operation. Candidates of the requirement's own island, and of islands that have all of its columns,
are compared on all its columns. A candidate that lacks some is compared on those that it has; it comes after
the others, whatever its distance, since what was compared of it is less: on one shared column everybody is
near. Within either part the nearest comes first.

Rules of this file:

1. Distances are of verified specifications only: one from which its card does not follow is dishonest.
2. A disputed card is never in the mix, nor one of another island: the mix wants models that take the rows as
   they are.
3. What computes here runs in a thread and touches nothing that others change.
4. What was verified once is verified: a card's hash fixes both its sketch and its specification.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from skerry.errors import SpecificationError
from skerry.node.limits import RKME_OBJECTS_BYTES, RKMES_CACHED_BYTES_MAX
from skerry.spec.limits import MIX_CANDIDATES_MAX, MIX_MEMBERS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from skerry.protocol.api import SearchRequest
    from skerry.protocol.card import Card
    from skerry.spec import Mix, Rkme, Scale
    from skerry.spec.bridging import Sharing
    from skerry.spec.sketch import Sketch


@dataclass(frozen=True)
class Asking:
    """A requirement and what follows from it, computed in the thread that wants it first."""

    requirement: Rkme

    @classmethod
    def read(cls, blob: bytes) -> Asking:
        """Return what was asked for; raises a SpecificationError when that is no specification."""
        from skerry.spec import Rkme

        return cls(Rkme.from_bytes(blob))

    @cached_property
    def scale(self) -> Scale:
        """Return the metric that the requirement sets."""
        from skerry.spec import Scale

        return Scale.of(self.requirement)

    def sketched(self, sharing: Sharing | None) -> tuple[Sketch, Scale]:
        """Return sketch and metric, on an island that shares something those of what is shared."""
        from skerry.spec import Scale
        from skerry.spec.sketch import sketch_of

        if sharing is None:
            return sketch_of(self.requirement), self.scale
        shared = sharing.from_here(self.requirement)
        return sketch_of(shared), Scale.of(shared)


@dataclass(frozen=True)
class Candidate:
    """A card that is worth an exact comparison."""

    row: int
    hash: bytes
    sharing: Sharing | None = None
    """What its island shares with the requirement's; None for the same island."""
    disputed: bool = False


@dataclass(frozen=True)
class Known:
    """What a search needs of a card whose specification was verified."""

    owner: bytes
    rkme: Rkme


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
    mixable: list[int] = field(default_factory=list)
    """Positions in ``nearest`` that the mix was chosen from."""
    mix: Mix | None = None

    def members(self) -> list[int]:
        """Return the positions in ``nearest`` of the mix's members."""
        return [] if self.mix is None else [self.mixable[at] for at in self.mix.indices]

    def shown(self, count: int) -> list[int]:
        """Return the positions of the first ``count`` and of the mix's members, best first."""
        members = self.members()
        return [at for at in range(len(self.nearest)) if at < count or at in members]


class KnownCards:
    """Verified specifications by card hash, bounded in bytes, oldest use out first; for the event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._bytes = 0

    def of(self, hashes: Iterable[bytes]) -> dict[bytes, Known]:
        """Return what is known of some cards."""
        found = {digest: known for digest in hashes if (known := self._known.get(digest)) is not None}
        for digest in found:
            self._known.move_to_end(digest)
        return found

    def put(self, digest: bytes, known: Known) -> None:
        """Keep a verified specification for a while."""
        if digest not in self._known:
            self._bytes += _bytes_of(known.rkme)
        self._known[digest] = known
        while self._bytes > RKMES_CACHED_BYTES_MAX:
            self._bytes -= _bytes_of(self._known.popitem(last=False)[1].rkme)

    def forget(self, hashes: Iterable[bytes]) -> None:
        """Keep nothing of cards that are gone."""
        for digest in hashes:
            if (known := self._known.pop(digest, None)) is not None:
                self._bytes -= _bytes_of(known.rkme)


def compare(
    asking: Asking, candidates: Sequence[Candidate], known: Mapping[bytes, Known], request: SearchRequest
) -> Compared:
    """Rank and mix those candidates of which something is known, by card hash."""
    there = [(candidate, known[candidate.hash].rkme) for candidate in candidates if candidate.hash in known]
    compared = Compared(_measure(asking, there))
    _mix(asking, compared, request)
    return compared


def honest_rkme(card: Card, blob: bytes) -> Rkme | None:
    """Return the specification in `blob` if the card follows from it, else None."""
    return honest_rkmes([(card, blob)])[0]


def honest_rkmes(came: Sequence[tuple[Card, bytes]]) -> list[Rkme | None]:
    """Return of each blob the specification if the card follows from it, else None."""
    from skerry.spec import Specification
    from skerry.spec.sketch import SKETCH_VERSION

    rkmes = Specification.rkmes_in([blob for _, blob in came])
    honest = [
        rkme if rkme is not None and rkme.island.id == card.island else None
        for (card, _), rkme in zip(came, rkmes, strict=True)
    ]
    # Where the version of a card's sketch is not known here, nothing follows and nothing contradicts.
    claims: defaultdict[int, list[tuple[int, Rkme]]] = defaultdict(list)
    for at, ((card, _), rkme) in enumerate(zip(came, honest, strict=True)):
        if rkme is not None and card.sketch_version == SKETCH_VERSION:
            claims[len(card.means)].append((at, rkme))
    for members in claims.values():
        follows = _follow([came[at][0] for at, _ in members], [rkme for _, rkme in members])
        for (at, _), holds in zip(members, follows, strict=True):
            honest[at] = honest[at] if holds else None
    return honest


def _follow(cards: Sequence[Card], rkmes: Sequence[Rkme]) -> list[bool]:
    """Return which cards' sketches follow from the specifications, of cards with equally many means."""
    from skerry.spec.sketch import SketchBlock, follow_from

    fields = ([getattr(card, name) for card in cards] for name in ("sketch", "means", "spreads"))
    try:
        block = SketchBlock.from_bytes(*fields)
    except SpecificationError:
        if len(cards) == 1:
            return [False]
        return [_follow([card], [rkme])[0] for card, rkme in zip(cards, rkmes, strict=True)]
    follows: list[bool] = follow_from(block, rkmes).tolist()
    return follows


def _measure(asking: Asking, honest: Sequence[tuple[Candidate, Rkme]]) -> list[Measured]:
    """Return the candidates with their distances: those compared on all columns first, then by distance."""
    from skerry.spec import Scale
    from skerry.spec.ranking import rank

    groups: defaultdict[tuple[int, ...], list[tuple[Candidate, Rkme]]] = defaultdict(list)
    requirement = asking.requirement
    whole = tuple(range(requirement.dimension))
    for candidate, rkme in honest:
        groups[candidate.sharing.here if candidate.sharing is not None else whole].append((candidate, rkme))
    measured: list[Measured] = []
    for here, members in groups.items():
        asked, scale = requirement, asking.scale
        if here != whole and members[0][0].sharing is not None:
            asked = members[0][0].sharing.from_here(requirement)
            scale = Scale.of(asked)
        ranking = rank(asked, [_aligned(candidate, rkme) for candidate, rkme in members], scale=scale)
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


def _mix(asking: Asking, compared: Compared, request: SearchRequest) -> None:
    """Choose the mix from the nearest that may be in one."""
    from skerry.spec import mix

    compared.mixable = [
        at
        for at, item in enumerate(compared.nearest)
        if item.candidate.sharing is None and not item.candidate.disputed
    ][:MIX_CANDIDATES_MAX]
    size = min(request.mix_size, MIX_MEMBERS_MAX)
    if compared.mixable and size:
        rkmes = [compared.nearest[at].rkme for at in compared.mixable]
        compared.mix = mix(asking.requirement, rkmes, size, scale=asking.scale)


def _bytes_of(rkme: Rkme) -> int:
    responses = 0 if rkme.responses is None else rkme.responses.nbytes
    return int(rkme.points.nbytes + rkme.weights.nbytes + responses) + RKME_OBJECTS_BYTES
