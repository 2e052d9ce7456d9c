"""Search: recall of the candidates, an index of a million cards, a whole search against the reference engine.

    python -m bench.spec_search [--quick] [--json] [--air FILE] [--part NAME]

``--air`` is the hourly table of Beijing's twelve stations (UCI 501, parquet). The reference engine runs on
one thread, which it is fastest on, and so does everything here; the index is timed in a process that has
nothing else in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bench import spec_markets
from bench.report import Row, arguments, show
from bench.spec_markets import Market
from skerry.spec import Rkme, Scale, Sketch, SketchIndex, mix, rank, sketch_of

ISLAND = bytes(32)
COLUMNS = 30
CANDIDATES = 300
NEIGHBOURS = 10
MIX_CANDIDATES = 25
REFERENCE_PYTHON = Path(".venv-reference/bin/python")


def rows(options: argparse.Namespace) -> list[Row]:
    """Return all figures of search."""
    return [row for part in PARTS.values() for row in part(options)]


def _speedup_rows(options: argparse.Namespace) -> list[Row]:
    return [_speedup(1_000 if options.quick else 10_000, options.seed, quick=options.quick)]


def _index_rows(options: argparse.Namespace) -> list[Row]:
    counts = [10_000, 100_000] if options.quick else [10_000, 100_000, 1_000_000]
    return [
        *_rows_by_size(counts, options.seed),
        _scan_row(20_000 if options.quick else 200_000, options.seed),
    ]


def _air_rows(options: argparse.Namespace) -> list[Row]:
    if not options.air:
        return [Row("recall_at_10", None, "share", {"market": "air"}, note="give the table with --air")]
    market = spec_markets.air(options.air, *_market_size(options), options.seed)
    return [_recall(market, quick=options.quick)]


def _digits_rows(options: argparse.Namespace) -> list[Row]:
    return [_recall(spec_markets.digits(*_market_size(options), options.seed), quick=options.quick)]


def _mixed_units_rows(options: argparse.Namespace) -> list[Row]:
    count, queries = _market_size(options)
    return [_recall(spec_markets.mixed_units(count * 20, queries, options.seed), quick=options.quick)]


PARTS = {
    "speedup": _speedup_rows,
    "index": _index_rows,
    "air": _air_rows,
    "digits": _digits_rows,
    "mixed units": _mixed_units_rows,
}


def _market_size(options: argparse.Namespace) -> tuple[int, int]:
    """Return the numbers of learnwares and queries."""
    return (300, 10) if options.quick else (5_000, 100)


def _recall(market: Market, *, quick: bool) -> Row:
    """Return the share of the exact ten nearest that are among the candidates, as a mean over the queries."""
    with tempfile.TemporaryFile() as file:
        index, island = SketchIndex(file), market.learnwares[0].island.id
        ids = [number.to_bytes(32, "big") for number in range(len(market.learnwares))]
        index.add(island, ids, [sketch_of(learnware) for learnware in market.learnwares])
        shares = [_recall_of_one(index, market, query) for query in market.queries]
    params = {"market": market.name, "learnwares": len(ids), "queries": len(shares), "candidates": CANDIDATES}
    note = f"lowest {min(shares):.1f}"
    return Row(
        "recall_at_10", float(np.mean(shares)), "share", params, goal=None if quick else ">= 0.99", note=note
    )


def _recall_of_one(index: SketchIndex, market: Market, query: Rkme) -> float:
    island = market.learnwares[0].island.id
    near = index.search(sketch_of(query), Scale.of(query), island, count=CANDIDATES)
    candidates = {int.from_bytes(card, "big") for card in near}
    exact = rank(query, market.learnwares, k=NEIGHBOURS).indices.tolist()
    return len(candidates.intersection(exact)) / NEIGHBOURS


def _speedup(count: int, seed: int, *, quick: bool) -> Row:
    """Return the reference engine's greedy search over ours, on the same market in the same run."""
    market = spec_markets.clusters(count, seed)
    user = market.queries[0]
    with tempfile.TemporaryFile() as file:
        index, island = SketchIndex(file), user.island.id
        ids = [number.to_bytes(32, "big") for number in range(count)]
        index.add(island, ids, [sketch_of(learnware) for learnware in market.learnwares])

        def search() -> None:
            scale = Scale.of(user)
            near = index.search(sketch_of(user), scale, island, count=CANDIDATES)
            candidates = [market.learnwares[int.from_bytes(card, "big")] for card in near]
            best = rank(user, candidates, k=MIX_CANDIDATES)
            mix(user, [candidates[place] for place in best.indices], size_max=5, scale=scale)

        ours, wall = _median_seconds(search, 40)
        theirs = _reference_seconds(market, 1 if quick else 3)
    if theirs is None:
        return Row(
            "search_speedup_10k", None, "times", {"learnwares": count}, note="run `make reference` first"
        )
    return Row(
        "search_speedup_10k",
        theirs / ours,
        "times",
        {"learnwares": count, "points": 100, "columns": COLUMNS, "cpu_ms": round(ours * 1e3, 1)},
        peer="learnware 0.3.2, CPU ms",
        peer_value=theirs * 1e3,
        goal=None if quick else ">= 100",
        note=f"CPU time, one thread each; ours took {wall * 1e3:.0f} ms by the clock",
    )


def _reference_seconds(market: Market, repeats: int) -> float | None:
    """Return the median CPU time of the reference engine's greedy search, or None without it."""
    if not REFERENCE_PYTHON.exists():
        return None
    script = Path(__file__).parent / "reference" / "search.py"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "market.npz"
        np.savez(
            path,
            points=np.stack([learnware.points for learnware in market.learnwares]),
            weights=np.stack([learnware.weights for learnware in market.learnwares]),
            user_points=market.queries[0].points,
            user_weights=market.queries[0].weights,
        )
        answer = _answer(
            [str(REFERENCE_PYTHON), "-P", str(script), str(path), str(repeats)], OMP_NUM_THREADS="1"
        )
    return float(np.median(answer["seconds"]))


def _rows_by_size(counts: list[int], seed: int) -> list[Row]:
    """Return query time and memory of an index of random cards at several sizes."""
    milliseconds, found = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / str(count)
            _worker("build", path, count, seed)
            answer = _worker("query", path, count, seed)
            path.unlink()
            milliseconds[count] = answer["milliseconds"]
            million = count == 1_000_000
            name = f"{count // 1_000}k" if not million else "1m"
            params = {"cards": count, "columns": COLUMNS, "cpu_ms": round(answer["cpu_ms"], 1)}
            goals = ("<= 250", "<= 800") if million else (None, None)
            found.append(Row(f"index_query_ms_{name}", answer["milliseconds"], "ms", params, goal=goals[0]))
            found.append(Row(f"index_rss_mb_{name}", answer["rss_mb"], "MB", params, goal=goals[1]))
            found.append(Row(f"index_open_s_{name}", answer["open_seconds"], "s", params))
    first, last = counts[0], counts[-1]
    growth = milliseconds[last] / milliseconds[first] / (last / first)
    note = "time over size, 1 is linear"
    return [*found, Row("index_growth", growth, "ratio", {"from": first, "to": last}, goal="<= 1", note=note)]


def _worker(task: str, path: Path, count: int, seed: int) -> dict[str, float]:
    arguments_ = [str(path), str(count), str(seed)]
    return _answer([sys.executable, "-m", "bench.spec_search", "--worker", task, *arguments_])


def _answer(command: list[str], **environment: str) -> dict[str, float]:
    """Run a command and return the JSON object in the last line that it prints."""
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _build(path: Path, count: int, seed: int) -> dict[str, float]:
    """Write an index of random cards."""
    rng = np.random.default_rng(seed)
    with path.open("w+b") as file:
        index = SketchIndex(file)
        for start in range(0, count, 10_000):
            ids = [number.to_bytes(32, "big") for number in range(start, min(count, start + 10_000))]
            index.add(ISLAND, ids, _random_sketches(rng, len(ids)))
        index.flush()
    return {}


def _random_sketches(rng: np.random.Generator, count: int) -> list[Sketch]:
    vectors = np.clip(rng.normal(0, 30, (count, 256)), -127, 127).astype(np.int8)
    means = rng.normal(0, 1, (count, COLUMNS)).astype(np.float32)
    spreads = rng.uniform(0.3, 1.5, (count, COLUMNS)).astype(np.float32)
    return [Sketch(1, *parts) for parts in zip(vectors, means, spreads, strict=True)]


def _query(path: Path, count: int, seed: int) -> dict[str, float]:
    """Open the index and time searches."""
    import psutil

    start = time.perf_counter()
    with path.open("r+b") as file:
        index = SketchIndex(file)
        opened = time.perf_counter() - start
        assert len(index) == count
        scale = Scale(np.zeros(COLUMNS), np.ones(COLUMNS), np.full(COLUMNS, np.inf), 0.5 / COLUMNS)
        queries = iter(_random_sketches(np.random.default_rng(seed + 1), 30))
        cpu, wall = _median_seconds(lambda: index.search(next(queries), scale, ISLAND, count=CANDIDATES), 25)
        memory = psutil.Process().memory_info().rss
    return {"milliseconds": wall * 1e3, "cpu_ms": cpu * 1e3, "rss_mb": memory / 1e6, "open_seconds": opened}


def _scan_row(count: int, seed: int) -> Row:
    """Compare simsimd with numpy on the squared distances of int8 vectors."""
    import simsimd

    vectors = np.random.default_rng(seed).integers(-127, 128, (count, 256), dtype=np.int8)
    wanted, single = vectors[:1].copy(), vectors[0].astype(np.float32)

    def by_numpy() -> None:
        for start in range(0, count, 4096):
            block = vectors[start : start + 4096].astype(np.float32)
            _ = np.einsum("ij,ij->i", block, block) - 2 * (block @ single)

    ours, _ = _median_seconds(lambda: simsimd.cdist(wanted, vectors, "sqeuclidean"), 9)
    numpy_seconds, _ = _median_seconds(by_numpy, 9)
    scale = 1e9 / count
    return Row(
        "vector_scan_ms_1m", ours * scale, "ms", {"by": "simsimd, CPU"}, "numpy, CPU", numpy_seconds * scale
    )


def _median_seconds(action: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median CPU and wall time of an action, after one run that does not count."""
    action()
    cpu, wall = [], []
    for _ in range(repeats):
        start_cpu, start = time.process_time(), time.perf_counter()
        action()
        cpu.append(time.process_time() - start_cpu)
        wall.append(time.perf_counter() - start)
    return float(np.median(cpu)), float(np.median(wall))


def main() -> None:
    """Print the rows, or do one worker's task."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--air", type=Path, help="parquet file of the twelve air-quality stations")
    parser.add_argument("--part", choices=PARTS, help="run one part only")
    parser.add_argument(
        "--worker", nargs=4, metavar=("TASK", "PATH", "COUNT", "SEED"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.worker:
        task, path, count, seed = options.worker
        print(json.dumps({"build": _build, "query": _query}[task](Path(path), int(count), int(seed))))
        return
    with threadpool_limits(1):
        show(PARTS[options.part](options) if options.part else rows(options), as_json=options.json)


if __name__ == "__main__":
    main()
