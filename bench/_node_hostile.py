"""The local API while peers attack: every attack at once, at full size, against a node that just started.

Attackers share the machine's cores with the node and with the caller of the API, so what is measured includes
what they take away from it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.report import Row
from tests.node.network.attacks import ATTACKS
from tests.node.network.siege import API_MEDIAN_MS_MAX, RESIDENT_MB_MAX, besiege
from tests.node.processes import nodes

QUICK_SHARE = 10
"""What ``--quick`` divides the numbers by."""


def rows(options: argparse.Namespace) -> list[Row]:
    share = QUICK_SHARE if options.quick else 1
    attacks = {name: max(8, count // share) for name, count in ATTACKS.items()}
    with tempfile.TemporaryDirectory(prefix="bench-hostile-") as name:
        root = Path(name)
        with nodes(root, "Besieged") as (node,):
            node.start()
            siege = besiege(node, root, attacks)
            params = {**attacks, "seconds": round(siege.seconds, 1), "calls": siege.api_samples}
    note = "attackers on the same cores"
    return [
        Row(
            "hostile_api_median_ms",
            siege.api_median_ms,
            "ms",
            params,
            goal=f"<= {API_MEDIAN_MS_MAX:g}",
            note=note,
        ),
        Row("hostile_api_p99_ms", siege.api_p99_ms, "ms", params, note=note),
        Row("hostile_rss_mb", siege.resident_mb_max, "MB", params, goal=f"<= {RESIDENT_MB_MAX:g}"),
    ]
