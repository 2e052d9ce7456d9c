"""Whether labelled rows could be a sample of the rows to predict.

Labels decide well between reusers where they come from the data that will be predicted, and badly where they
come from another month, ward or instrument: what fits the labelled rows best is then fitted to the wrong
rows. This can be told without looking at any label. Let z_j be the points of the requirement, w_j their
weights, mu its embedding. If the rows x_1..x_n are a sample of its data, the mean kernel value
``h_j = 1/n sum_i k(x_i, z_j)`` estimates ``mu(z_j)`` with variance ``var_i k(x_i, z_j) / n``. The *shift* is
the ratio::

    sum_j w_j (h_j - mu(z_j))^2  /  sum_j w_j var_i k(x_i, z_j) / n

whose expectation is 1 for a sample. That the points are a reduced set costs nothing but a constant: weights
that minimise the MMD under ``sum_j w_j = 1`` make ``mu(z_j)`` at every point exceed the data's mean kernel
value by the constraint's Lagrange multiplier, which is large where a few points stand for scattered rows. So
the mean by which ``mu(z_j)`` exceeds ``h_j`` is left out (ADR 0078). It is the witness function of the MMD
test of Gretton et al., "A kernel two-sample test", JMLR 13, 2012, looked at where the requirement has its
mass.

All labelled rows of a search, 20 to 300, had shifts of 0 to 0.5; with that constant, up to 16. The 24, 168
and 672 hours before 48 windows of eight weeks of air quality had medians of 18, 36 and 212, and one of these
144 was below 3.
"""

from __future__ import annotations

import numpy as np

from .backend import filled
from .metric import Scale, kernel_block
from .rkme import Floats, Rkme

SHIFT_MAX = 3.0
"""Above it, labelled rows are not taken for a sample of the requirement's data."""


def shift(requirement: Rkme, rows: Floats) -> float:
    """Return how much rows (n, d) differ from a requirement, relative to what sampling makes them differ."""
    scale = Scale.of(requirement)
    points = scale.embed_rkme(requirement)
    kernels = kernel_block(filled(scale, rows, np.float64), points, scale.gamma)
    expected = kernel_block(points, points, scale.gamma) @ requirement.weights
    differences = kernels.mean(axis=0) - expected
    multiplier = min(0.0, requirement.weights @ differences)
    difference = requirement.weights @ (differences - multiplier) ** 2
    sampling = requirement.weights @ kernels.var(axis=0) / len(rows)
    return float(difference / max(sampling, np.finfo(np.float64).tiny))
