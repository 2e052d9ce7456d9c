"""Weights on the simplex: the quadratic program behind reduced sets and mixes.

Both fit a mean embedding by others: given the Gram matrix G of the parts and their inner products c with
the target, minimise ``1/2 w'Gw - c'w`` over ``w >= 0, sum w = 1``. The squared MMD to the target is twice
that value plus the target's own inner product.

A general instance goes to clarabel. The few members of a mix are solved exactly and in batches instead:
the optimum of a strictly convex program has some support, and on it it is the solution of a linear system,
so for at most five members all supports are tried (31 systems of at most 6 unknowns).
"""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np

from .limits import MIX_MEMBERS_MAX
from .rkme import Floats

RIDGE: Final = 1e-10
"""Added to the diagonal relative to its mean, so that copies among the parts leave one solution."""


def simplex_weights(gram: Floats, cross: Floats) -> Floats:
    """Return the weights (K,) on the simplex that bring the parts closest to the target.

    Parameters
    ----------
    gram
        (K, K) float64, positive semidefinite.
    cross
        (K,) float64, the inner products with the target.
    """
    if len(cross) == 1:
        return np.ones(1)
    import clarabel
    from scipy import sparse

    count = len(cross)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    objective = sparse.csc_matrix(np.triu(_with_ridge(gram)))
    constraints = sparse.vstack([np.ones((1, count)), -sparse.identity(count)], format="csc")
    bounds = np.concatenate([np.ones(1), np.zeros(count)])
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(count)]
    solution = clarabel.DefaultSolver(objective, -cross, constraints, bounds, cones, settings).solve()
    weights = np.maximum(np.asarray(solution.x), 0)
    shares: Floats = weights / weights.sum()
    return shares


def small_simplex_weights(grams: Floats, crosses: Floats) -> tuple[Floats, Floats]:
    """Return weights (B, m) and objective values (B,) of many programs of few members each.

    Parameters
    ----------
    grams
        (B, m, m) float64, m at most ``MIX_MEMBERS_MAX``.
    crosses
        (B, m) float64.
    """
    batch, members = crosses.shape
    assert members <= MIX_MEMBERS_MAX
    shares = _on_supports(_with_ridge(grams), crosses, _supports(members))
    values = 0.5 * np.einsum("sbi,bij,sbj->sb", shares, grams, shares) - np.einsum(
        "sbi,bi->sb", shares, crosses
    )
    values[(shares < 0).any(axis=2)] = np.inf
    best = values.argmin(axis=0)
    return shares[best, np.arange(batch)], values[best, np.arange(batch)]


def _supports(members: int) -> Floats:
    """Return every non-empty choice of members, (2^m - 1, m), 1 where chosen."""
    return np.array([choice for choice in product((0.0, 1.0), repeat=members) if any(choice)])


def _on_supports(grams: Floats, crosses: Floats, supports: Floats) -> Floats:
    """Return the minimisers (S, B, m) under ``sum w = 1`` that are zero outside each support."""
    batch, members = crosses.shape
    systems = np.zeros((len(supports), batch, members + 1, members + 1))
    inside = supports[:, None, :, None] * supports[:, None, None, :]
    # Outside the support the equation reads ``w = 0``.
    systems[..., :members, :members] = grams * inside + (1 - supports)[:, None, :, None] * np.eye(members)
    systems[..., :members, members] = systems[..., members, :members] = supports[:, None, :]
    right = np.ones((len(supports), batch, members + 1, 1))
    right[..., :members, 0] = crosses * supports[:, None, :]
    shares: Floats = np.linalg.solve(systems, right)[..., :members, 0] * supports[:, None, :]
    return shares


def _with_ridge(grams: Floats) -> Floats:
    """Return Gram matrices (..., m, m) with a ridge relative to the mean of their diagonals."""
    size = grams.shape[-1]
    mean = np.trace(grams, axis1=-2, axis2=-1)[..., None, None] / size
    ridged: Floats = grams + RIDGE * mean * np.eye(size)
    return ridged
