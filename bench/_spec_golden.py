"""The reference engine's recorded answers, repeated one by one: distances, orders, mixtures and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.report import Row
from skerry.spec import Rkme, mmd2, reference_search


def rows(golden: Path) -> list[Row]:
    """Return how many of the recorded answers differ."""
    return [_distance_row(golden), *_search_rows(golden)]


def _read(path: Path) -> Rkme:
    return Rkme.from_reference_json(path.read_bytes())


def _distance_row(golden: Path) -> Row:
    pairs = json.loads((golden / "pairwise_dist.json").read_text())["pairs"]
    names = {pair[side] for pair in pairs for side in "ab"}
    specs = {name: _read(golden / "specs" / f"{name}.stat.json") for name in names}
    wrong = 0
    for pair in pairs:
        error = abs(mmd2(specs[pair["a"]], specs[pair["b"]], "reference") - pair["dist"])
        wrong += error > 1e-6 * abs(pair["dist"]) + 1e-9
    return Row("golden_distances_wrong", wrong, "pairs", {"pairs": len(pairs)}, goal="<= 0")


def _search_rows(golden: Path) -> list[Row]:
    market = golden / "market"
    users = json.loads((market / "rankings.json").read_text())["users"]
    names = sorted(path.name.split(".")[0] for path in market.glob("lw*.stat.json"))
    candidates = [_read(market / f"{name}.stat.json") for name in names]
    wrong = {"order": 0, "scores": 0, "mixture": 0}
    for user in users:
        requirement = _read(market / f"{user['user']}.stat.json")
        for method in ("greedy", "auto"):
            result = reference_search(requirement, candidates, method)
            _count(wrong, result, user[method], names)
    count = 2 * len(users)
    return [
        Row(f"golden_{name}_wrong", value, "searches", {"searches": count}, goal="<= 0")
        for name, value in wrong.items()
    ]


def _count(wrong: dict[str, int], result: Any, expected: dict[str, Any], names: list[str]) -> None:
    shown = [names[index] for index, _ in result.single]
    wrong["order"] += shown != [name for name, _ in expected["single"]]
    pairs = zip(result.single, expected["single"], strict=False)
    wrong["scores"] += any(abs(ours - theirs) > 1e-6 for (_, ours), (_, theirs) in pairs)
    if expected["multiple"] is None:
        wrong["mixture"] += result.mixture_score is not None
    else:
        inside = expected["mixture_internal"]
        same = [names[index] for index in result.mixture] == inside["ids"]
        near = same and max(abs(a - b) for a, b in zip(result.weights, inside["weights"], strict=True)) < 1e-5
        wrong["mixture"] += not (near and abs(result.mixture_score - expected["multiple"]["score"]) < 1e-6)
