"""What safety costs: starting in the sandbox, asking a warm worker, making an environment.

``python -m bench.package [--quick] [--json]``

- ``sandbox_overhead_ms``: median start of a worker at a level, less the same start without a sandbox; the
  two are measured in turn, so that a busy machine weighs on both.
- ``attacks_contained``: share of the attacks of ``tests/package/attacks`` that a level stops, by user, and
  the share that work without a sandbox, which is what makes the other figures mean something.
- ``warm_predict_overhead_ms``: median call of a warm, sandboxed worker on 1,000 x 30, less the same model's
  own ``predict`` in this process.
- ``environment_seconds_warm``: making an environment whose wheels uv has fetched before (``--environments``,
  since the first making needs a package index), and finding it when it stands.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.report import Row, arguments, show
from skerry.package.build import build_package
from skerry.package.environments import EnvironmentStore, read_requirements
from skerry.package.format import Manifest, Package, StatisticalFile, write_package
from skerry.package.sandbox import LEVELS, Level
from skerry.package.worker import Worker
from tests.package.attacks.suite import attack_as

ROWS, COLUMNS = 1000, 30
GOALS_MS = {"A": "<= 100", "B": "<= 200"}
SPECIFICATION = b'{"type": "RKMETableSpecification", "z": [[0]], "beta": [1]}'
MODEL = b"""
from learnware.model import BaseModel


class Model(BaseModel):
    def predict(self, X):
        return X[:, 0]
"""


def package_rows(*, quick: bool, seed: int = 0) -> list[Row]:
    """Return every figure but that of environments."""
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        folder = Path(name)
        return [
            *sandbox_overhead(folder, repeats=7 if quick else 31),
            *attacks_contained(),
            warm_predict_overhead(folder, repeats=50 if quick else 300, seed=seed),
        ]


def sandbox_overhead(folder: Path, *, repeats: int) -> list[Row]:
    """Return a row a level."""
    package = write_package(
        folder / "small.zip",
        manifest=Manifest(lane="python"),
        files={"__init__.py": MODEL},
        semantic=None,
        statistics=[StatisticalFile("stat.json", "RKMETableSpecification", SPECIFICATION)],
    )
    levels: tuple[Level | None, ...] = (None, *LEVELS)
    times: dict[Level | None, list[float]] = {level: [] for level in levels}
    for _ in range(repeats):
        for level in levels:
            times[level].append(_start_seconds(package, level))
    plain = statistics.median(times[None])
    return [
        Row(
            "sandbox_overhead_ms",
            1000 * (statistics.median(times[level]) - plain),
            "ms",
            {"level": level, "user": _user(), "repeats": repeats},
            peer="the same worker unconfined, its start",
            peer_value=1000 * plain,
            goal=GOALS_MS[level],
        )
        for level in LEVELS
    ]


def _start_seconds(package: Package, level: Level | None) -> float:
    started = time.perf_counter()
    with Worker(package, unconfined=level is None, levels=LEVELS if level is None else (level,)) as worker:
        elapsed = time.perf_counter() - started
        assert worker.level == level
    return elapsed


def attacks_contained() -> list[Row]:
    """Return a row a level and user, and a row a user without a sandbox."""
    users = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
    found = []
    for user in users:
        control = attack_as(user, "none")
        worked = sum(said.startswith("worked") for said in control.values()) / len(control)
        found.append(
            Row("attacks_working", worked, "share", {"level": "none", "user": user, "attacks": len(control)})
        )
        for level in LEVELS:
            report = attack_as(user, level)
            share = sum(said.startswith("contained") for said in report.values()) / len(report)
            params = {"level": level, "user": user, "attacks": len(report)}
            found.append(Row("attacks_contained", share, "share", params, goal=">= 1"))
    return found


def warm_predict_overhead(folder: Path, *, repeats: int, seed: int) -> Row:
    """Return the row of a linear model: the cheaper the model, the more its trip weighs."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(seed)
    X = random.normal(size=(ROWS, COLUMNS))
    model = LogisticRegression().fit(X, X[:, 0] > 0)
    package = build_package(
        model, X, semantic={}, specification_json=SPECIFICATION, path=folder / "linear.zip", lane="python"
    )
    with Worker(package) as worker:
        assert (worker.predict(X) == model.predict(X)).all()
        asked, own = [], []
        for _ in range(repeats):
            asked.append(_seconds(lambda: worker.predict(X)))
            own.append(_seconds(lambda: model.predict(X)))
        return Row(
            "warm_predict_overhead_ms",
            1000 * (statistics.median(asked) - statistics.median(own)),
            "ms",
            {"rows": ROWS, "columns": COLUMNS, "level": worker.level, "repeats": repeats},
            peer="the model in this process",
            peer_value=1000 * statistics.median(own),
            goal="<= 3",
        )


def environment_rows() -> list[Row]:
    """Return how long an environment takes when its wheels are at hand, and when it stands."""
    asked = read_requirements("requirements.txt", "numpy\nscikit-learn\n")
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        cold = _seconds(lambda: EnvironmentStore(Path(name, "cold")).environment(asked))
        warm = _seconds(lambda: EnvironmentStore(Path(name, "warm")).environment(asked))
        standing = _seconds(lambda: EnvironmentStore(Path(name, "warm")).environment(asked))
    return [
        Row(
            "environment_seconds_warm",
            warm,
            "s",
            {"requirements": "numpy, scikit-learn", "state": "made anew, wheels at hand"},
            peer="the first making",
            peer_value=cold,
        ),
        Row(
            "environment_seconds_warm",
            standing,
            "s",
            {"requirements": "numpy, scikit-learn", "state": "standing"},
            peer="the first making",
            peer_value=cold,
        ),
    ]


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _user() -> str:
    return "root" if os.geteuid() == 0 else "ordinary"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--environments", action="store_true", help="also make environments: needs an index")
    options = parser.parse_args()
    rows = package_rows(quick=options.quick, seed=options.seed)
    if options.environments:
        rows += environment_rows()
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
