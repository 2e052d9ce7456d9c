"""Play seeds: ``python -m tests.sim --seeds 20 --first 0``.

Each seed is a network with its own mix of faults. A failure prints the seed and the smallest plan that still
fails, which replays it exactly.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim.checkers import CheckFailedError
from tests.sim.plan import Plan
from tests.sim.run import Run, shrink


def main() -> int:
    """Play the seeds and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default 20)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--nodes", type=int, default=200, help="nodes of each network (default 200)")
    parser.add_argument("--seconds", type=float, default=8.0, help="virtual seconds of faults (default 8)")
    options = parser.parse_args()
    started = time.perf_counter()
    for seed in range(options.first, options.first + options.seeds):
        plan = Plan.draw(seed, options.nodes, options.seconds)
        try:
            trace = Run(plan).run()
        except CheckFailedError as error:
            print(f"seed {seed} failed: {error}", flush=True)
            print(f"smallest plan that fails: {shrink(plan)}", flush=True)
            return 1
        print(
            f"seed {seed} {trace.hex()[:16]} {' '.join((*plan.faults, *plan.byzantine)) or 'no faults'}",
            flush=True,
        )
    print(f"{options.seeds} seeds in {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
