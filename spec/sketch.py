"""Sketches: the few hundred bytes of an RKME that every node keeps for every learnware.

A sketch is a filter, never the judge. It has two halves, because each is blind where the other sees:

- 256 random Fourier features (Rahimi and Recht, "Random features for large-scale kernel machines", 2007, in
  the paired form of Sutherland and Schneider, "On the error of random Fourier features", 2015) of the
  weighted points. The squared distance of two vectors estimates a squared MMD under one fixed kernel.
- The mean and spread of each column, for up to 64 columns, from which ``gaussian.py`` computes an MMD in the
  searcher's own scale.

Every node computes the same sketch from the same RKME, so a sketch that does not follow from its RKME
convicts its owner. That is why nothing here is fitted to data or agreed upon between nodes, and why the
computation is written down:

1. Rows. Of a table, each value ``x`` becomes ``sign(x) log(1 + |x|)``, which tames any unit. Rows of text and
   image features are divided by their Euclidean length instead (a row of zeros stays).
2. Bytes. ``block(c) = SHA-256("skerry/sketch/1" || 0x00 || island id || c)`` with ``c = 0, 1, ...`` as eight
   bytes, most significant first. The blocks one after the other are the stream.
3. Frequencies. Each column has 128. Frequency ``f`` of column ``j`` takes the eight bytes of the stream from
   ``8 (128 j + f)`` on; with ``S`` their sum it is ``h (S - 1020) / sqrt(43690)``. A sum of eight uniform
   bytes has mean 1020 and variance 8 (256^2 - 1) / 12 = 43690 and is close to normal, and whole numbers are
   the same on every machine. ``h`` is ``1 / sqrt(d)`` for a table of ``d`` columns, so that the kernel is as
   wide as a row is long, and 1 for text and images, whose rows have length 1.
4. Features. ``t_if = sum_j x_ij omega_jf``; ``c_f = sum_i w_i cos t_if`` and ``s_f = sum_i w_i sin t_if``.
   The vector is ``(c_0 .. c_127, s_0 .. s_127)`` times 127, rounded to the nearest whole number (half to
   even), within [-127, 127].
5. Columns. With at most 64, the weighted mean of each column of the points, and the root of the weighted mean
   squared deviation from it, as float32: of a table in the owner's units, of others after step 1. Otherwise
   both are empty. They are taken of the points, not of the published marginals: they stand for the RKME that
   is going to be ranked, and no owner can publish marginals that steer the filter.

Steps 1, 4 and 5 are in float64. Machines may differ there in the last bits (order of summation, the library's
cosine), which moves an entry by one at worst and rarely; ``check_sketch`` leaves room for that.
``tests/vectors/sketch.json`` holds vectors for other implementations.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import SKETCH_COLUMNS_MAX, SKETCH_NOISE_MAX

if TYPE_CHECKING:
    from .rkme import Rkme

SKETCH_VERSION: Final = 1
SKETCH_FEATURES: Final = 256

ENTRY_ERROR_MAX: Final = 2
"""How far one entry may be from the recomputed one; rounding and last bits explain one."""

ENTRIES_OFF_MAX: Final = 16
"""How many entries may differ at all."""

COLUMN_ERROR_MAX: Final = 1e-6
"""How far a mean or spread may be from the recomputed one, relative to both; float32 keeps 6e-8."""

_DOMAIN: Final = b"skerry/sketch/1\x00"
_FREQUENCIES: Final = SKETCH_FEATURES // 2
_BYTES_PER_FREQUENCY: Final = 8
_BYTE_SUM_MEAN: Final = 1020
_BYTE_SUM_VARIANCE: Final = 43690.0
_WAVES_MAX: Final = 1 << 20
"""Cosines computed at a time: 8 MiB of float64."""
_COLUMNS_PER_BLOCK: Final = 1024
"""Columns whose frequencies are made at a time: 1 MiB of float64."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sketch:
    """What a card says about its RKME in numbers.

    Parameters
    ----------
    version
        The version of the computation above.
    vector
        (256,) int8.
    means, spreads
        (d,) float32 for d <= 64 columns, otherwise empty. A spread is a standard deviation.

    Raises
    ------
    SpecificationError
        When a field is not acceptable; names the field.
    """

    version: int
    vector: npt.NDArray[np.int8]
    means: npt.NDArray[np.float32]
    spreads: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.version != SKETCH_VERSION:
            raise _refusal("sketch_version", f"{self.version} is unknown, {SKETCH_VERSION} is known")
        for name, dtype in (("vector", np.int8), ("means", np.float32), ("spreads", np.float32)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
                raise _refusal(name, f"one axis of {np.dtype(dtype).name} is needed")
            array.setflags(write=False)
        self._validate_values()

    def _validate_values(self) -> None:
        if len(self.vector) != SKETCH_FEATURES:
            raise _refusal("vector", f"{len(self.vector)} entries instead of {SKETCH_FEATURES}")
        if len(self.means) > SKETCH_COLUMNS_MAX:
            raise _refusal("means", f"{len(self.means)} columns, at most {SKETCH_COLUMNS_MAX} are allowed")
        if len(self.spreads) != len(self.means):
            raise _refusal("spreads", f"{len(self.spreads)} columns, the means have {len(self.means)}")
        if not np.all(np.isfinite(self.means)):
            raise _refusal("means", "a value is not finite")
        if not np.all(np.isfinite(self.spreads)) or np.any(self.spreads < 0):
            raise _refusal("spreads", "a value is negative or not finite")

    @property
    def columns(self) -> int:
        """Return for how many columns there are a mean and a spread."""
        return len(self.means)

    def to_bytes(self) -> tuple[int, bytes, bytes, bytes]:
        """Return version, vector, means and spreads as the fields of a card hold them (little-endian)."""
        means, spreads = self.means.astype("<f4"), self.spreads.astype("<f4")
        return self.version, self.vector.tobytes(), means.tobytes(), spreads.tobytes()

    @classmethod
    def from_bytes(cls, version: int, vector: bytes, means: bytes, spreads: bytes) -> Sketch:
        """Return the sketch in the fields of a card.

        Raises
        ------
        SpecificationError
            When a field is not acceptable; names the field.
        """
        for name, blob in (("means", means), ("spreads", spreads)):
            if len(blob) % 4:
                raise _refusal(name, f"{len(blob)} bytes are no whole number of float32 values")
        return cls(
            version,
            np.frombuffer(vector, np.int8),
            np.frombuffer(means, "<f4").astype(np.float32),
            np.frombuffer(spreads, "<f4").astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class SketchBlock:
    """Many sketches of one number of columns: an array for each field of theirs.

    Parameters
    ----------
    vectors
        (n, 256) int8.
    means, spreads
        (n, d) float32.

    Raises
    ------
    SpecificationError
        When a sketch among them is not acceptable.
    """

    vectors: npt.NDArray[np.int8]
    means: npt.NDArray[np.float32]
    spreads: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.columns > SKETCH_COLUMNS_MAX or self.means.shape != self.spreads.shape:
            raise _refusal("means", "more columns than allowed, or other ones than spreads")
        if not (np.isfinite(self.means).all() and np.isfinite(self.spreads).all()):
            raise _refusal("means", "a value is not finite")
        if (self.spreads < 0).any():
            raise _refusal("spreads", "a value is negative")

    @property
    def columns(self) -> int:
        """Return for how many columns each has a mean and a spread."""
        return int(self.means.shape[1])

    @classmethod
    def from_bytes(
        cls, vectors: Sequence[bytes], means: Sequence[bytes], spreads: Sequence[bytes]
    ) -> SketchBlock:
        """Return the sketches, of this version, in the fields of cards whose means are equally many.

        Raises
        ------
        SpecificationError
            When a field of any is not acceptable.
        """
        count, columns = len(vectors), len(means[0]) // 4 if means else 0
        if {len(blob) for blob in (*means, *spreads)} - {4 * columns}:
            raise _refusal("means", "the sketches have different numbers of columns")
        if {len(blob) for blob in vectors} - {SKETCH_FEATURES}:
            raise _refusal("vector", f"each needs {SKETCH_FEATURES} entries")
        return cls(
            np.frombuffer(b"".join(vectors), np.int8).reshape(count, SKETCH_FEATURES),
            np.frombuffer(b"".join(means), "<f4").astype(np.float32).reshape(count, columns),
            np.frombuffer(b"".join(spreads), "<f4").astype(np.float32).reshape(count, columns),
        )


def sketch_of(rkme: Rkme) -> Sketch:
    """Return the sketch that follows from an RKME; a searcher's requirement is sketched in the same way."""
    return sketches_of([rkme])[0]


def noisy_sketch(sketch: Sketch, noise: float, rng: np.random.Generator) -> Sketch:
    """Return a sketch with random errors, for a searcher who would rather tell a node less.

    Every learnware's distance grows by about the same, 2 `noise` squared, so that the order of the nearest
    holds; what blurs is what the numbers say of single rows. This is no differential privacy: the error is
    chosen, not derived from a bound on what one row changes.

    Parameters
    ----------
    sketch
        The sketch.
    noise
        Standard deviation of the errors, from 0 to ``SKETCH_NOISE_MAX``: of the vector's entries as parts of
        1, of a mean as a part of the column's spread, of a spread's logarithm.
    rng
        Draws the errors.

    Raises
    ------
    SpecificationError
        `noise` is outside its range.
    """
    if not 0 <= noise <= SKETCH_NOISE_MAX:
        raise _refusal("noise", f"{noise} is outside 0 to {SKETCH_NOISE_MAX}")
    vector = sketch.vector + 127 * noise * rng.standard_normal(len(sketch.vector))
    means = sketch.means + noise * sketch.spreads * rng.standard_normal(sketch.columns)
    spreads = sketch.spreads * np.exp(noise * rng.standard_normal(sketch.columns))
    return Sketch(
        sketch.version,
        np.clip(np.rint(vector), -127, 127).astype(np.int8),
        means.astype(np.float32),
        spreads.astype(np.float32),
    )


def sketches_of(rkmes: Sequence[Rkme]) -> list[Sketch]:
    """Return the sketches of many RKMEs: those of one island and size are computed together."""
    groups: defaultdict[tuple[bytes, int], list[int]] = defaultdict(list)
    for at, rkme in enumerate(rkmes):
        groups[rkme.island.id, len(rkme)].append(at)
    made: dict[int, Sketch] = {}
    for (_, size), members in groups.items():
        step = max(1, _WAVES_MAX // (size * _FREQUENCIES))
        for first in range(0, len(members), step):
            part = members[first : first + step]
            made.update(zip(part, _sketches([rkmes[at] for at in part]), strict=True))
    return [made[at] for at in range(len(rkmes))]


def _sketches(rkmes: Sequence[Rkme]) -> list[Sketch]:
    """Return the sketches of RKMEs of one island and size."""
    one, count = rkmes[0], len(rkmes)
    rows = np.concatenate([_rows(rkme) for rkme in rkmes])
    weights = np.stack([np.asarray(rkme.weights, np.float64) for rkme in rkmes])
    waves = _waves(rows, one.island.id, 1.0 if one.kind != "table" else 1.0 / np.sqrt(one.dimension))
    waves = waves.reshape(count, -1, _FREQUENCIES)
    parts = [np.matmul(weights[:, None, :], turned(waves))[:, 0] for turned in (np.cos, np.sin)]
    vectors = np.clip(np.rint(127 * np.concatenate(parts, axis=1)), -127, 127).astype(np.int8)
    if one.dimension > SKETCH_COLUMNS_MAX:
        return [Sketch(SKETCH_VERSION, vector, *np.empty((2, 0), np.float32)) for vector in vectors]
    columns = rows if one.kind != "table" else np.concatenate([rkme.points for rkme in rkmes])
    columns = np.asarray(columns, np.float64).reshape(count, len(one), -1)
    means = np.matmul(weights[:, None, :], columns)
    spreads = np.sqrt(np.matmul(weights[:, None, :], (columns - means) ** 2))[:, 0].astype(np.float32)
    return [
        Sketch(SKETCH_VERSION, *parts)
        for parts in zip(vectors, means[:, 0].astype(np.float32), spreads, strict=True)
    ]


def check_sketch(claimed: Sketch, rkme: Rkme) -> str | None:
    """Return why a sketch does not follow from an RKME, or None when it does.

    A reason convicts the owner who signed both: the bounds are far above what machines differ by.
    """
    return check_sketches([claimed], [rkme])[0]


def check_sketches(claimed: Sequence[Sketch], rkmes: Sequence[Rkme]) -> list[str | None]:
    """Return what :func:`check_sketch` says of each of many."""
    return [_difference(one, true) for one, true in zip(claimed, sketches_of(rkmes), strict=True)]


def _difference(claimed: Sketch, true: Sketch) -> str | None:
    off = np.abs(claimed.vector.astype(np.int16) - true.vector)
    if off.max() > ENTRY_ERROR_MAX:
        return f"vector: an entry is off by {off.max()}"
    if np.count_nonzero(off) > ENTRIES_OFF_MAX:
        return f"vector: {np.count_nonzero(off)} entries are off"
    if claimed.columns != true.columns:
        return f"means: {claimed.columns} columns instead of {true.columns}"
    room = COLUMN_ERROR_MAX * (np.abs(true.means.astype(np.float64)) + true.spreads)
    for name in ("means", "spreads"):
        error = np.abs(getattr(claimed, name).astype(np.float64) - getattr(true, name))
        if np.any(error > room):
            return f"{name}: column {int(np.argmax(error - room))} is off by {error.max():g}"
    return None


def _rows(rkme: Rkme) -> Doubles:
    """Return the points as step 1 wants them."""
    points = np.asarray(rkme.points, np.float64)
    if rkme.kind == "table":
        return np.sign(points) * np.log1p(np.abs(points))
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    unit: Doubles = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)
    return unit


def _waves(rows: Doubles, island: bytes, width: float) -> Doubles:
    """Return the arguments of the cosines, (K, 128)."""
    waves: Doubles = np.zeros((len(rows), _FREQUENCIES))
    for first in range(0, rows.shape[1], _COLUMNS_PER_BLOCK):
        block = rows[:, first : first + _COLUMNS_PER_BLOCK]
        waves += block @ (frequencies(island, first, block.shape[1]) * width)
    return waves


@lru_cache(maxsize=32)
def frequencies(island: bytes, first: int, count: int) -> Doubles:
    """Return the frequencies (count, 128) of ``count`` columns from ``first`` on, before the factor ``h``.

    Kept for the islands met last (at most 32 MiB), since hashing takes longer than all the rest.
    """
    blocks_per_column = _FREQUENCIES * _BYTES_PER_FREQUENCY // hashlib.sha256().digest_size
    seed = hashlib.sha256(_DOMAIN + island)
    stream = bytearray()
    for counter in range(first * blocks_per_column, (first + count) * blocks_per_column):
        block = seed.copy()
        block.update(counter.to_bytes(8, "big"))
        stream += block.digest()
    groups: npt.NDArray[Any] = np.frombuffer(stream, np.uint8).reshape(
        count, _FREQUENCIES, _BYTES_PER_FREQUENCY
    )
    sums = groups.sum(axis=2, dtype=np.int64)
    standardised: Doubles = (sums - _BYTE_SUM_MEAN) / np.sqrt(_BYTE_SUM_VARIANCE)
    standardised.setflags(write=False)
    return standardised


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError("The sketch is not acceptable", where=where, why=why, code="E-SPEC-SKETCH")
