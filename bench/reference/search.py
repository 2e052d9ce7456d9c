"""Time the reference engine's search by data; runs in its own environment, as a process of its own.

    .venv-reference/bin/python -P bench/reference/search.py MARKET.npz REPEATS

``MARKET.npz`` holds ``points`` (N, K, d) float32, ``weights`` (N, K), and the user's ``user_points``,
``user_weights``. Prints one JSON object: the CPU seconds of each greedy search and the ids it recommends.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from learnware.learnware import Learnware
from learnware.market import BaseUserInfo
from learnware.market.easy.searcher import EasyStatSearcher
from learnware.specification import RKMETableSpecification, Specification

NAME = "RKMETableSpecification"


def specification(points: np.ndarray, weights: np.ndarray) -> RKMETableSpecification:
    """Return a specification with the given reduced set, as ``load`` would make it."""
    rkme = RKMETableSpecification(gamma=0.1, cuda_idx=-1)
    rkme.z = torch.from_numpy(points.astype(np.float64))
    rkme.beta = torch.from_numpy(weights.astype(np.float64))
    rkme.num_points = len(points)
    return rkme


def main(path: str, repeats: int) -> None:
    """Build the market, search it and print the times."""
    arrays = np.load(path)
    market = [
        Learnware(str(number), {}, Specification({}, {NAME: specification(points, weights)}), "")
        for number, (points, weights) in enumerate(zip(arrays["points"], arrays["weights"], strict=True))
    ]
    user = BaseUserInfo(stat_info={NAME: specification(arrays["user_points"], arrays["user_weights"])})
    searcher = EasyStatSearcher(organizer=None)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        results = searcher(market, user, max_search_num=5, search_method="greedy")
        seconds.append(time.process_time() - start)
    mixtures = results.get_multiple_results()
    members = [learnware.id for learnware in mixtures[0].learnwares] if mixtures else []
    print(json.dumps({"seconds": seconds, "singles": len(results.get_single_results()), "mixture": members}))


main(sys.argv[1], int(sys.argv[2]))
