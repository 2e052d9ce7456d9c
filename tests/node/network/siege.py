"""Attacks side by side, and how the node's local API and memory fare meanwhile."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.node.processes import NodeProcess
from tests.tree import ROOT

API_MEDIAN_MS_MAX = 100.0
RESIDENT_MB_MAX = 400.0
SAMPLE_SECONDS = 0.02
SIEGE_SECONDS_MAX = 240.0


@dataclass(frozen=True)
class Siege:
    """What attackers achieved, and what it cost the node."""

    outcomes: dict[str, dict[str, int]]
    seconds: float
    api_median_ms: float
    api_p99_ms: float
    api_samples: int
    resident_mb_max: float


def besiege(node: NodeProcess, folder: Path, attacks: dict[str, int]) -> Siege:
    """Run attacks at once against a node, and call its local API until the last is over."""
    assert node.process is not None
    bootstrap = node.bootstrap
    attackers = {
        name: subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.node.network.attacks", name, "--bootstrap", bootstrap),
                *("--folder", str(folder / name), "--count", str(count)),
            ],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for name, count in attacks.items()
    }
    began, latencies, resident = time.monotonic(), [], 0.0
    daemon = psutil.Process(node.process.pid)
    try:
        while any(attacker.poll() is None for attacker in attackers.values()):
            asked = time.monotonic()
            assert asked - began < SIEGE_SECONDS_MAX, "the attacks do not end"
            node.status()
            latencies.append(time.monotonic() - asked)
            resident = max(resident, daemon.memory_info().rss / 2**20)
            time.sleep(SAMPLE_SECONDS)
    finally:
        for attacker in attackers.values():
            attacker.kill()
    said = {name: attacker.communicate()[0] for name, attacker in attackers.items()}
    return Siege(
        {name: json.loads(text or b"{}") for name, text in said.items()},
        time.monotonic() - began,
        1000 * statistics.median(latencies),
        1000 * statistics.quantiles(latencies, n=100)[98],
        len(latencies),
        resident,
    )
