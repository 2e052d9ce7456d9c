"""Measure a node: ``python -m bench.node [--quick] [--json] [--only PART ...]``.

The rows come from the modules ``bench/_node_*.py``, one a part; each has ``rows(options) -> list[Row]`` and
is run in a process of its own, so that no part's memory or threads weigh on another's figures.
``--only transfer`` runs ``_node_transfer`` alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

from bench.report import Row, arguments, show

PREFIX = "_node_"


def parts() -> list[str]:
    """Return the names of all parts."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def main() -> None:
    parser = arguments("Measure a node.")
    parser.add_argument("--only", nargs="+", choices=parts(), default=parts(), help="parts to run")
    options = parser.parse_args()
    if len(options.only) == 1:
        show(_rows(options.only[0], options), as_json=options.json)
        return
    show([row for part in options.only for row in _separately(part, options)], as_json=options.json)


def _rows(part: str, options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = importlib.import_module(f"bench.{PREFIX}{part}").rows(options)
    return rows


def _separately(part: str, options: argparse.Namespace) -> list[Row]:
    command = [sys.executable, "-m", "bench.node", "--json", "--only", part, "--seed", str(options.seed)]
    if options.quick:
        command.append("--quick")
    print(f"running {part}", file=sys.stderr)
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [_row(line) for line in ended.stdout.splitlines()]


def _row(line: str) -> Row:
    fields = json.loads(line)
    return Row(**{name: value for name, value in fields.items() if name not in ("ratio", "met")})


if __name__ == "__main__":
    main()
