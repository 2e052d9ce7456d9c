"""Specifications: quality and cost of reduced sets, search, mixes and bridges.

    python -m bench.spec [--quick] [--json] [--golden FOLDER] [--air FILE]

``--golden`` is a folder of the reference engine's recorded answers, all of which are then repeated;
``--air`` is the hourly table of Beijing's twelve stations (UCI 501, parquet).
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import _spec_bridge, _spec_fit, _spec_golden, _spec_mix, spec_search
from bench.report import Row, arguments, show

NEEDS_AIR = "give the air-quality table with --air"


def main() -> None:
    """Run every part and print its rows."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--golden", type=Path, help="folder of the reference engine's recorded answers")
    parser.add_argument("--air", type=Path, help="parquet file of the twelve air-quality stations")
    parser.add_argument("--only", help="run one part: fit, golden, mix, bridge or search")
    options = parser.parse_args()
    parts = {
        "fit": lambda: _spec_fit.rows(quick=options.quick, golden=options.golden),
        "golden": lambda: _spec_golden.rows(options.golden) if options.golden else [],
        "mix": lambda: _spec_mix.rows(quick=options.quick, seed=options.seed),
        "bridge": lambda: (
            _spec_bridge.rows(options.air, quick=options.quick, seed=options.seed)
            if options.air
            else [Row("exact_bridge_gain", None, "ratio", note=NEEDS_AIR)]
        ),
        "search": lambda: spec_search.rows(options),
    }
    for name, part in parts.items():
        if options.only in {None, name}:
            print(f"bench.spec: {name}", file=sys.stderr, flush=True)
            show(part(), as_json=options.json)


if __name__ == "__main__":
    main()
