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
        plan, before = Plan.draw(seed, options.nodes, options.seconds), time.process_time()
        try:
            trace = Run(plan).run()
        except CheckFailedError as error:
            print(f"seed {seed} failed: {error}", flush=True)
            print(f"smallest plan that fails: {shrink(plan)}", flush=True)
            return 1
        faults = " ".join((*plan.faults, *plan.byzantine)) or "no faults"
        print(f"seed {seed} {trace.hex()[:16]} {time.process_time() - before:.1f} s {faults}", flush=True)
    took = time.perf_counter() - started
    print(f"{options.seeds} seeds in {took:.1f} s, {time.process_time():.1f} s of a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
