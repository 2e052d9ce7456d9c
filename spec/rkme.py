"""The reduced kernel mean embedding (RKME) of a data set: a few weighted points that stand for it.

An RKME ``sum_i w_i k(z_i, .)`` is close, in the space of the kernel ``k``, to the mean embedding
``1/n sum_x k(x, .)`` of the data it was fitted to (Wu, Xu, Liu and Zhou, "Model reuse with reduced
kernel mean embedding specification", TKDE 2023). It is what an owner publishes instead of data and what a
searcher builds from the data at hand; everything else in this component compares such objects.

Rules of this file:

1. An ``Rkme`` that exists is valid: construction refuses everything that is not, naming the field. Whoever
   uses ``of_valid`` has done what the constructor does.
2. It never changes: fields are frozen, arrays are read-only copies.
3. Points are in the owner's own units. Scaling belongs to the metric (see ``metric.py``), which is the
   searcher's.
4. Bytes are the business of ``codec.py``, the reference engine's JSON that of ``reference.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .island import Column, Island, Kind, clean_text
from .limits import (
    MAGNITUDE_MAX,
    META_CHARS_MAX,
    META_ENTRIES_MAX,
    RESPONSES_MAX,
    SHAPE_AXES_MAX,
    WEIGHT_NEGATIVE_TOLERANCE,
    WEIGHT_SUM_TOLERANCE,
)

if TYPE_CHECKING:
    from typing import Self

Floats = npt.NDArray[np.floating[Any]]
Scalar = str | int | float | bool


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError("The specification is not acceptable", where=where, why=why, code="E-SPEC-RKME")


def _frozen_array(values: object, name: str, dtype: type[np.floating[Any]], *, axes: int) -> Floats:
    """Return a read-only, finite, contiguous copy with the given number of axes."""
    try:
        array = np.array(values, dtype=dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(name, "it holds something that is no number") from error
    if array.ndim != axes or array.size == 0:
        raise _refusal(name, f"shape {array.shape}, {axes} non-empty axes are needed")
    if not np.all(np.abs(array) <= MAGNITUDE_MAX):
        raise _refusal(name, f"a value is not finite, or larger than {MAGNITUDE_MAX:g}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Marginals:
    """What is published about each column alone, in the owner's units.

    Parameters
    ----------
    location
        (d,) float64, the mean of the values that are there.
    spread
        (d,) float64, their standard deviation.
    missing_rate
        (d,) float64 in [0, 1], the share of rows in which the value is missing.
    """

    location: Floats
    spread: Floats
    missing_rate: Floats

    def __post_init__(self) -> None:
        for name in ("location", "spread", "missing_rate"):
            values = _frozen_array(getattr(self, name), f"marginals.{name}", np.float64, axes=1)
            object.__setattr__(self, name, values)
        if not len(self.location) == len(self.spread) == len(self.missing_rate):
            raise _refusal("marginals", "location, spread and missing_rate differ in length")
        if np.any(self.spread < 0):
            raise _refusal("marginals.spread", "a spread is negative")
        if np.any(self.missing_rate < 0) or np.any(self.missing_rate > 1):
            raise _refusal("marginals.missing_rate", "a rate is outside [0, 1]")

    @classmethod
    def of_valid(cls, **fields: Floats) -> Self:
        """Return marginals of read-only arrays that were validated, and are not again."""
        made = cls.__new__(cls)
        vars(made).update(fields)
        return made

    @classmethod
    def of_points(cls, points: Floats, weights: Floats) -> Self:
        """Return the marginals of weighted points (K, d), for specifications that came without."""
        share = np.asarray(weights, np.float64) / np.sum(weights)
        location = share @ np.asarray(points, np.float64)
        spread = np.sqrt(share @ (np.asarray(points, np.float64) - location) ** 2)
        return cls(location, spread, np.zeros_like(location))


_OF_POINTS: Final = Marginals(np.zeros(1), np.zeros(1), np.zeros(1))
"""Stands for "compute the marginals from the points"."""


@dataclass(frozen=True, eq=False)
class Rkme:
    """A reduced kernel mean embedding.

    Parameters
    ----------
    points
        (K, d) float32 in the owner's units; float64 is kept where it is given.
    weights
        (K,) float64, not negative, summing to 1.
    island
        Which specifications this one can be compared with; holds kind and columns.
    gamma
        The kernel's ``gamma`` in ``exp(-gamma ||x - y||^2)`` on raw units where the points were fitted for
        it; None where the searcher sets the metric.
    shape
        The original shape of one row; its product is d. ``(d,)`` when empty.
    marginals
        Per-column location, spread and missing rate; computed from the points when not given.
    responses
        (K, m) float32, what the model answers at the points, or None.
    meta
        A few scalars by name, for people and tools; no part of any computation.

    Raises
    ------
    SpecificationError
        When a field is not acceptable; names the field.
    """

    points: Floats
    weights: Floats
    island: Island
    gamma: float | None = None
    shape: tuple[int, ...] = ()
    marginals: Marginals = _OF_POINTS
    responses: Floats | None = None
    meta: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = np.asarray(self.points)
        keep = np.float64 if points.dtype == np.float64 else np.float32
        object.__setattr__(self, "points", _frozen_array(points, "points", keep, axes=2))
        object.__setattr__(self, "weights", _clean_weights(self.weights, len(self.points)))
        object.__setattr__(self, "shape", tuple(self.shape) or (self.dimension,))
        object.__setattr__(self, "meta", clean_meta(self.meta))
        if self.responses is not None:
            object.__setattr__(
                self, "responses", _frozen_array(self.responses, "responses", np.float32, axes=2)
            )
        if self.marginals is _OF_POINTS:
            object.__setattr__(self, "marginals", Marginals.of_points(self.points, self.weights))
        self._validate_agreement()

    def _validate_agreement(self) -> None:
        """Refuse fields that are fine alone and do not fit together."""
        if self.island.dimension != self.dimension:
            raise _refusal("points", f"{self.dimension} columns, the island has {self.island.dimension}")
        if len(self.marginals.location) != self.dimension:
            raise _refusal("marginals", f"{len(self.marginals.location)} columns instead of {self.dimension}")
        if len(self.shape) > SHAPE_AXES_MAX or min(self.shape) < 1 or math.prod(self.shape) != self.dimension:
            raise _refusal("shape", f"{self.shape} does not hold {self.dimension} values")
        if self.gamma is not None and not (math.isfinite(self.gamma) and self.gamma > 0):
            raise _refusal("gamma", f"{self.gamma} is not a positive number")
        if self.responses is not None:
            count, width = self.responses.shape
            if count != len(self.points) or not 1 <= width <= RESPONSES_MAX:
                raise _refusal("responses", f"shape {(count, width)} for {len(self.points)} points")

    @classmethod
    def of_valid(cls, **fields: Any) -> Self:
        """Return an RKME of all its fields, which were validated and are not again; see ``codec.py``."""
        made = cls.__new__(cls)
        vars(made).update(fields)
        return made

    @property
    def kind(self) -> Kind:
        """Return the kind of data: table, text or image."""
        return self.island.kind

    @property
    def columns(self) -> tuple[Column, ...] | None:
        """Return the named columns, or None."""
        return self.island.columns

    @property
    def dimension(self) -> int:
        """Return the number of columns d."""
        return int(self.points.shape[1])

    def __len__(self) -> int:
        return int(self.points.shape[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rkme) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[object, ...]:
        """Return all fields as values that compare; not the bytes, which a large local RKME does not have."""
        arrays = [self.points, self.weights, *vars(self.marginals).values()]
        if self.responses is not None:
            arrays.append(self.responses)
        meta = tuple(sorted((key, repr(value)) for key, value in self.meta.items()))
        raw = tuple((array.dtype.str, array.shape, array.tobytes()) for array in arrays)
        return self.island, self.gamma, self.shape, meta, raw

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to build an equal one: copies and pickles go through the constructor's checks."""
        fields = (
            self.points,
            self.weights,
            self.island,
            self.gamma,
            self.shape,
            self.marginals,
            self.responses,
        )
        return type(self), (*fields, dict(self.meta))

    def to_bytes(self) -> bytes:
        """Return the deterministic encoding; see ``codec.py``."""
        from .codec import encode_rkme

        return encode_rkme(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Rkme:
        """Return what ``to_bytes`` wrote; refuses anything else with a SpecificationError."""
        from .codec import decode_rkme

        return decode_rkme(blob)

    def to_reference_json(self) -> bytes:
        """Return the reference engine's ``stat.json``; see ``reference.py``."""
        from .reference import write_stat_json

        return write_stat_json(self)

    @classmethod
    def from_reference_json(cls, text: bytes) -> Rkme:
        """Return the RKME in a ``stat.json`` of the reference engine; its float64 values are kept."""
        from .reference import read_stat_json

        return read_stat_json(text)

    def herd(self, n: int, seed: int = 0) -> Floats:
        """Return ``n`` rows (n, d) that stand for the data, by kernel herding; see ``herding.py``."""
        from .herding import herd

        return herd(self, n, seed)

    def _repr_html_(self) -> str:
        from .pictures import rkme_html

        return rkme_html(self)


def _clean_weights(weights: object, count: int) -> Floats:
    """Return read-only weights of length ``count`` on the simplex."""
    array = np.array(_frozen_array(weights, "weights", np.float64, axes=1))
    if len(array) != count:
        raise _refusal("weights", f"{len(array)} weights for {count} points")
    if array.min() < -WEIGHT_NEGATIVE_TOLERANCE:
        raise _refusal("weights", "a weight is negative")
    if abs(array.sum() - 1) > WEIGHT_SUM_TOLERANCE:
        raise _refusal("weights", f"their sum is {array.sum():g} instead of 1")
    array[array < 0] = 0
    array.setflags(write=False)
    return array


def clean_meta(meta: object) -> Mapping[str, Scalar]:
    """Return a read-only copy of a small map of scalars."""
    if not isinstance(meta, Mapping) or len(meta) > META_ENTRIES_MAX:
        raise _refusal("meta", f"a map of at most {META_ENTRIES_MAX} entries is needed")
    for key, value in meta.items():
        clean_text(key, "meta", META_CHARS_MAX)
        if isinstance(value, str):
            clean_text(value, f"meta.{key}", META_CHARS_MAX, empty=True, lines=True)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise _refusal(f"meta.{key}", "a whole number beyond 64 bits")
        elif not isinstance(value, int | float | bool):
            raise _refusal(f"meta.{key}", "a short text, a number, true or false is needed")
    return MappingProxyType(dict(meta))
