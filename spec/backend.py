"""Where the passes over all rows run: numpy, or torch on a GPU.

Fitting looks at every row only a few times: for the moments of the columns, for the mean embedding at the
fitted points, and for the row nearest to each point. Each is a method of ``Rows``, which exists once for
numpy and once for torch, and neither holds more than a block of rows in another type; all else works on a
sample of bounded size. torch is imported here and nowhere else, and only when a GPU was asked for or the
data are large enough to be worth its start.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .limits import BLOCK_FLOATS_MAX
from .metric import Scale, kernel_block, squared_distances
from .rkme import Floats, Marginals
from .table import marginals_of, row_chunks

Device = Literal["auto", "cpu", "cuda"]
Positions = npt.NDArray[np.intp]

GPU_VALUES_MIN: Final = 50_000_000
"""Values of a table from which ``device="auto"`` looks for a GPU: below, importing torch costs more."""


class Rows(Protocol):
    """All rows of a data set, (n, d), with missing values as NaN."""

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns, (n, d)."""

    def moments(self) -> Marginals:
        """Return mean, spread and missing rate of each column."""

    def take(self, index: Positions) -> Floats:
        """Return some rows in the owner's units."""

    def embedding(self, points: Floats, scale: Scale) -> Floats:
        """Return the mean kernel value (K,) of all rows at points that are in scale already."""

    def nearest(
        self, points: Floats, scale: Scale, radius: Floats, skip: Positions | None = None
    ) -> tuple[Floats, Positions]:
        """Return the distance of each point to its nearest row, and how many rows lie within its radius.

        Parameters
        ----------
        points, radius
            (K, d) float64 in scale, and (K,).
        skip
            (K,) for each point one row that does not count: itself.
        """


class NumpyRows:
    """Rows in main memory, with shares that sum to 1 where they do not all count alike."""

    def __init__(self, values: Floats, shares: Floats | None = None) -> None:
        self._values = values
        self._shares = np.full(len(values), 1 / len(values)) if shares is None else shares

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns, (n, d)."""
        return self._values.shape[0], self._values.shape[1]

    def moments(self) -> Marginals:
        """Return mean, spread and missing rate of each column."""
        return marginals_of(self._values)

    def take(self, index: Positions) -> Floats:
        """Return some rows in the owner's units."""
        return self._values[index]

    def embedding(self, points: Floats, scale: Scale) -> Floats:
        """Return the mean kernel value (K,) of all rows at points that are in scale already."""
        # Small data are done in float64: it costs little, and their MMD can be close to float32's rounding.
        dtype: type[np.floating[Any]] = (
            np.float64 if self._values.size * len(points) <= BLOCK_FLOATS_MAX else np.float32
        )
        total = np.zeros(len(points))
        start = 0
        for chunk in _blocks(self._values, len(points)):
            block = kernel_block(filled(scale, chunk, dtype), np.asarray(points, dtype), scale.gamma)
            total += np.asarray(self._shares[start : start + len(chunk)], dtype) @ block
            start += len(chunk)
        return total

    def nearest(
        self, points: Floats, scale: Scale, radius: Floats, skip: Positions | None = None
    ) -> tuple[Floats, Positions]:
        """Return the distance of each point to its nearest row, and how many rows lie within its radius."""
        nearest, company = np.full(len(points), np.inf), np.zeros(len(points), np.intp)
        start = 0
        for chunk in _blocks(self._values, len(points)):
            distances = np.sqrt(squared_distances(points, filled(scale, chunk, np.float64)))
            if skip is not None:
                here = _inside(skip, start, len(chunk))
                distances[here, skip[here] - start] = np.inf
            nearest = np.minimum(nearest, distances.min(axis=1))
            company += (distances <= radius[:, None]).sum(axis=1)
            start += len(chunk)
        return nearest, company


class TorchRows:
    """Rows on a GPU (or wherever torch is told), all counting alike."""

    def __init__(self, values: Floats, device: str) -> None:
        import torch

        self._torch: Any = torch
        # torch refuses to share memory that numpy may not write to.
        own = np.require(values, requirements=["C", "W"])
        self._values: Any = torch.as_tensor(own).to(device)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns, (n, d)."""
        return self._values.shape[0], self._values.shape[1]

    def moments(self) -> Marginals:
        """Return mean, spread and missing rate of each column."""
        torch, values = self._torch, self._values
        there = ~torch.isnan(values)
        present = there.sum(0).double()
        location = torch.nansum(values, 0, dtype=torch.float64) / present.clamp(min=1)
        squares = torch.zeros_like(location)
        for chunk in values.split(_rows_at_once(values.shape[1])):
            squares += torch.nansum((chunk - location) ** 2, 0, dtype=torch.float64)
        spread = (squares / present.clamp(min=1)).sqrt()
        missing = 1 - present / len(values)
        return Marginals(*(part.cpu().numpy() for part in (location, spread, missing)))

    def take(self, index: Positions) -> Floats:
        """Return some rows in the owner's units."""
        rows: Floats = self._values[self._torch.as_tensor(index)].cpu().numpy()
        return rows

    def embedding(self, points: Floats, scale: Scale) -> Floats:
        """Return the mean kernel value (K,) of all rows at points that are in scale already."""
        torch = self._torch
        on_device = {"device": self._values.device, "dtype": torch.float32}
        location = torch.tensor(scale.location, device=self._values.device)
        spread = torch.tensor(scale.spread, device=self._values.device)
        z = torch.tensor(points, **on_device)
        total = torch.zeros(len(points), device=self._values.device, dtype=torch.float64)
        for chunk in self._values.split(_rows_at_once(max(len(points), points.shape[1]))):
            rows = torch.nan_to_num((chunk - location) / spread, nan=0.0).to(torch.float32)
            block = torch.addmm((z * z).sum(1)[None, :], rows, z.T, alpha=-2) + (rows * rows).sum(1)[:, None]
            total += torch.exp(block.clamp(min=0) * -scale.gamma).sum(0, dtype=torch.float64)
        embedding: Floats = (total / len(self._values)).cpu().numpy()
        return embedding

    def nearest(
        self, points: Floats, scale: Scale, radius: Floats, skip: Positions | None = None
    ) -> tuple[Floats, Positions]:
        """Return the distance of each point to its nearest row, and how many rows lie within its radius."""
        torch, device = self._torch, self._values.device
        at = torch.tensor(points, device=device, dtype=torch.float64)
        location, spread, bound, within = (
            torch.tensor(part, device=device) for part in (scale.location, scale.spread, scale.bound, radius)
        )
        nearest = torch.full((len(points),), torch.inf, device=device, dtype=torch.float64)
        company = torch.zeros(len(points), device=device, dtype=torch.int64)
        start = 0
        for chunk in self._values.split(_rows_at_once(max(points.shape))):
            rows = torch.nan_to_num((chunk - location) / spread, nan=0.0).clamp(-bound, bound)
            squared = torch.addmm((at * at).sum(1)[:, None], at, rows.T, alpha=-2) + (rows * rows).sum(1)
            distances = squared.clamp(min=0).sqrt()
            if skip is not None:
                here = _inside(skip, start, len(chunk))
                distances[torch.as_tensor(here), torch.as_tensor(skip[here] - start)] = torch.inf
            nearest = torch.minimum(nearest, distances.amin(1))
            company += (distances <= within[:, None]).sum(1)
            start += len(chunk)
        return nearest.cpu().numpy(), company.cpu().numpy()


def open_rows(values: Floats, device: Device) -> Rows:
    """Return the rows of a table (n, d) where they should be worked on.

    Raises
    ------
    SpecificationError
        When a GPU is asked for and there is none, or the device is unknown.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise _refusal(f"{device!r} is none of 'auto', 'cpu', 'cuda'")
    if device == "cuda" and not gpu_available():
        raise _refusal("no GPU that torch can use was found; install skerry[torch] on a machine with one")
    wanted = device == "cuda" or (device == "auto" and values.size >= GPU_VALUES_MIN and gpu_available())
    return TorchRows(values, "cuda") if wanted else NumpyRows(values)


def gpu_available() -> bool:
    """Return whether torch is installed and sees a GPU."""
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def filled(scale: Scale, rows: Floats, dtype: type[np.floating[Any]]) -> Floats:
    """Return rows in scale, with missing values at their column's location."""
    scaled = scale.embed(rows, dtype)
    return np.nan_to_num(scaled, copy=False, nan=0.0)


def _blocks(values: Floats, points: int) -> Any:
    """Yield chunks of rows whose kernel block with ``points`` points is bounded too."""
    rows = max(1, BLOCK_FLOATS_MAX // points)
    for chunk in row_chunks(values):
        for start in range(0, len(chunk), rows):
            yield chunk[start : start + rows]


def _inside(rows: Positions, start: int, count: int) -> Positions:
    """Return which of some rows are among ``count`` from ``start`` on."""
    return np.flatnonzero((rows >= start) & (rows < start + count))


def _rows_at_once(width: int) -> int:
    # A GPU wants larger blocks than a CPU's caches: 16 times are 256 MiB of float32.
    return max(1, 16 * BLOCK_FLOATS_MAX // width)


def _refusal(why: str) -> SpecificationError:
    return SpecificationError("The device cannot be used", where="device", why=why, code="E-SPEC-DEVICE")
