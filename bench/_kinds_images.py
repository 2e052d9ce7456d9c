"""What the specification of images costs: 5,000 of 32 x 32 pixels in three channels."""

from __future__ import annotations

import argparse
import time

import numpy as np

from bench.report import Row
from skerry.spec import fit_image

COUNT = 5_000
SECONDS_MAX = 10
NOTE = "seconds of the processor, one core; the reference engine needs hours for its own"


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the seconds of a fit, features included."""
    images = textures(COUNT, options.seed)
    fit_image(images[:100])
    started = time.process_time()
    rkme = fit_image(images)
    seconds = time.process_time() - started
    params = {"images": COUNT, "shape": "32x32x3", "points": len(rkme)}
    return [Row("image_spec_seconds_5000", seconds, "s", params, goal=f"<= {SECONDS_MAX}", note=NOTE)]


def textures(count: int, seed: int) -> np.ndarray:
    """Return images (count, 32, 32, 3) uint8 of fifty coarse patterns with noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 255, (50, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = rng.normal(0, 20, (count, 32, 32, 3))
    return np.clip(patterns[rng.integers(0, 50, count)] + noise, 0, 255).astype(np.uint8)
