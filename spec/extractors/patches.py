"""The image extractor: colours where they are, how much of each there is, and which way edges run.

Three parts, each brought to length one and put side by side:

- *pixels*: the image at 8 x 8, three channels, less the image's mean (192 columns): the layout;
- *colours*: the share of each of eight levels in each channel, as square roots, so that the inner product of
  two histograms is their Bhattacharyya coefficient (24 columns);
- *edges*: on the grey image at 32 x 32, the gradient's direction in nine bins of 20 degrees, weighted by its
  length, in 4 x 4 cells, as square roots (Dalal and Triggs, "Histograms of oriented gradients for human
  detection", 2005; 144 columns).

No weights, no download. Random convolutions were tried and told data sets apart less well (ADR 25).

Images of one channel count as grey ones of three. Any size is brought to 32 x 32 first: each new pixel is the
mean of the area under it, or interpolated linearly where there are fewer pixels than 32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from skerry.spec.rkme import Floats

PATCHES: Final = "skerry/pixels-colours-edges/1"
SIDE: Final = 32
PIXELS: Final = 8
LEVELS: Final = 8
CELLS: Final = 4
DIRECTIONS: Final = 9
DIMENSION: Final = 3 * PIXELS**2 + 3 * LEVELS + CELLS**2 * DIRECTIONS


class Patches:
    """Images of one size (n, height, width, 3), values in [0, 1], as rows (n, 360) float32."""

    id: Final = PATCHES
    dimension: Final = DIMENSION

    def __call__(self, images: Floats) -> Floats:
        """Return the rows of images; every row has length one."""
        canvas = resized(images, SIDE)
        parts = [_pixels(canvas), _colours(canvas), _edges(canvas.mean(axis=3))]
        return _unit(np.concatenate([_unit(part) for part in parts], axis=1)).astype(np.float32)


def resized(images: Floats, side: int) -> Floats:
    """Return images (n, h, w, c) at side x side, float32."""
    down, across = _weights(images.shape[1], side), _weights(images.shape[2], side)
    rows = np.einsum("sh,nhwc->nswc", down, images.astype(np.float32), optimize=True)
    resized: Floats = np.einsum("tw,nswc->nstc", across, rows, optimize=True)
    return resized


@lru_cache(maxsize=64)
def _weights(length: int, side: int) -> Floats:
    """Return the (side, length) weights of old pixels in new ones; each row sums to 1."""
    if length < side:
        centres = (np.arange(side) + 0.5) * length / side - 0.5
        near = np.clip(centres, 0, length - 1)[:, None] - np.arange(length)
        weights = np.maximum(1 - np.abs(near), 0)
    else:
        edges = np.arange(side + 1) * length / side
        low, high = edges[:-1, None], edges[1:, None]
        pixel = np.arange(length)
        weights = np.maximum(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _pixels(canvas: Floats) -> Floats:
    small = resized(canvas, PIXELS).reshape(len(canvas), -1)
    centred: Floats = small - small.mean(axis=1, keepdims=True)
    # What is left of an even image is rounding, which has no layout.
    return np.where(np.abs(centred).max(axis=1, keepdims=True) > _EVEN, centred, 0)


_EVEN: Final = 1e-4


def _colours(canvas: Floats) -> Floats:
    """Return the roots of the shares of each level in each channel (n, 3 x LEVELS)."""
    level = np.minimum((canvas * LEVELS).astype(np.intp), LEVELS - 1)
    level += LEVELS * np.arange(3)
    level += 3 * LEVELS * np.arange(len(canvas))[:, None, None, None]
    counts = np.bincount(level.ravel(), minlength=len(canvas) * 3 * LEVELS)
    return np.sqrt(counts.reshape(len(canvas), 3 * LEVELS) / SIDE**2)


def _edges(grey: Floats) -> Floats:
    """Return the histograms of gradients of grey images (n, CELLS x CELLS x DIRECTIONS)."""
    vertical, horizontal = np.zeros_like(grey), np.zeros_like(grey)
    vertical[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    horizontal[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    strength = np.hypot(vertical, horizontal)
    strength[strength < _EVEN] = 0
    turn = np.arctan2(vertical, horizontal) / np.pi * DIRECTIONS
    low = np.floor(turn)
    share = (turn - low) * strength
    cell = np.arange(SIDE) * CELLS // SIDE
    place = (np.arange(len(grey))[:, None, None] * CELLS + cell[:, None]) * CELLS + cell
    histogram = np.zeros(len(grey) * CELLS**2 * DIRECTIONS)
    for step, part in ((0, strength - share), (1, share)):
        bins = place * DIRECTIONS + (low.astype(np.intp) + step) % DIRECTIONS
        histogram += np.bincount(bins.ravel(), part.ravel(), minlength=len(histogram))
    return np.sqrt(np.maximum(histogram, 0)).reshape(len(grey), -1)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
