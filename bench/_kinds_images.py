"""Images: what a specification costs, and the reference engine's published image scenario in small.

Owners hold images of ten classes in proportions 4:4:1:1, searchers others in proportions 3:3:1:1:1:1, as in
the engine's scenario on CIFAR-10 (there the first hit closed 71 % of the gap between the mean and the best).
Here the images are scikit-learn's digits, and those of ``--images``. Models are logistic regressions on
random kernel features of coarse pixels: weak ones, and none of the features that specifications are made of.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from bench._kinds_market import COMBINATIONS, Searcher, served
from bench.report import Row
from skerry.reuse import Learnware, as_estimator
from skerry.spec import fit_image

COUNT = 5_000
SECONDS_MAX = 10
COST_NOTE = "seconds of the processor, one core; the reference engine needs hours for its own"
NEEDS = "give an npz file of labelled images with --images"
OWNER_SHARES = (4, 4, 1, 1)
SEARCHER_SHARES = (3, 3, 1, 1, 1, 1)
COARSE = 16


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the cost of a specification, and how well searchers are served."""
    X, y = load_digits(return_X_y=True)
    found = [cost(options.seed), *scenario("digits", X.reshape(-1, 8, 8) / 16, y, options)]
    if options.images is None:
        return [*found, Row("image_gap_closed", None, "share", {"images": "--images"}, note=NEEDS)]
    with np.load(options.images) as file:
        return [*found, *scenario(options.images.stem, file["x"], file["y"].ravel(), options)]


def cost(seed: int) -> Row:
    """Return the seconds of a fit, features included."""
    images = textures(COUNT, seed)
    fit_image(images[:100])
    started = time.process_time()
    rkme = fit_image(images)
    seconds = time.process_time() - started
    params = {"images": COUNT, "shape": "32x32x3", "points": len(rkme)}
    return Row("image_spec_seconds_5000", seconds, "s", params, goal=f"<= {SECONDS_MAX}", note=COST_NOTE)


def textures(count: int, seed: int) -> np.ndarray:
    """Return images (count, 32, 32, 3) uint8 of fifty coarse patterns with noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 255, (50, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = rng.normal(0, 20, (count, 32, 32, 3))
    return np.clip(patterns[rng.integers(0, 50, count)] + noise, 0, 255).astype(np.uint8)


def scenario(name: str, x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> list[Row]:
    """Return how owners' models serve searchers with other shares of the classes."""
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(x))
    halves = order[: len(x) // 2], order[len(x) // 2 :]
    owners, searchers = (12, 10) if options.quick else (50, 40)
    held, asked = min(4000, len(x) // 6), min(1000, len(x) // 9)
    market = [owner(x, y, skewed(y, halves[0], OWNER_SHARES, held, rng)) for _ in range(owners)]
    wanted = [searcher(x, y, skewed(y, halves[1], SEARCHER_SHARES, asked, rng)) for _ in range(searchers)]
    error = {key: 1 - value for key, value in served(market, wanted).items()}
    params = {"images": name, "owners": owners, "searchers": searchers, "held": held, "asked": asked}
    gap = (error["mean"] - error["top1"]) / (error["mean"] - error["best"])
    shown = {key: round(error[key], 4) for key in ("mean", "best", "top1")}
    note = "errors " + ", ".join(f"{key} {error[key]:.4f}" for key in COMBINATIONS)
    return [
        Row("image_gap_closed", gap, "share", {**params, **shown}, goal=">= 0.45"),
        Row(
            "image_mix_vs_average",
            error["mix"],
            "error",
            params,
            peer="average of all",
            peer_value=error["all"],
            goal="<= 1",
            goal_of="ratio",
            note=note,
        ),
    ]


def skewed(
    y: np.ndarray, pool: np.ndarray, shares: tuple[int, ...], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return places of images whose classes, drawn anew, have these shares."""
    classes = rng.permutation(np.unique(y))[: len(shares)]
    sizes = np.array(shares) * count // sum(shares)
    parts = [rng.permutation(pool[y[pool] == kind])[:size] for kind, size in zip(classes, sizes, strict=True)]
    return np.concatenate(parts)


def owner(x: np.ndarray, y: np.ndarray, own: np.ndarray) -> Learnware:
    """Return the learnware of an owner with these images."""
    flat = FunctionTransformer(coarse)
    kernel = Nystroem(n_components=min(300, len(own)), gamma=0.5 / coarse(x[:1]).shape[1], random_state=0)
    model = make_pipeline(flat, StandardScaler(), kernel, LogisticRegression(max_iter=300))
    return as_estimator(model.fit(x[own], y[own]), fit_image(x[own]))


def searcher(x: np.ndarray, y: np.ndarray, own: np.ndarray) -> Searcher:
    """Return the searcher with these images."""
    return Searcher(x[own], y[own], fit_image(x[own]))


def coarse(images: Any) -> np.ndarray:
    """Return images as rows of at most 16 x 16 pixels a channel."""
    array = np.asarray(images)
    step = max(1, array.shape[1] // COARSE)
    return array[:, ::step, ::step].reshape(len(array), -1).astype(np.float64)
