"""Weights on the simplex: the quadratic program behind reduced sets and mixes.

Both fit a mean embedding by others: given the Gram matrix G of the parts and their inner products c with
the target, minimise ``1/2 w'Gw - c'w`` over ``w >= 0, sum w = 1``. The squared MMD to the target is twice
that value plus the target's own inner product.

A general instance goes to clarabel. The few members of a mix are solved exactly and in batches instead:
the optimum of a strictly convex program has some support, and on it it is the solution of a linear system,
so for at most five members all supports are tried (31 systems of at most 6 unknowns).
"""

from __future__ import annotations

from itertools import combinations
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
    best = np.full(batch, np.inf)
    weights = np.zeros((batch, members))
    grams = _with_ridge(grams)
    for support in _supports(members):
        share = _on_support(grams, crosses, support)
        value = 0.5 * np.einsum("bi,bij,bj->b", share, grams, share) - np.einsum("bi,bi->b", share, crosses)
        better = (share >= 0).all(axis=1) & (value < best)
        best[better], weights[better] = value[better], share[better]
    return weights, best


def _supports(members: int) -> list[tuple[int, ...]]:
    return [support for size in range(1, members + 1) for support in combinations(range(members), size)]


def _on_support(grams: Floats, crosses: Floats, support: tuple[int, ...]) -> Floats:
    """Return the minimiser (B, m) under ``sum w = 1`` that is zero outside ``support``."""
    index = np.array(support)
    size = len(index)
    system = np.zeros((len(crosses), size + 1, size + 1))
    system[:, :size, :size] = grams[:, index[:, None], index[None, :]]
    system[:, :size, size] = system[:, size, :size] = 1
    right = np.ones((len(crosses), size + 1, 1))
    right[:, :size, 0] = crosses[:, index]
    share = np.zeros(crosses.shape)
    share[:, index] = np.linalg.solve(system, right)[:, :size, 0]
    return share


def _with_ridge(gram: Floats) -> Floats:
    """Return Grams (..., m, m) with a small share of their mean diagonal added to it."""
    size = gram.shape[-1]
    ridge: Floats = RIDGE / size * np.trace(gram, axis1=-2, axis2=-1)
    return gram + ridge[..., None, None] * np.eye(size)
