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
_WAVES_MAX: Final = 1 << 16
"""Cosines of many RKMEs computed at a time: half a MiB of float64, which stays in a core's cache."""
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

    def at(self, places: Sequence[int]) -> SketchBlock:
        """Return some of the sketches."""
        return SketchBlock(*(getattr(self, name)[places] for name in ("vectors", "means", "spreads")))

    def sketch(self, place: int) -> Sketch:
        """Return one of the sketches."""
        parts = (getattr(self, name)[place] for name in ("vectors", "means", "spreads"))
        return Sketch(SKETCH_VERSION, *parts)

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
    rows, weights = _stacked([rkme])
    vector = np.clip(np.rint(_entries(rows, weights, rkme, np.float64)[0]), -127, 127).astype(np.int8)
    if rkme.dimension > SKETCH_COLUMNS_MAX:
        return Sketch(SKETCH_VERSION, vector, *np.empty((2, 0), np.float32))
    means, spreads = _moments([rkme], rows, weights)
    return Sketch(SKETCH_VERSION, vector, means[0], spreads[0])


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


def check_sketch(claimed: Sketch, rkme: Rkme) -> str | None:
    """Return why a sketch does not follow from an RKME, or None when it does.

    A reason convicts the owner who signed both: the bounds are far above what machines differ by.
    """
    return _difference(claimed, sketch_of(rkme))


def follow_from(claimed: SketchBlock, rkmes: Sequence[Rkme]) -> npt.NDArray[np.bool_]:
    """Return where :func:`check_sketch` finds nothing, of as many sketches as RKMEs.

    Cosines in float32 take a tenth of the time. What they may be off by has a bound (``_entry_error``), and
    nearly every honest sketch is within the rules whatever the error; the others are computed as
    :func:`sketch_of` does.
    """
    groups: defaultdict[tuple[bytes, int], list[int]] = defaultdict(list)
    for at, rkme in enumerate(rkmes):
        if claimed.columns == (rkme.dimension if rkme.dimension <= SKETCH_COLUMNS_MAX else 0):
            groups[rkme.island.id, len(rkme)].append(at)
    follows = np.zeros(len(rkmes), np.bool_)
    for (_, size), members in groups.items():
        step = max(1, _WAVES_MAX // (size * _FREQUENCIES))
        for first in range(0, len(members), step):
            part = members[first : first + step]
            follows[part] = _plainly_follow(claimed.at(part), [rkmes[at] for at in part])
            for at in part:
                follows[at] = follows[at] or check_sketch(claimed.sketch(at), rkmes[at]) is None
    return follows


def _plainly_follow(claimed: SketchBlock, rkmes: Sequence[Rkme]) -> npt.NDArray[np.bool_]:
    """Return which sketches follow, of RKMEs of one island and size, whatever the error of float32."""
    rows, weights = _stacked(rkmes)
    entries, error = _entries(rows, weights, rkmes[0], np.float32), _entry_error(len(rkmes[0]))
    off = np.maximum(np.rint(entries + error) - claimed.vectors, claimed.vectors - np.rint(entries - error))
    follows: npt.NDArray[np.bool_] = off.max(axis=1) <= ENTRY_ERROR_MAX
    follows &= np.count_nonzero(off > 0, axis=1) <= ENTRIES_OFF_MAX
    if claimed.columns:
        means, spreads = _moments(rkmes, rows, weights)
        room = COLUMN_ERROR_MAX * (np.abs(means.astype(np.float64)) + spreads)
        for given, true in ((claimed.means, means), (claimed.spreads, spreads)):
            follows &= (np.abs(given.astype(np.float64) - true) <= room).all(axis=1)
    return follows


def _entry_error(size: int) -> float:
    """Return by how much an entry may be off in float32, of an RKME of ``size`` points.

    Between a point's part of a turn and its term stand six roundings of values up to pi at most, which count
    as 16 of 1; the weights sum to 1; and each of the points' terms adds a rounding of their sum.
    """
    return float(127 * np.finfo(np.float32).eps * (16 + size))


def _stacked(rkmes: Sequence[Rkme]) -> tuple[Doubles, Doubles]:
    """Return the points (n K, d) as step 1 wants them and the weights (n, K) of RKMEs of one size."""
    points = np.concatenate([rkme.points for rkme in rkmes]).astype(np.float64)
    weights = np.stack([rkme.weights for rkme in rkmes]).astype(np.float64)
    if rkmes[0].kind == "table":
        return np.sign(points) * np.log1p(np.abs(points)), weights
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0), weights


def _entries(rows: Doubles, weights: Doubles, one: Rkme, precision: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the vectors (n, 256) of step 4 before they are rounded; ``one`` stands for the island of all."""
    width = 1.0 if one.kind != "table" else 1.0 / np.sqrt(one.dimension)
    if precision == np.float32:
        # Whole turns are taken off in float64, where they are many.
        turns = _waves(rows, one.island.id, width / (2 * np.pi))
        turns -= np.rint(turns)
        waves: npt.NDArray[np.floating[Any]] = turns.astype(np.float32)
        waves *= np.float32(2 * np.pi)
    else:
        waves = _waves(rows, one.island.id, width)
    waves = waves.reshape(len(weights), -1, _FREQUENCIES)
    shares = weights.astype(precision)[:, None, :]
    parts = [np.matmul(shares, turned(waves))[:, 0] for turned in (np.cos, np.sin)]
    entries: npt.NDArray[Any] = 127 * np.concatenate(parts, axis=1)
    return entries


def _moments(
    rkmes: Sequence[Rkme], rows: Doubles, weights: Doubles
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the means and spreads (n, d) of step 5."""
    columns = rows if rkmes[0].kind != "table" else np.concatenate([rkme.points for rkme in rkmes])
    columns = np.asarray(columns, np.float64).reshape(*weights.shape, -1)
    means = np.matmul(weights[:, None, :], columns)
    spreads = np.sqrt(np.matmul(weights[:, None, :], (columns - means) ** 2))
    return means[:, 0].astype(np.float32), spreads[:, 0].astype(np.float32)


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


def _waves(rows: Doubles, island: bytes, width: float) -> Doubles:
    """Return the arguments of the cosines, (K, 128)."""
    waves: Doubles = rows[:, :_COLUMNS_PER_BLOCK] @ _scaled(island, 0, rows.shape[1], width)
    for first in range(_COLUMNS_PER_BLOCK, rows.shape[1], _COLUMNS_PER_BLOCK):
        block = rows[:, first : first + _COLUMNS_PER_BLOCK]
        waves += block @ _scaled(island, first, rows.shape[1], width)
    return waves


def _scaled(island: bytes, first: int, dimension: int, width: float) -> Doubles:
    """Return the frequencies of a block of columns from ``first`` on, with the factor ``h``."""
    scaled: Doubles = frequencies(island, first, min(_COLUMNS_PER_BLOCK, dimension - first)) * width
    return scaled


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
