"""How well learnwares serve: the reusers against the reference engine's record, and on real air data.

``python -m bench.reuse [--quick] [--json] [--air PATH] [--golden PATH] [--out DIR] [--environments]``

What running them safely costs is measured by ``bench.package``, whose rows come first.

Without ``--air``, the path of the twelve stations' Parquet file, the air scenario is left out and said so.
With ``--out`` its curve is written there as ``air.png`` and ``air.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from bench import _golden
from bench.package import environment_rows, package_rows
from bench.report import Row, arguments, show
from skerry.reuse import JobSelector, as_estimator
from skerry.spec.fit import fit_table

GAP_GOAL = ">= -0.01"
AUTO_GOAL = ">= 0"
WINDOWS_PER_STATION = 4


def golden_rows(folder: Path) -> list[Row]:
    """Return the accuracy of each reuser minus the reference engine's, mean over the users it recorded."""
    found, record = list(_golden.users(folder)), _golden.recorded(folder)
    best = max(float(np.mean(list(scores.values()))) for scores in record.values())
    return [_gap(name, _golden.accuracies(name, found), record, best) for name in _golden.REUSERS]


def _gap(name: str, ours: dict[str, float], record: dict[str, dict[str, float]], best: float) -> Row:
    theirs = record.get(name)
    mean = float(np.mean([ours[user] for user in (theirs or ours)]))
    peer_value = float(np.mean(list(theirs.values()))) if theirs else best
    goal = GAP_GOAL if theirs else AUTO_GOAL if name == "AutoReuse" else None
    peer = "the reference engine's" if theirs else "the reference engine's best reuser"
    params = {
        "reuser": name,
        "users": len(theirs or ours),
        "accuracy": round(mean, 4),
        "recorded": round(peer_value, 4),
    }
    return Row(
        "golden_accuracy_gap", mean - peer_value, "share of rows", params, goal=goal, note=f"minus {peer}"
    )


def job_selector_row(seed: int) -> Row:
    """Return the time of one fit and predict: digits, five learnwares, 1,000 rows."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    parts = [rng.choice(len(X), 300, replace=False) for _ in range(5)]
    learnwares = [
        as_estimator(LogisticRegression(max_iter=500).fit(X[part] / 16, y[part]), fit_table(X[part] / 16))
        for part in parts
    ]
    rows = X[:1000] / 16
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        JobSelector(learnwares).fit(rows).predict(rows)
        seconds.append(time.perf_counter() - started)
    note = "the reference engine's defaults were recorded at 325 s, on another machine"
    params = {"learnwares": 5, "columns": 64, "rows": 1000}
    return Row("job_selector_seconds", float(np.median(seconds)), "s", params, goal="<= 1", note=note)


def air_rows(path: Path, out: Path | None, *, quick: bool, seed: int) -> list[Row]:
    """Return the errors on the air data, and write the curve."""
    from bench import _air

    means, count = _air.mean_errors(path, 1 if quick else WINDOWS_PER_STATION, seed)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        curve = [
            {"label_hours": labels, "model": name, "rmse": value} for (labels, name), value in means.items()
        ]
        (out / "air.json").write_text(
            json.dumps({"windows": count, "curve": curve}, indent=2), encoding="utf-8"
        )
        _air.draw_curve(means, out / "air.png")
    routed, params = means[0, "Routed"], {"windows": count, "labels": 0}
    rows = [
        _error("routed_vs_average", routed, "Average", means[0, "Average"], params, "<= 0.96"),
        _error("routed_vs_first", routed, "first hit", means[0, "first hit"], params, "<= 0.90"),
    ]
    for hours in _air.LABEL_HOURS:
        given = {"windows": count, "labels": hours}
        rows.append(_error("auto_vs_routed", means[hours, "AutoReuse"], "Routed", routed, given, "<= 1.02"))
        own = means[hours, "self-training"]
        for (labels, name), value in means.items():
            if labels in (0, hours) and name != "self-training":
                rows.append(_error("air_rmse_ratio", value, "self-training", own, {**given, "reuser": name}))
    return rows


def _error(
    measure: str, value: float, peer: str, peer_value: float, params: dict[str, Any], goal: str | None = None
) -> Row:
    return Row(measure, value, "ug/m3", params, peer=peer, peer_value=peer_value, goal=goal, goal_of="ratio")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--golden", type=Path, default=_golden.FOLDER, help="folder of the recorded market")
    parser.add_argument("--air", type=Path, help="Parquet file of the twelve air stations")
    parser.add_argument("--out", type=Path, help="folder for the curve")
    parser.add_argument("--environments", action="store_true", help="also make environments: needs an index")
    options = parser.parse_args()
    rows = package_rows(quick=options.quick, seed=options.seed)
    if options.environments:
        rows += environment_rows()
    rows += [job_selector_row(options.seed), *golden_rows(options.golden)]
    if options.air is None:
        print("the air scenario is left out: give its Parquet file by --air", file=sys.stderr)
    else:
        rows += air_rows(options.air, options.out, quick=options.quick, seed=options.seed)
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
