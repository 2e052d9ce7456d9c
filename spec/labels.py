"""Labels: what a learnware's loss will be, from its specification and a few labels of the searcher.

Marginal distances cannot tell apart two models of the same inputs and different concepts. An owner may
therefore publish what the model answers at the specification's points (its *responses*). They are enough
to guess what it answers nearby, so that its loss on the searcher's labelled rows can be estimated before
anything is fetched, and without a label leaving the searcher's machine.

The guess is a ridge regression, in the owner's own scale ``u``, of the responses on a kernel and a linear
term::

    g(x) = sum_j a_j (k(u, u_j) + LINEAR u.u_j / d + 1),   a = (K + lambda I)^-1 responses

with ``lambda`` chosen among a few by the leave-one-out error, whose closed form for ridge is
``residual_j / (1 - H_jj)`` (Allen, Technometrics 16, 1974). A classifier's responses are probabilities: they
are regressed as centred logarithms and come back through a softmax; its loss is the log-loss in nats. A
regressor's loss is the squared error in squared units of the target.

Rules of this file:

1. Guesses never leave the range of the responses: far from the points a linear term means nothing.
2. Intervals speak of the labelled rows alone. Rows that follow each other in time are not independent: where
   losses in the order given are correlated, they count for as many as an autoregression would leave.
3. Labels reorder what distances ordered only where an interval separates (``weigh_labels``).

On the four heart-disease hospitals with 20 labels the ranking by these guesses is as good as the ranking by
the models themselves (``python -m bench.kinds --only labels``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .backend import filled
from .metric import Scale, column_scale, kernel_block, median_gamma
from .rkme import Floats, Rkme
from .shift import SHIFT_MAX, shift
from .specification import Specification
from .table import read_table

PROBABILITY_MIN: Final = 1e-3
"""Probabilities are taken for at least this: a log-loss of 7 for one wrong row, not of infinity."""

LINEAR: Final = 1.0
"""Weight of the linear term beside the kernel."""

RIDGES: Final = (1e-3, 1e-2, 1e-1, 1.0)
"""Ridge parameters tried; the kernel's diagonal is 1."""

CONFIDENCE_ERRORS: Final = 1.64
"""Standard errors on either side of a mean loss: 90 % of a normal distribution."""

SEPARATION_ERRORS: Final = 0.5
"""Standard errors by which labels must tell two learnwares apart to overrule their distances. On the four
hospitals with 20 labels the first hit's AUC is .791, .789, .786 and .783 at 0, 0.5, 1 and 1.5; distances
alone give .765."""

CONVICTION_ERRORS: Final = 3.0
"""Standard errors by which a learnware must be worse than the best to be left out of a mix: the best of
fifteen is better than it seems with probability .02 at this bound."""


@dataclass(frozen=True, eq=False)
class ExpectedLoss:
    """What a learnware is expected to lose on rows like the labelled ones.

    Parameters
    ----------
    rows
        (n,) float64, the loss of each labelled row in the order given: log-loss in nats, or squared error.
    classifies
        Whether it is a log-loss.
    """

    rows: Floats
    classifies: bool

    @property
    def loss(self) -> float:
        """Return the mean loss."""
        return float(self.rows.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Return the bounds of a 90 % interval of the mean loss; from minus to plus infinity for one row."""
        reach = CONFIDENCE_ERRORS * standard_error(self.rows)
        return self.loss - reach, self.loss + reach


@dataclass(frozen=True, eq=False)
class Labelled:
    """What labels say of learnwares that were ordered by their distances.

    Parameters
    ----------
    order
        Positions of the learnwares, the most promising first.
    losses
        By position, the expected loss; None where the specification does not allow one.
    worse
        By position, whether labels show it to be worse than the best, beyond what the best of many owes to
        luck: such a learnware has no place in a mix.
    shift
        How far the labelled rows are from being a sample of the data, see :mod:`.shift`; above ``SHIFT_MAX``
        labels decide nothing.
    """

    order: tuple[int, ...]
    losses: tuple[ExpectedLoss | None, ...]
    worse: tuple[bool, ...]
    shift: float


def expected_loss(spec: Specification, X: Any, y: Any) -> ExpectedLoss | None:
    """Estimate a learnware's loss on a searcher's labelled rows, before its model is fetched.

    Parameters
    ----------
    spec
        The learnware's specification; its RKME may hold responses.
    X
        The labelled rows: (n, d) with the specification's columns in its order; texts or images, or their
        features (n, d).
    y
        (n,) their labels (names of classes) or targets (numbers). Rows whose label is missing are left out.
        A label that the model does not know costs what a probability of ``PROBABILITY_MIN`` costs.

    Returns
    -------
    ExpectedLoss or None
        None where the specification holds no responses.

    Raises
    ------
    SpecificationError
        ``E-SPEC-LABELS``: no label is there, or labels do not fit the rows or the task.
    """
    rkme = spec.rkme
    if rkme.responses is None:
        return None
    rows = _rows(X, rkme)
    if rows.shape[1] != rkme.dimension:
        raise _refusal("X", f"{rows.shape[1]} columns, the specification has {rkme.dimension}")
    labels = np.asarray(y)
    if labels.shape != (len(rows),):
        raise _refusal("y", f"shape {labels.shape} for {len(rows)} rows")
    there = ~_missing(labels)
    if not there.any():
        raise _refusal("y", "no row has a label")
    rows, labels = rows[there], labels[there]
    if spec.semantic.task == "Classification":
        return ExpectedLoss(_log_losses(rkme, spec.semantic.classes, rows, labels), classifies=True)
    return ExpectedLoss(_squared_errors(rkme, rows, labels), classifies=False)


def weigh_labels(requirement: Rkme, X: Any, y: Any, specs: Sequence[Specification]) -> Labelled:
    """Return what a searcher's labels say of learnwares that were ordered by their distances.

    Each loss is compared, row by row, with that of the nearest learnware that has an estimate. Learnwares
    that are better by more than ``SEPARATION_ERRORS`` standard errors of the difference come first, the best
    in front; those that are worse by as much come last; all others keep the order of their distances. Where
    the labelled rows could not be a sample of the requirement's data (:mod:`.shift`), the order stays: labels
    of other months or wards mislead more than they help.

    Parameters
    ----------
    requirement
        The specification of the searcher's data.
    X, y
        The labelled rows, as in :func:`expected_loss`, and their labels or targets (n,).
    specs
        The learnwares, nearest first. Those of other columns or without responses have no estimate.

    Raises
    ------
    SpecificationError
        ``E-SPEC-LABELS``, see :func:`expected_loss`.
    """
    rows = _rows(X, requirement)
    losses = [
        expected_loss(spec, rows, y) if spec.rkme.island == requirement.island else None for spec in specs
    ]
    moved = shift(requirement, rows[~_missing(np.asarray(y))])
    known = [loss for loss in losses if loss is not None]
    if moved > SHIFT_MAX or not known:
        return Labelled(tuple(range(len(specs))), tuple(losses), (False,) * len(specs), moved)
    best = min(known, key=lambda loss: loss.loss)
    places = [_separated(loss, known[0], SEPARATION_ERRORS) for loss in losses]
    worse = tuple(_separated(loss, best, CONVICTION_ERRORS) > 0 for loss in losses)
    return Labelled(tuple(sorted(range(len(specs)), key=places.__getitem__)), tuple(losses), worse, moved)


def _separated(own: ExpectedLoss | None, other: ExpectedLoss, errors: float) -> float:
    """Return the mean difference of two losses, or 0 where it is not separated from 0."""
    if own is None or own is other:
        return 0.0
    differences = own.rows - other.rows
    difference = float(differences.mean())
    return difference if abs(difference) > errors * standard_error(differences) else 0.0


def standard_error(values: Floats) -> float:
    """Return the standard error of a mean whose values stand in the order of their rows.

    For an autoregression of order 1 with correlation r, n values are worth ``n (1 - r) / (1 + r)``
    independent ones; r counts where it is larger than independent values would show (``2 / sqrt(n)``).
    """
    count = len(values)
    if count < 2:
        return float("inf")
    centred = values - values.mean()
    power = float(centred @ centred)
    if power == 0.0:
        return 0.0
    correlation = float(centred[1:] @ centred[:-1]) / power
    correlation = min(correlation, 1 - 1 / count) if correlation > 2 * count**-0.5 else 0.0
    return float(np.sqrt(power / (count - 1) / count * (1 + correlation) / (1 - correlation)))


def surrogate(rkme: Rkme, targets: Floats, rows: Floats) -> Floats:
    """Return what the ridge regression of values at an RKME's points (K, m) says at rows (n, d): (n, m)."""
    unit_rows = rkme.kind != "table"
    scale = Scale.raw(rkme.dimension, 1.0, unit_rows=True) if unit_rows else column_scale(rkme.marginals)
    points = scale.embed_rkme(rkme)
    given = filled(scale, rows, np.float64)
    gamma = median_gamma(points, rkme.weights, unit_rows=unit_rows)
    # Rows of features have length one, those of tables about the square root of their columns.
    linear = LINEAR / (1 if unit_rows else points.shape[1])

    def kernel(left: Floats) -> Floats:
        sums: Floats = kernel_block(left, points, gamma) + linear * (left @ points.T) + 1
        return sums

    values, vectors = np.linalg.eigh(kernel(points))
    turned = vectors.T @ targets
    ridge = min(RIDGES, key=lambda ridge: _left_out(values, vectors, turned, ridge))
    answers = kernel(given) @ (vectors @ (turned / (np.maximum(values, 0) + ridge)[:, None]))
    bounded: Floats = np.clip(answers, targets.min(axis=0), targets.max(axis=0))
    return bounded


def _left_out(values: Floats, vectors: Floats, turned: Floats, ridge: float) -> float:
    """Return the sum of squared leave-one-out residuals under a ridge parameter."""
    damping = ridge / (np.maximum(values, 0) + ridge)
    residuals = vectors @ (turned * damping[:, None])
    own = (vectors**2) @ damping
    return float(np.sum((residuals / np.maximum(own, 1e-12)[:, None]) ** 2))


def _log_losses(rkme: Rkme, classes: Sequence[str], rows: Floats, labels: Any) -> Floats:
    assert rkme.responses is not None
    if len(classes) != rkme.responses.shape[1]:
        raise _refusal("responses", f"{rkme.responses.shape[1]} columns for {len(classes)} classes")
    logs = np.log(np.clip(rkme.responses.astype(np.float64), PROBABILITY_MIN, 1.0))
    guessed = surrogate(rkme, logs - logs.mean(axis=1, keepdims=True), rows)
    guessed -= guessed.max(axis=1, keepdims=True)
    shares = np.exp(guessed) / np.exp(guessed).sum(axis=1, keepdims=True)
    places = {name: place for place, name in enumerate(classes)}
    found = np.array([places.get(_name(label), -1) for label in labels])
    chosen = np.where(found >= 0, shares[np.arange(len(rows)), found], PROBABILITY_MIN)
    losses: Floats = -np.log(np.clip(chosen, PROBABILITY_MIN, 1.0))
    return losses


def _squared_errors(rkme: Rkme, rows: Floats, labels: Any) -> Floats:
    assert rkme.responses is not None
    try:
        numbers = np.asarray(labels, np.float64)
    except (TypeError, ValueError) as error:
        raise _refusal("y", "a regression needs numbers") from error
    if rkme.responses.shape[1] != 1:
        raise _refusal("responses", "several targets have no single loss")
    guessed = surrogate(rkme, rkme.responses.astype(np.float64), rows)[:, 0]
    errors: Floats = (guessed - numbers) ** 2
    return errors


def _rows(X: Any, like: Rkme) -> Floats:
    """Return data as rows in the space of a specification; features of texts and images are such rows."""
    if like.kind != "table" and not (getattr(X, "ndim", 0) == 2 and X.dtype.kind == "f"):
        from .kinds import rows_of

        return rows_of(X, like)
    return read_table(X).values


def _missing(labels: Any) -> npt.NDArray[np.bool_]:
    """Return which labels are None or NaN."""
    return np.array([label is None or label != label for label in labels.tolist()])


def _name(label: Any) -> str:
    """Return a class's name; 1.0 read from a file is the class 1."""
    value = label.item() if isinstance(label, np.generic) else label
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError(
        "The labels cannot be used",
        where=where,
        why=why,
        todo="Pass one label a row, classes by name or numbers for a regression",
        code="E-SPEC-LABELS",
    )
