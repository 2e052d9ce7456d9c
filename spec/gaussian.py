"""A squared MMD from column means and spreads alone: the second half of the candidate filter.

Let each column of two data sets be normal and independent of the others, in the searcher's scale, with means
``m, n`` and variances ``a, b``. Under the kernel ``exp(-gamma ||x - y||^2)`` the inner product of their mean
embeddings is then closed (Muandet, Fukumizu, Dinuzzo and Schoelkopf, "Learning from distributions via support
measure machines", 2012, table 1)::

    <P, Q> = prod_c D_c^(-1/2) exp(-gamma sum_c (m_c - n_c)^2 / D_c),     D_c = 1 + 2 gamma (a_c + b_c)

Real columns are neither normal nor independent, so this only proposes candidates. What it sees and random
features cannot: a small difference in a column of tiny unit, since each column is in the searcher's spread.

Rules of this file:

1. A million cards of thirty columns are sixty million numbers, and the time is that of the passes over them:
   constants are folded so that a column takes eleven, in place; one exponential and two roots a card remain.
2. The answer is finite whatever the cards say. Products may overflow to infinity, where the kernel is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

if TYPE_CHECKING:
    from .metric import Scale
    from .sketch import Sketch

Singles = npt.NDArray[np.float32]

_ONE: Final = np.float32(1)
_LARGE: Final = 1e30
"""Where constants are cut off: far beyond any sensible unit, and within float32."""


class GaussianDistance:
    """The squared MMD between a requirement and many cards, each as a diagonal Gaussian.

    Parameters
    ----------
    requirement
        The requirement's sketch, with d <= 64 columns.
    scale
        The metric that the requirement sets, of d columns.

    Raises
    ------
    SpecificationError
        When the two differ in columns.
    """

    def __init__(self, requirement: Sketch, scale: Scale) -> None:
        if len(scale.spread) != requirement.columns:
            raise SpecificationError(
                "The sketch and the scale do not belong together",
                where="means",
                why=f"{requirement.columns} columns, the scale has {len(scale.spread)}",
                code="E-SPEC-SKETCH",
            )
        self._columns = [
            _Column.of(requirement, scale, column)
            for column in range(requirement.columns)
            if scale.bound[column] > 0
        ]
        self._self_term = math.prod(column.self_factor for column in self._columns)

    def of(self, means: Singles, spreads: Singles) -> Singles:
        """Return the squared MMD (n,) float32 to the cards with these means and spreads, both (d, n)."""
        count = means.shape[1]
        exponent, product, own = (
            np.zeros(count, np.float32),
            np.ones(count, np.float32),
            np.ones(count, np.float32),
        )
        work = np.empty(count, np.float32), np.empty(count, np.float32)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for column in self._columns:
                column.accumulate(means[column.index], spreads[column.index], exponent, product, own, work)
            exponent *= np.float32(-0.5)
            cross = np.exp(exponent, out=exponent)
            product *= np.float32(2.0 ** -len(self._columns))
            cross /= np.sqrt(product, out=product)
            distances: Singles = np.reciprocal(np.sqrt(own, out=own), out=own)
            distances -= 2 * np.fmax(cross, 0, out=cross)
        distances += np.float32(self._self_term)
        return distances


@dataclass(frozen=True)
class _Column:
    """One column of a requirement, folded into the constants of the passes.

    With ``rate = 2 sqrt(gamma) / spread`` and ``u = (rate s)^2`` for a card's spread ``s``, its own inner
    product has the factor ``(1 + u)^(-1/2)``; ``2 D = base + u``; and the exponent is half the sum of
    ``(rate (mean - m))^2 / (2 D)``.
    """

    index: int
    mean: np.float32
    rate: np.float32
    base: np.float32
    self_factor: float
    low: float
    high: float
    spread_max: float

    @classmethod
    def of(cls, requirement: Sketch, scale: Scale, index: int) -> _Column:
        unit, bound = float(scale.spread[index]), float(scale.bound[index])
        low, high = float(scale.location[index]) - bound * unit, float(scale.location[index]) + bound * unit
        spread = min(float(requirement.spreads[index]) / unit, bound, math.sqrt(_LARGE))
        return cls(
            index,
            np.float32(min(max(float(requirement.means[index]), low), high)),
            np.float32(min(2 * math.sqrt(scale.gamma) / unit, _LARGE)),
            np.float32(min(2 + 4 * scale.gamma * spread**2, _LARGE)),
            (1 + 4 * scale.gamma * spread**2) ** -0.5,
            low,
            high,
            bound * unit,
        )

    def accumulate(
        self,
        means: Singles,
        spreads: Singles,
        exponent: Singles,
        product: Singles,
        own: Singles,
        work: tuple[Singles, Singles],
    ) -> None:
        """Multiply this column into ``product`` (of 2 D) and ``own``, and add it to ``exponent``."""
        term, offset = work
        if math.isfinite(self.high):
            means, spreads = np.clip(means, self.low, self.high), np.minimum(spreads, self.spread_max)
        np.multiply(spreads, self.rate, out=term)
        term *= term
        np.add(term, _ONE, out=offset)
        own *= offset
        term += self.base
        product *= term
        np.subtract(means, self.mean, out=offset)
        offset *= self.rate
        offset *= offset
        offset /= term
        exponent += offset
