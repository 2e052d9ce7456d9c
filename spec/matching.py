"""Which column of one table is which column of another, when names and units differ.

Two specifications of the same kind of measurement agree in more than names: in the shape of each column, in
the ratio of its mean to its spread, and above all in how columns go together. All of it is in the weighted
points. A matching p minimises::

    sum_i U(i, p(i)) + PAIRS / n * sum_ik |r(i, k) - s(p(i), p(k))|

where r and s are the correlations of the points, and a column left unmatched costs ``UNMATCHED``. U adds up

- the distance of the quantiles, each column in its own mean and spread, which no change of unit alters;
- the difference of ``asinh(mean / spread)``, which no change of a unit without offset alters, bounded, since
  one with an offset (degrees) does;
- how unlike the names are: the text extractor's cosine, or how well one abbreviates the other ("DEWP" for
  "dew point"); names that share little say nothing, for or against.

This is a quadratic assignment; it is descended by moves and swaps from several starts. The *confidence* of a
match is how much the cost would rise if that column went elsewhere.

Rules of this file:

1. Units that are known on both sides decide: columns whose units cannot be converted are never matched.
2. Where a unit is unknown, a usual change of units is taken when it brings one column near the other; only
   otherwise mean and spread are brought onto each other, which hides a true difference between two
   populations.
3. Equal specifications and seeds give equal matches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .island import Column
from .limits import MATCHED_COLUMNS_MAX
from .rkme import Floats, Marginals, Rkme
from .units import conversion

NAMES: Final = 2.0
"""Weight of the names; 1, 2 and 3 all found .97 of the air stations' columns and .93 of the hospitals'."""

PAIRS: Final = 2.0
"""Weight of the correlations; at 0 half of the columns were found, at 1 to 3 nearly all."""

MEAN_TO_SPREAD: Final = 0.3
MEAN_TO_SPREAD_MAX: Final = 1.5
UNMATCHED: Final = 4.0
"""Cost of leaving a column unmatched; right matches cost 1 to 3, the latter where names say nothing. Where
one table has fewer columns, those that fit worst stay out in any case."""

NAME_ALIKE_MIN: Final = 0.5
NAME_ALIKE_SURE: Final = 0.85
STARTS: Final = 12
MISFIT_MAX: Final = 4.0
"""Squared misfit up to which a usual change of units explains two columns: two spreads apart, or spreads that
differ by e squared. Winter and summer of one station differ by more."""

POWERS_OF_TEN: Final = (-6, -3, -2, -1, 0, 1, 2, 3, 6)
USUAL_CHANGES: Final = (
    ("degC", "degF"), ("degC", "K"), ("degF", "K"), ("m/s", "km/h"), ("m/s", "mph"), ("km/h", "mph"),
    ("cm", "in"), ("mm", "in"), ("m", "ft"), ("km", "mi"), ("kg", "lb"), ("hPa", "mmHg"), ("kPa", "mmHg"),
    ("kcal", "kJ"), ("deg", "rad"), ("s", "min"), ("min", "h"), ("h", "d"),
)  # fmt: skip
"""Units that one institution writes and another does not, beside powers of ten. All pairs of the table would
explain anything: 1,440 minutes a day, 860 calories a watt hour, 365 days a year."""

UNUSUAL: Final = 0.3
"""Misfit that anything but a power of ten must make up for."""

CONFIDENCE_HALF: Final = 0.5
"""Rise of the cost at which a match is called as likely as not."""

_QUANTILES: Final = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class Match:
    """One column of a searcher's table that is one of an owner's.

    Parameters
    ----------
    source, target
        Positions of the searcher's and of the owner's column.
    factor, offset
        The owner's value is ``factor * value + offset``.
    confidence
        In [0, 1): how surely it is this one and no other.
    """

    source: int
    target: int
    factor: float
    offset: float
    confidence: float


def match_columns(ours: Rkme, theirs: Rkme, seed: int = 0) -> tuple[Match, ...]:
    """Match the columns of two tables by names, shapes and correlations.

    Parameters
    ----------
    ours, theirs
        Specifications of the searcher's and of the owner's table, of any numbers of columns.
    seed
        Of the starts of the descent.

    Returns
    -------
    tuple of Match
        At most one for each column, in the searcher's order.

    Raises
    ------
    SpecificationError
        ``E-SPEC-BRIDGE`` when one is no table or has more than ``MATCHED_COLUMNS_MAX`` columns.
    """
    for rkme in (ours, theirs):
        if rkme.kind != "table" or rkme.dimension > MATCHED_COLUMNS_MAX:
            raise SpecificationError(
                "The columns cannot be matched",
                where=f"{rkme.kind} of {rkme.dimension} columns",
                why=f"tables of at most {MATCHED_COLUMNS_MAX} columns are matched",
                todo="Select the columns that matter",
                code="E-SPEC-BRIDGE",
            )
    problem = _Assignment(_unlikeness(ours, theirs), _correlations(ours), _correlations(theirs))
    places, rises = problem.solve(np.random.default_rng(seed))
    return tuple(
        Match(
            source,
            int(place),
            *_conversion(ours, source, theirs, int(place)),
            confidence=float(rise / (rise + CONFIDENCE_HALF)),
        )
        for source, (place, rise) in enumerate(zip(places, rises, strict=True))
        if place < theirs.dimension
    )


class _Assignment:
    """The quadratic assignment of n columns to m places and n more that stand for none."""

    def __init__(self, unlike: Floats, ours: Floats, theirs: Floats) -> None:
        count, places = unlike.shape
        self._cost = np.concatenate([unlike, np.full((count, count), UNMATCHED)], axis=1)
        self._ours = ours
        self._theirs = np.full((places + count, places + count), np.nan)
        self._theirs[:places, :places] = theirs
        self._weight = PAIRS / count

    def solve(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], Floats]:
        """Return the best places found, and by how much the cost rises if each column leaves its own."""
        from scipy.optimize import linear_sum_assignment

        best, least = None, np.inf
        for start in range(STARTS):
            noise = 0.3 * rng.gumbel(size=self._cost.shape) if start else 0.0
            places = self._descend(linear_sum_assignment(self._cost + noise)[1])
            cost = self._total(places)
            if cost < least - 1e-12:
                best, least = places, cost
        assert best is not None
        return best, np.array([self._rise(best, column) for column in range(len(best))])

    def _descend(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return places from which no single move or swap leads further down."""
        moved = True
        while moved:
            moved = False
            for column in range(len(places)):
                other, rise = self._best_move(places, column)
                if rise < -1e-9:
                    places, moved = other, True
        return places

    def _rise(self, places: npt.NDArray[np.intp], column: int) -> float:
        return max(0.0, self._best_move(places, column)[1])

    def _best_move(self, places: npt.NDArray[np.intp], column: int) -> tuple[npt.NDArray[np.intp], float]:
        """Return the best places with this column elsewhere, and by how much they cost more."""
        now = self._total(places)
        best, least = places, np.inf
        for place in self._promising(places, column):
            moved = places.copy()
            moved[places == place] = places[column]
            moved[column] = place
            cost = self._total(moved)
            if cost < least:
                best, least = moved, cost
        return best, least - now

    def _promising(self, places: npt.NDArray[np.intp], column: int) -> list[int]:
        """Return all other real places, and one of those that stand for none."""
        real = len(self._theirs) - len(places)
        nowhere = [place for place in range(real, len(self._theirs)) if place not in places][:1]
        return [place for place in (*range(real), *nowhere) if place != places[column]]

    def _total(self, places: npt.NDArray[np.intp]) -> float:
        pairs = np.abs(self._ours - self._theirs[np.ix_(places, places)])
        return float(self._cost[np.arange(len(places)), places].sum() + self._weight * np.nansum(pairs))


def _unlikeness(ours: Rkme, theirs: Rkme) -> Floats:
    """Return the cost U (n, m) of matching each column with each other by itself."""
    shapes = np.abs(_quantiles(ours)[:, None] - _quantiles(theirs)[None]).mean(axis=2)
    relative = np.abs(_mean_to_spread(ours.marginals)[:, None] - _mean_to_spread(theirs.marginals)[None])
    cost: Floats = shapes + MEAN_TO_SPREAD * np.minimum(relative, MEAN_TO_SPREAD_MAX)
    if ours.columns is not None and theirs.columns is not None:
        cost = cost + NAMES * (1 - _names_alike(ours.columns, theirs.columns))
        cost[~_convertible(ours.columns, theirs.columns)] = 1e6
    return cost


def _standardised(rkme: Rkme) -> Floats:
    points = np.asarray(rkme.points, np.float64)
    centred = points - rkme.weights @ points
    spread = np.sqrt(rkme.weights @ centred**2)
    scaled: Floats = centred / np.where(spread > 0, spread, 1.0)
    return scaled


def _correlations(rkme: Rkme) -> Floats:
    scaled = _standardised(rkme)
    correlations: Floats = (scaled * rkme.weights[:, None]).T @ scaled
    return correlations


def _quantiles(rkme: Rkme) -> Floats:
    """Return the weighted quantiles (d, 19) of each standardised column."""
    scaled = _standardised(rkme)
    rows = []
    for column in scaled.T:
        order = np.argsort(column, kind="stable")
        shares = np.cumsum(rkme.weights[order]) - rkme.weights[order] / 2
        rows.append(np.interp(_QUANTILES, shares, column[order]))
    return np.array(rows)


def _mean_to_spread(marginals: Marginals) -> Floats:
    relative: Floats = np.arcsinh(marginals.location / np.where(marginals.spread > 0, marginals.spread, 1.0))
    return relative


def _convertible(ours: Sequence[Column], theirs: Sequence[Column]) -> Any:
    return np.array(
        [[conversion(one.unit, other.unit) is not None for other in theirs] for one in ours], bool
    )


def _names_alike(ours: Sequence[Column], theirs: Sequence[Column]) -> Floats:
    """Return in [0, 1] how surely two names mean the same, (n, m); 0 where they say nothing."""
    from .extractors.hashed import HashedNgrams

    extractor = HashedNgrams()
    first, second = [words(column.name) for column in ours], [words(column.name) for column in theirs]
    alike = np.asarray(extractor(first) @ extractor(second).T, np.float64)
    for row, one in enumerate(first):
        for place, other in enumerate(second):
            short, long = sorted((one, other), key=len)
            alike[row, place] = max(alike[row, place], abbreviation(short, long))
    sure: Floats = np.clip((alike - NAME_ALIKE_MIN) / (NAME_ALIKE_SURE - NAME_ALIKE_MIN), 0, 1)
    return sure


def words(name: str) -> str:
    """Return a column's name as small words: "airTemp_C" becomes "air temp c"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[\W_]+", " ", apart).strip().lower()


def abbreviation(short: str, long: str) -> float:
    """Return in [0, 1] how well one name abbreviates another.

    The share of its letters that are beginnings of the other's words, in order, times ``1 - 1 / letters``: of
    two letters nearly every name has a pair.
    """
    letters, whole = re.sub(r"[^a-z0-9]", "", short.lower()), tuple(long.split())
    if not letters:
        return 0.0

    @cache
    def covered(letter: int, word: int) -> int:
        if letter == len(letters) or word == len(whole):
            return 0
        best = max(covered(letter, word + 1), covered(letter + 1, word))
        for length, wanted in enumerate(whole[word][: len(letters) - letter], start=1):
            if letters[letter + length - 1] != wanted:
                break
            best = max(best, length + covered(letter + length, word + 1))
        return best

    return covered(0, 0) / len(letters) * (1 - 1 / len(letters))


def _conversion(ours: Rkme, source: int, theirs: Rkme, target: int) -> tuple[float, float]:
    """Return factor and offset from the searcher's unit to the owner's."""
    units = [
        "" if rkme.columns is None else rkme.columns[place].unit
        for rkme, place in ((ours, source), (theirs, target))
    ]
    if all(units):
        known = conversion(*units)
        assert known is not None
        return known
    means = ours.marginals.location[source], theirs.marginals.location[target]
    spreads = ours.marginals.spread[source], theirs.marginals.spread[target]
    if min(spreads) <= 0:
        return 1.0, float(means[1] - means[0])

    def misfit(turn: tuple[float, float]) -> float:
        factor, offset = turn
        return float(
            ((factor * means[0] + offset - means[1]) / spreads[1]) ** 2
            + np.log(factor * spreads[0] / spreads[1]) ** 2
        )

    best = min(_conversions(), key=misfit)
    if misfit(best) <= MISFIT_MAX:
        return best
    factor = float(spreads[1] / spreads[0])
    return factor, float(means[1] - factor * means[0])


def _unit(rkme: Rkme, place: int) -> str:
    return "" if rkme.columns is None else rkme.columns[place].unit


@lru_cache(maxsize=1)
def _conversions() -> tuple[tuple[float, float], ...]:
    """Return the usual changes of units, none at all included."""
    pairs = [pair for one, other in USUAL_CHANGES for pair in ((one, other), (other, one))]
    turns = [conversion(*pair) for pair in pairs]
    return (
        *((10.0**power, 0.0) for power in POWERS_OF_TEN),
        *(turn for turn in turns if turn is not None),
    )
