"""What the text extractors cost: texts a second on two cores.

The texts are made of a fixed list of words, 90 to 120 characters long, and all different, so that nothing is
remembered. Seconds are of the processor; two cores give two of them a second.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from bench.report import Row
from skerry.spec.extractors.minilm import available
from skerry.spec.text import TEXT_EXTRACTORS, text_extractor

CORES = 2
WORDS = [
    "harbour",
    "tide",
    "wooden",
    "ladder",
    "market",
    "signal",
    "winter",
    "engine",
    "garden",
    "letter",
    "copper",
    "window",
    "patient",
    "student",
    "river",
    "island",
    "museum",
    "ticket",
    "soldier",
    "planet",
    "thunder",
    "bottle",
    "camera",
    "daughter",
    "village",
    "pepper",
    "needle",
]


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the speed of each extractor."""
    count = 300 if options.quick else 2000
    texts = short_texts(count, options.seed)
    installed = [name for name in TEXT_EXTRACTORS if name != "minilm" or available()]
    return [_speed(name, texts) for name in installed]


def short_texts(count: int, seed: int) -> list[str]:
    """Return different texts of 90 to 120 characters."""
    rng = np.random.default_rng(seed)
    return [f"{number} {' '.join(rng.choice(WORDS, 20))}"[: rng.integers(90, 121)] for number in range(count)]


def _speed(name: str, texts: list[str]) -> Row:
    extractor = text_extractor(name)
    extractor(texts[:64])
    started = time.process_time()
    extractor(texts)
    seconds = time.process_time() - started
    params = {"extractor": name, "texts": len(texts), "cores": CORES}
    return Row("text_per_second", CORES * len(texts) / seconds, "texts/s", params, goal=">= 200")
