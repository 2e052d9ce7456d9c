"""How good and how costly a table's RKME is, beside the reference engine's on the same rows.

Both engines run in processes of their own with the same number of threads (``OMP_NUM_THREADS``), and both
do one small fit before they are timed. Quality is the exact squared MMD to all rows in float64, computed
here for both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench.report import Row
from skerry.spec import fit_table
from skerry.spec.backend import gpu_available
from skerry.spec.metric import inner
from skerry.spec.rkme import Floats

GAMMA = 0.1
SIZE = 100
TABLES = ("digits", "breast_cancer", "wine", "diabetes")
ROOT = Path(__file__).parent.parent
REFERENCE_PYTHON = ROOT / ".venv-reference" / "bin" / "python"
MISSING = "no .venv-reference on this machine; `make reference` makes it"


def gaussian_mixture(rows: int, columns: int) -> Floats:
    """Return the mixture of ten Gaussians that every size of the benchmark is drawn from."""
    rng = np.random.default_rng(12345)
    means = rng.normal(0, 2, (10, columns))
    spreads = rng.uniform(0.5, 1.5, (10, columns))
    component = rng.choice(10, rows, p=rng.dirichlet(np.full(10, 3.0)))
    values = means[component] + spreads[component] * rng.normal(size=(rows, columns))
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)


def standard_tables(golden: Path | None) -> dict[str, Floats]:
    """Return the four standardised tables, from a folder of the reference's data where one is given."""
    if golden is not None:
        files = {name: golden / "data" / f"{name}_X_std.csv" for name in TABLES}
        return {name: np.loadtxt(file, delimiter=",", ndmin=2) for name, file in files.items()}
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    return {name: StandardScaler().fit_transform(getattr(datasets, f"load_{name}")().data) for name in TABLES}


def rows(*, quick: bool, golden: Path | None) -> list[Row]:
    """Return the rows of this part."""
    tables = standard_tables(golden)
    large = 20_000 if quick else 100_000
    jobs = {**tables, "4k": gaussian_mixture(4_000, 10), "large": gaussian_mixture(large, 30)}
    ours, theirs = _ours(jobs), _reference(jobs)
    return [
        *_quality_rows(tables, ours, theirs),
        _cost_row("rkme_cpu_seconds_4k", "4k", {"rows": 4_000, "columns": 10}, ours, theirs),
        *_large_rows(jobs["large"], ours, theirs),
        _gpu_row(),
    ]


Result = dict[str, Floats]


def _quality_rows(tables: dict[str, Floats], ours: Result, theirs: Result | None) -> list[Row]:
    found, ratios = [], []
    for name, table in tables.items():
        value = exact_mmd2(table, ours[f"{name}.z"], ours[f"{name}.beta"])
        peer = None if theirs is None else exact_mmd2(table, theirs[f"{name}.z"], theirs[f"{name}.beta"])
        ratios.append(np.nan if peer is None else value / peer)
        found.append(
            Row(
                "rkme_mmd2_ratio",
                value,
                "squared MMD",
                {"data": name, "points": SIZE, "gamma": GAMMA},
                "reference engine",
                peer,
                "<= 0.72",
                "ratio",
                "" if peer else MISSING,
            )
        )
    mean = None if theirs is None else float(np.exp(np.mean(np.log(ratios))))
    found.append(Row("rkme_mmd2_ratio", mean, "ratio", {"data": "geometric mean"}, goal="<= 0.25"))
    return found


def _cost_row(measure: str, key: str, params: dict[str, object], ours: Result, theirs: Result | None) -> Row:
    peer = None if theirs is None else float(theirs[f"{key}.cpu_seconds"])
    value = float(ours[f"{key}.cpu_seconds"])
    return Row(
        measure, value, "CPU s", params, "reference engine", peer, "<= 1", note="" if peer else MISSING
    )


def _large_rows(table: Floats, ours: Result, theirs: Result | None) -> list[Row]:
    params = {"rows": len(table), "columns": 30, "threads": os.environ.get("OMP_NUM_THREADS", "all")}
    seconds = float(ours["large.cpu_seconds"])
    peer = None if theirs is None else float(theirs["large.cpu_seconds"])
    sample = table[:: max(1, len(table) // 20_000)]
    distances = [
        None if result is None else exact_mmd2(sample, result["large.z"], result["large.beta"])
        for result in (ours, theirs)
    ]
    return [
        Row(
            "rkme_cpu_speedup_100k",
            None if peer is None else peer / seconds,
            "times",
            params,
            goal=">= 15" if len(table) >= 100_000 else None,
            note=f"ours {seconds:.2f} CPU s, theirs {peer:.2f}" if peer else MISSING,
        ),
        Row(
            "rkme_mmd2_100k",
            distances[0],
            "squared MMD",
            params,
            "reference engine",
            distances[1],
            "<= 1",
            "ratio",
        ),
        Row("rkme_extra_mb_100k", _extra_megabytes(table), "MB", params, goal="<= 400"),
    ]


def exact_mmd2(table: Floats, points: Floats, weights: Floats) -> float:
    """Return the squared MMD (gamma 0.1, float64) between all rows and a reduced set."""
    rows_, points = np.asarray(table, np.float64), np.asarray(points, np.float64)
    weights = np.asarray(weights, np.float64).ravel()
    shares = np.full(len(rows_), 1 / len(rows_))
    return (
        inner(rows_, shares, rows_, shares, GAMMA)
        - 2 * inner(points, weights, rows_, shares, GAMMA)
        + inner(points, weights, points, weights, GAMMA)
    )


def _ours(jobs: dict[str, Floats]) -> Result:
    """Fit every matrix in a fresh process of our own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_fit_all, (jobs,))


def _fit_all(jobs: dict[str, Floats]) -> Result:
    fit_table(np.random.default_rng(0).normal(size=(300, 3)), 50, GAMMA)
    results: Result = {}
    for key, table in jobs.items():
        start = time.process_time()
        rkme = fit_table(table, SIZE, GAMMA, device="cpu")
        results[f"{key}.cpu_seconds"] = np.array(time.process_time() - start)
        results[f"{key}.z"], results[f"{key}.beta"] = rkme.points, rkme.weights
    return results


def _reference(jobs: dict[str, Floats]) -> Result | None:
    """Fit every matrix with the reference engine; None where its environment is missing."""
    if not REFERENCE_PYTHON.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        data, result = Path(folder) / "data.npz", Path(folder) / "result.npz"
        np.savez(data, **{key: np.asarray(table, np.float32) for key, table in jobs.items()})
        script = ROOT / "bench" / "reference" / "fit.py"
        # The engine writes to ~/.learnware when it is imported; it gets the temporary folder as its home.
        environment = {**os.environ, "HOME": folder}
        command = [REFERENCE_PYTHON, "-P", script, data, result]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=sys.stderr)
        with np.load(result) as arrays:
            return {key: arrays[key] for key in arrays.files}


def _extra_megabytes(table: Floats) -> float:
    """Return how far one fit raises a fresh process above the loaded table, imports included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npy"
        np.save(path, table)
        with get_context("spawn").Pool(1) as pool:
            return pool.apply(_memory_of_fit, (path,))


def _memory_of_fit(path: Path) -> float:
    table = np.load(path)
    before = _peak_kilobytes()
    fit_table(table, SIZE, GAMMA, device="cpu")
    return (_peak_kilobytes() - before) / 1024


def _peak_kilobytes() -> int:
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _gpu_row() -> Row:
    params = {"rows": 10_000_000, "columns": 100}
    if not gpu_available():
        return Row(
            "rkme_gpu_seconds_10m", None, "s", params, goal="<= 5", note="no GPU that torch can use here"
        )
    rng = np.random.default_rng(0)
    table = rng.standard_normal((10_000_000, 100), dtype=np.float32)
    fit_table(table[:100_000], device="cuda")
    start = time.perf_counter()
    fit_table(table, device="cuda")
    return Row("rkme_gpu_seconds_10m", time.perf_counter() - start, "s", params, goal="<= 5")
