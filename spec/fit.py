"""Fitting reduced kernel mean embeddings.

The squared MMD between the data and the reduced set, up to the constant ``<data, data>``, is::

    f(Z, w) = w'K(Z, Z)w - 2 w'v(Z),    v_i(Z) = sum_x p_x k(z_i, x)

It is minimised jointly over points and weights. K-means gives the first points (k-means++ and a few Lloyd
steps); L-BFGS then moves points and weights together, with ``w = softmax(theta)`` keeping the weights on
the simplex and the gradient::

    df/dz_i = 4 gamma w_i ( sum_j w_j k(z_i, z_j) (z_j - z_i) - sum_x p_x k(z_i, x) (x - z_i) )
    df/dw_i = 2 (Kw)_i - 2 v_i

and at last the weights alone are solved for exactly as a quadratic program against *all* rows. (The
reference engine's gradient carries half the first sum, so its optimisation hardly leaves K-means.)

With more than ``SAMPLE_ROWS_MAX`` rows the points are fitted on a sample. For a kernel bounded by 1 the
embedding of m sampled rows is, with probability 0.95, within ``sqrt(1 / m) + sqrt(2 log(20) / m)`` of the
embedding of all rows (Smola, Gretton, Song and Schoelkopf, "A Hilbert space embedding for distributions",
2007); that bound on the MMD stands in ``meta["sample_error"]``.

Where no gamma is given, points are fitted in the data's own scale with the median heuristic, which is what
a searcher with similar data will measure in; the RKME then carries no gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from .backend import Device, Rows, filled, open_rows
from .exposing import without_light_copies
from .island import Island
from .limits import (
    BLOCK_FLOATS_MAX,
    FIT_STEPS_MAX,
    FLOAT64_ROWS_MAX,
    FLOATS_MAX,
    POINTS_DEFAULT,
    POINTS_MAX,
    QP_WEIGHTS_MAX,
    ROWS_PER_POINT_MIN,
    SAMPLE_ROWS_MAX,
)
from .metric import Scale, column_scale, kernel_block, median_gamma, squared_distances
from .rkme import Floats, Marginals, Rkme, Scalar
from .table import Names, Units, marginals_of, read_table, refusal
from .weights import simplex_weights

Predict = Callable[[Floats], Any]


def fit_table(
    X: Any,
    size: int | None = None,
    gamma: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    columns: Names = None,
    units: Units = None,
    responses: Predict | None = None,
) -> Rkme:
    """Return the RKME of a table.

    Parameters
    ----------
    X
        (n, d) array or data frame; missing values are NaN or null and stand at their column's mean in the
        fit, while the marginals keep their rate. Rows of more axes are flattened.
    size
        The number of points; min(100, n // 10), and at least 1, when None, less those that would be copies of
        lonely rows (:mod:`.exposing`). Never more than there are rows.
    gamma
        The kernel's gamma on raw columns; when None the data's own scale and the median heuristic are
        used, which is right for a specification that any searcher may measure.
    seed
        Seed of the sample and the first points; the same seed gives the same RKME on one machine.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``: a GPU where there is one and the table is large.
    columns, units
        Names of the columns, for arrays; units by name or one each.
    responses
        A model's predict function; it is called once, with the points (K, d) float64 in the given units, and
        its answers (K,) or (K, m) become the RKME's responses.

    Raises
    ------
    SpecificationError
        When the data, the size or the gamma are not acceptable; names the column or argument.
    """
    table = read_table(X, columns, units)
    rows = open_rows(table.values, device)
    rkme = fit_rows(rows, table.island, size, gamma=gamma, seed=seed)
    if size is None:
        rkme = without_light_copies(rkme, rows)
    return replace(
        rkme,
        shape=table.shape,
        responses=None if responses is None else _answers(responses, rkme.points),
    )


def fit_rows(
    rows: Rows,
    island: Island,
    size: int | None = None,
    *,
    gamma: float | None = None,
    seed: int = 0,
) -> Rkme:
    """Return the RKME of rows (n, d) of an island: of a table, or of the features of texts or images.

    Features are compared on the unit sphere (see ``metric.py``), so their points are fitted on it.

    Raises
    ------
    SpecificationError
        When the size or the gamma are not acceptable.
    """
    total, dimension = rows.shape
    count = point_count(total, dimension, size)
    sample = _sample(total, np.random.default_rng((seed, 1)))
    meta: dict[str, Scalar] = {}
    if len(sample) < total:
        meta = {"sample_rows": len(sample), "sample_error": sample_error(len(sample))}
    marginals = rows.moments()
    unit_rows = island.kind != "table"
    scale = fit_scale(rows.take(sample), None, marginals, gamma, unit_rows=unit_rows)
    with one_thread():
        points, weights = reduce_rows(rows, rows.take(sample), None, scale, count, seed)
    return Rkme(points, weights, island, gamma, (), marginals, None, meta)


def unreduced(X: Any, columns: Names = None, units: Units = None) -> Rkme:
    """Return every row of a table as a point of equal weight, for local use.

    It is the exact empirical embedding, so it is what a searcher's own machine may compare with. It is
    the data: it must never leave, and above ``POINTS_MAX`` rows it has no bytes to leave in.

    Raises
    ------
    SpecificationError
        When the data are not acceptable; names the column.
    """
    table = read_table(X, columns, units)
    marginals = marginals_of(table.values)
    points = np.where(np.isnan(table.values), marginals.location, table.values)
    shares = np.full(len(points), 1 / len(points))
    return Rkme(points, shares, table.island, None, table.shape, marginals, None, {"unreduced": True})


def point_count(rows: int, dimension: int, size: int | None) -> int:
    """Return how many points represent so many rows; refuses an impossible size."""
    if size is None:
        size = max(1, min(POINTS_DEFAULT, rows // ROWS_PER_POINT_MIN))
        return min(size, max(1, FLOATS_MAX // dimension))
    if not 1 <= size <= POINTS_MAX or size * dimension > FLOATS_MAX:
        raise refusal(
            "size", f"{size} points of {dimension} columns; at most {POINTS_MAX}, {FLOATS_MAX} values"
        )
    return min(size, rows)


def sample_error(count: int) -> float:
    """Return the bound, at probability 0.95, on the MMD between ``count`` sampled rows and all rows."""
    return float(np.sqrt(1 / count) + np.sqrt(2 * np.log(20) / count))


def fit_scale(
    rows: Floats,
    shares: Floats | None,
    marginals: Marginals,
    gamma: float | None,
    *,
    unit_rows: bool = False,
) -> Scale:
    """Return the scale to fit in: centred raw units for a given gamma, the data's own scale otherwise.

    With ``unit_rows`` rows are brought to length one, whatever the gamma.
    """
    dimension = len(marginals.location)
    unbounded = np.full(dimension, np.inf)
    if gamma is not None and not (np.isfinite(gamma) and gamma > 0):
        raise refusal("gamma", f"{gamma} is not a positive number")
    shares = np.full(len(rows), 1 / len(rows)) if shares is None else shares
    if unit_rows:
        scale = Scale.raw(dimension, 1.0, unit_rows=True)
        return replace(scale, gamma=gamma or median_gamma(scale.embed(rows), shares, unit_rows=True))
    if gamma is not None:
        return Scale(marginals.location, np.ones(dimension), unbounded, float(gamma))
    spread = column_scale(marginals).spread
    scale = Scale(marginals.location, spread, unbounded, 1.0)
    return Scale(marginals.location, spread, unbounded, median_gamma(filled(scale, rows, np.float64), shares))


def reduce_rows(
    rows: Rows, sample: Floats, shares: Floats | None, scale: Scale, count: int, seed: int
) -> tuple[Floats, Floats]:
    """Return ``count`` points (K, d) float32 in the owner's units, and weights (K,), that stand for the rows.

    ``sample`` (m, d) and ``shares`` (m,) are what the points are fitted on; ``rows`` is what the weights are.
    """
    dtype = np.float64 if len(sample) <= FLOAT64_ROWS_MAX else np.float32
    scaled = filled(scale, sample, dtype)
    shares = np.full(len(scaled), 1 / len(scaled)) if shares is None else shares
    start = kmeans(scaled, shares, count, np.random.default_rng((seed, 2))).astype(np.float64)
    if scale.unit_rows:
        start /= _lengths(start)
    moved, weights = minimise_mmd(scaled, shares, start, scale.gamma, unit_rows=scale.unit_rows)
    points = (moved * scale.spread + scale.location).astype(np.float32)
    at_points = scale.embed(points)
    if count <= QP_WEIGHTS_MAX:
        gram = kernel_block(at_points, at_points, scale.gamma)
        weights = simplex_weights(gram, rows.embedding(at_points, scale))
    return points, weights


def one_thread() -> AbstractContextManager[object]:
    """Let linear algebra use one thread: its matrices are so small here that more threads mostly wait.

    On two cores the waiting cost four times the processor time, and saved no time by the clock.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def minimise_mmd(
    rows: Floats, shares: Floats, start: Floats, gamma: float, *, unit_rows: bool = False
) -> tuple[Floats, Floats]:
    """Return points (K, d) and weights (K,) that minimise the squared MMD to weighted rows (m, d).

    With ``unit_rows`` points stay on the unit sphere: a point is ``u / |u|``, and the gradient in u is the
    part of that in the point that is tangent to the sphere, over ``|u|``.
    """
    from scipy.optimize import minimize

    count, dimension = start.shape

    def objective(flat: Floats) -> tuple[float, Floats]:
        free, theta = flat[: count * dimension].reshape(count, dimension), flat[count * dimension :]
        weights = np.exp(theta - theta.max())
        weights /= weights.sum()
        lengths = _lengths(free) if unit_rows else np.ones((count, 1))
        points = free / lengths
        value, to_points, to_weights = _value_and_gradients(rows, shares, points, weights, gamma)
        if unit_rows:
            to_points -= (to_points * points).sum(axis=1, keepdims=True) * points
            to_points /= lengths
        to_theta = weights * (to_weights - weights @ to_weights)
        return _STEEPEN * value, _STEEPEN * np.concatenate([to_points.ravel(), to_theta])

    flat = np.concatenate([start.ravel(), np.zeros(count)])
    options = {"maxiter": FIT_STEPS_MAX, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-9}
    found = minimize(objective, flat, jac=True, method="L-BFGS-B", options=options).x
    weights = np.exp(found[count * dimension :] - found[count * dimension :].max())
    points = found[: count * dimension].reshape(count, dimension)
    return points / _lengths(points) if unit_rows else points, weights / weights.sum()


def _lengths(points: Floats) -> Floats:
    """Return the length of each row (K, 1), and 1 for a row of zeros, which has no direction."""
    lengths: Floats = np.linalg.norm(points, axis=1, keepdims=True)
    return np.where(lengths > 0, lengths, 1.0)


_STEEPEN = 1e3
"""The MMD's scale is 1e-5 to 1e-2; L-BFGS-B's stopping rules are written for values around 1."""


def kmeans(rows: Floats, shares: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return ``count`` centres (K, d) of weighted rows (m, d): k-means++ and a few Lloyd steps.

    scikit-learn's KMeans would do, but it warns on repeated rows, which tables are full of, and importing it
    takes longer than all of this.
    """
    centres = _spread_out(rows, shares, count, rng)
    for _ in range(_LLOYD_STEPS):
        nearest = squared_distances(rows, centres).argmin(axis=1)
        order = np.argsort(nearest, kind="stable")
        taken, first = np.unique(nearest[order], return_index=True)
        mass = np.add.reduceat(shares[order], first)
        total = np.add.reduceat(rows[order] * shares[order, None], first, axis=0)
        keep = mass > 0
        centres[taken[keep]] = total[keep] / mass[keep, None]
    return centres


_LLOYD_STEPS = 10


def _spread_out(rows: Floats, shares: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return first centres by k-means++ (Arthur and Vassilvitskii, 2007): far rows are likelier."""
    chosen = np.empty(count, np.intp)
    nearest: Floats = np.ones(len(rows))
    for turn in range(count):
        mass: Floats = nearest * shares
        if mass.sum() <= 0:
            mass = shares
        chosen[turn] = rng.choice(len(rows), p=mass / mass.sum())
        distances = squared_distances(rows, rows[chosen[turn]][None, :])[:, 0]
        nearest = distances if turn == 0 else np.minimum(nearest, distances)
    return rows[chosen].copy()


def _value_and_gradients(
    rows: Floats, shares: Floats, points: Floats, weights: Floats, gamma: float
) -> tuple[float, Floats, Floats]:
    """Return f(Z, w) of the module's head and its gradients (K, d) and (K,)."""
    gram = kernel_block(points, points, gamma)
    smoothed = gram @ weights
    embedding, pull = _data_term(rows, shares, points, gamma)
    repulsion = gram @ (weights[:, None] * points) - smoothed[:, None] * points
    to_points = 4 * gamma * weights[:, None] * (repulsion - pull)
    return float(weights @ smoothed - 2 * weights @ embedding), to_points, 2 * (smoothed - embedding)


def _data_term(rows: Floats, shares: Floats, points: Floats, gamma: float) -> tuple[Floats, Floats]:
    """Return ``sum_x p_x k(z_i, x)`` (K,) and ``sum_x p_x k(z_i, x) (x - z_i)`` (K, d), in float64."""
    embedding, first_moment = np.zeros(len(points)), np.zeros(points.shape)
    cast = points.astype(rows.dtype)
    step = max(1, BLOCK_FLOATS_MAX // len(points))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        block = kernel_block(cast, part, gamma)
        block *= shares[start : start + step].astype(rows.dtype)
        embedding += block.sum(axis=1, dtype=np.float64)
        first_moment += block @ part
    return embedding, first_moment - embedding[:, None] * points


def _sample(count: int, rng: np.random.Generator) -> Any:
    """Return the row numbers that points are fitted on, ascending."""
    if count <= SAMPLE_ROWS_MAX:
        return np.arange(count)
    return np.sort(rng.choice(count, SAMPLE_ROWS_MAX, replace=False))


def _answers(predict: Predict, points: Floats) -> Floats:
    """Return a model's answers at the points as (K, m) float32."""
    answers = np.asarray(predict(points.astype(np.float64)), np.float32)
    return answers.reshape(len(points), -1)
