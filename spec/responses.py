"""A model's responses where it cannot be asked: at points that are features of texts or images.

A table's points are rows, and the model answers them. A point among features is no text, so its response is
the mean answer to the ``RESPONSE_ROWS`` of the owner's rows that are nearest to it, by the angle. What is
published is therefore a mean of several answers, and never the answer to one row unless there is one only.

Of many rows a sample is asked: the answers of a slow model to a hundred thousand images would take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .limits import RESPONSE_ROWS, RESPONSE_SAMPLE_ROWS_MAX
from .rkme import Floats, Rkme
from .table import refusal

Answers = Callable[[Any], Any]
"""From data to answers: (n,), or (n, m)."""


def with_responses(
    rkme: Rkme, rows: Floats, ask: Callable[[npt.NDArray[np.intp]], Any], seed: int = 0
) -> Rkme:
    """Return an RKME of features with responses at its points.

    Parameters
    ----------
    rkme
        The specification.
    rows
        (n, d) the features that it was made of, of length one.
    ask
        Returns the model's answers to the data at given positions, (m,) or (m, k).
    seed
        Of the sample.

    Raises
    ------
    SpecificationError
        ``E-SPEC-DATA`` when there is not one answer for each.
    """
    rng = np.random.default_rng((seed, 3))
    chosen = np.sort(rng.permutation(len(rows))[:RESPONSE_SAMPLE_ROWS_MAX])
    answers = np.asarray(ask(chosen), np.float64)
    if not answers.ndim or len(answers) != len(chosen):
        raise refusal("responses", f"{answers.shape} answers to {len(chosen)} rows")
    answers = answers.reshape(len(chosen), -1)
    count = min(RESPONSE_ROWS, len(chosen))
    similar = np.asarray(rkme.points, np.float64) @ np.asarray(rows[chosen], np.float64).T
    nearest = np.argpartition(-similar, count - 1, axis=1)[:, :count]
    return replace(rkme, responses=answers[nearest].mean(axis=1).astype(np.float32))
