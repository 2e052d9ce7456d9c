"""Fit table specifications with the reference engine and time it.

    .venv-reference/bin/python -P bench/reference/fit.py DATA.npz RESULT.npz

``DATA.npz`` holds one float32 matrix a key. ``RESULT.npz`` gets ``KEY.z``, ``KEY.beta`` and
``KEY.cpu_seconds``, with the engine's defaults (100 points, 3 steps, gamma 0.1) on the CPU. A small fit comes
first, so that what is timed is no import.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from learnware.specification import generate_rkme_table_spec


def main(data_path: str, result_path: str) -> None:
    """Fit every matrix of the file."""
    data = np.load(data_path)
    generate_rkme_table_spec(np.random.default_rng(0).normal(size=(300, 3)), gamma=0.1, cuda_idx=-1)
    results = {}
    for key in data.files:
        rows = data[key]
        start = time.process_time()
        spec = generate_rkme_table_spec(rows, gamma=0.1, reduced_set_size=100, cuda_idx=-1)
        results[f"{key}.cpu_seconds"] = time.process_time() - start
        results[f"{key}.z"] = np.asarray(spec.get_z())
        results[f"{key}.beta"] = np.asarray(spec.get_beta())
    np.savez(result_path, **results)


main(sys.argv[1], sys.argv[2])
