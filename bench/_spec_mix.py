"""What a mix gains over the best single learnware, on parts of the digits data.

Learnwares hold two or three of the ten digits each, searchers three to five, all drawn from disjoint rows.
"""

from __future__ import annotations

import numpy as np

from bench.report import Row
from skerry.spec import fit_table, mix


def rows(*, quick: bool, seed: int) -> list[Row]:
    """Return the mixture's squared MMD over the best single's, for each way to choose members."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    owners, searchers = order[: len(X) // 2], order[len(X) // 2 :]
    learnwares = [fit_table(X[_some(owners, y, rng, 2, 3)], 50) for _ in range(20 if quick else 60)]
    requirements = [fit_table(X[_some(searchers, y, rng, 3, 5)], 50) for _ in range(5 if quick else 40)]
    found = []
    for method in ("greedy", "auto", "simplex"):
        mixes = [mix(requirement, learnwares, method=method) for requirement in requirements]
        ratios = [one.mmd2 / one.single_mmd2 for one in mixes]
        params = {"method": method, "learnwares": len(learnwares), "searchers": len(requirements)}
        size = f"members {np.mean([len(one) for one in mixes]):.1f}, median ratio {np.median(ratios):.2f}"
        found.append(
            Row("mix_mmd2_ratio", float(np.max(ratios)), "largest ratio", params, goal="<= 1", note=size)
        )
    return found


def _some(pool: np.ndarray, y: np.ndarray, rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    digits = rng.choice(10, rng.integers(low, high, endpoint=True), replace=False)
    return pool[np.isin(y[pool], digits)]
