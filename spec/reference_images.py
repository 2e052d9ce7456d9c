"""The reference engine's kernel of two images: that of an infinitely wide random convolutional network.

Garriga-Alonso, Aitchison and Rasmussen, "Deep convolutional networks as shallow Gaussian processes", 2019.
The covariances of all pixel pairs at one place go through three layers of a 3 x 3 convolution (weight
variance the root of 2, bias variance 0.1), a ReLU and a mean over 2 x 2 pixels, and at last a mean over all:

    conv:  c' = sqrt(2) mean of c over 3 x 3 (zeros outside) + 0.1
    relu:  c' = (sqrt(v w - c^2) + (pi - arccos(c / sqrt(v w))) c) / (2 pi),    v' = v / 2

where c is the covariance of the two images at a place and v, w are the variances of each. Everything is in
float64, where the engine has float32: its distances are repeated to about 1e-6.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .limits import BLOCK_FLOATS_MAX
from .rkme import Floats, Rkme

LAYERS: Final = 3
WEIGHT_VARIANCE: Final = float(np.sqrt(2))
BIAS_VARIANCE: Final = 0.1
_TINY: Final = float(np.finfo(np.float32).tiny)


def image_mmd2(first: Rkme, second: Rkme) -> float:
    """Return the squared MMD of two of the engine's image specifications; not clamped at 0."""
    return image_inner(first, first) - 2 * image_inner(first, second) + image_inner(second, second)


def image_inner(first: Rkme, second: Rkme) -> float:
    """Return the inner product of two of the engine's image specifications of one shape."""
    a, b = _images(first), _images(second)
    rows = max(1, BLOCK_FLOATS_MAX // max(1, b[:, 0].size))
    return float(
        sum(
            first.weights[start : start + rows] @ image_kernel(a[start : start + rows], b) @ second.weights
            for start in range(0, len(a), rows)
        )
    )


def image_kernel(a: Floats, b: Floats) -> Floats:
    """Return the kernel values (m, n) of images a (m, channels, s, s) and b (n, channels, s, s)."""
    cross = np.einsum("icyx,jcyx->ijyx", a, b) / a.shape[1]
    left, right = (a**2).mean(axis=1)[:, None], (b**2).mean(axis=1)[None, :]
    for _ in range(LAYERS):
        cross, left, right = (_convolved(part) for part in (cross, left, right))
        cross, left, right = _rectified(cross, left, right), left / 2, right / 2
        cross, left, right = (_halved(part) for part in (cross, left, right))
    kernel: Floats = cross.mean(axis=(2, 3))
    return kernel


def _images(rkme: Rkme) -> Floats:
    return np.asarray(rkme.points, np.float64).reshape(len(rkme), *rkme.shape)


def _convolved(part: Floats) -> Floats:
    """Return the sums over 3 x 3 places, zeros outside, in the variances of the layer."""
    padded = np.pad(part, ((0, 0), (0, 0), (1, 1), (1, 1)))
    down = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    across: Floats = down[..., :-2] + down[..., 1:-1] + down[..., 2:]
    return across * (WEIGHT_VARIANCE / 9) + BIAS_VARIANCE


def _rectified(cross: Floats, left: Floats, right: Floats) -> Floats:
    product = left * right + _TINY
    angle = np.arccos(np.clip(cross / np.sqrt(product), -1, 1))
    height = np.sqrt(np.maximum(product - cross**2, 0))
    rectified: Floats = (height + (np.pi - angle) * cross) / (2 * np.pi)
    return rectified


def _halved(part: Floats) -> Floats:
    m, n, side, _ = part.shape
    halved: Floats = part.reshape(m, n, side // 2, 2, side // 2, 2).mean(axis=(3, 5))
    return halved
