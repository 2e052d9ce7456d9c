"""Kernel herding: rows that stand for the data behind an RKME.

Herding (Chen, Welling and Smola, "Super-samples from kernel herding", UAI 2010) picks rows one after the
other so that their mean embedding approaches the RKME's: each pick maximises
``(t + 1) mu(x) - sum_{s < t} k(x_s, x)`` over candidates. The candidates are the points themselves and points
moved by Gaussian noise of the kernel's width, drawn by weight.
"""

from __future__ import annotations

import numpy as np

from skerry.errors import SpecificationError

from .limits import HERD_CANDIDATES_MAX, HERD_ROWS_MAX
from .metric import Scale, kernel_block
from .rkme import Floats, Rkme


def herd(rkme: Rkme, n: int, seed: int) -> Floats:
    """Return ``n`` rows (n, d) float64, in the owner's units, that stand for the data behind ``rkme``.

    Costs O(n * candidates * d): the kernel sums of the candidates are kept, not recomputed.

    Raises
    ------
    SpecificationError
        When ``n`` is not between 1 and ``HERD_ROWS_MAX``.
    """
    if not 1 <= n <= HERD_ROWS_MAX:
        raise SpecificationError(
            "So many rows cannot be herded",
            where="n",
            why=f"{n} is not between 1 and {HERD_ROWS_MAX}",
            code="E-SPEC-LIMIT",
        )
    scale = Scale.of(rkme)
    points = scale.embed(rkme.points)
    candidates = _candidates(rkme, scale, n, np.random.default_rng(seed))
    scaled = scale.embed(candidates)
    embedding = kernel_block(scaled, points, scale.gamma) @ rkme.weights
    herded_sum = np.zeros(len(candidates))
    picked = np.empty(n, np.intp)
    for turn in range(n):
        picked[turn] = best = int(np.argmax((turn + 1) * embedding - herded_sum))
        herded_sum += kernel_block(scaled[best : best + 1], scaled, scale.gamma)[0]
    return candidates[picked]


def _candidates(rkme: Rkme, scale: Scale, n: int, rng: np.random.Generator) -> Floats:
    """Return the points and moved points, weighted by draw, in the owner's units."""
    count = min(max(20 * n, 1_000), HERD_CANDIDATES_MAX)
    drawn = rng.choice(len(rkme), size=count, p=rkme.weights / rkme.weights.sum())
    # exp(-gamma r^2) is a Gaussian of variance 1 / (2 gamma); a quarter of its width stays inside the bump.
    width = 0.25 / np.sqrt(2 * scale.gamma)
    noise = rng.standard_normal((count, rkme.dimension)) * width * rkme.marginals.spread
    return np.concatenate([rkme.points.astype(np.float64), rkme.points[drawn] + noise])
