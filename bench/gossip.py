"""How fast, how cheap and how sure gossip is: the states themselves, in the simulator of the tests.

Network figures come from whole networks (:mod:`bench._gossip_network`), the others from one machine
(:mod:`bench._gossip_machine`). Equal verdicts are shared between simulated nodes, and signatures are fake
there: neither changes what is sent. A row is printed as soon as it is known: the largest network takes most
of the time. ``--nodes 1000`` measures a network of that size alone, ``--machine`` one machine alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from bench._gossip_machine import apply_rows, one_change_row, reconcile_rows
from bench._gossip_network import hops_rows, network_rows
from bench.report import Row, arguments, show_each
from tests.sim.sharing import shared

SIZES = (100, 1000, 10_000)
SIZES_QUICK = (60, 90, 135)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Measure what the options name."""
    started, started_cpu = time.monotonic(), time.process_time()
    if options.machine or options.nodes is None:
        yield from apply_rows(2_000 if options.quick else 20_000)
        yield from reconcile_rows(*((10_000, 200) if options.quick else (100_000, 2_000)), options.seed)
        yield one_change_row(20_000 if options.quick else 1_000_000)
    sizes = options.nodes or (() if options.machine else SIZES_QUICK if options.quick else SIZES)
    networks: list[Row] = []
    for size in sizes:
        with shared():
            for row in network_rows(size, options.seed, join=options.join):
                networks.append(row)
                yield row
    yield from hops_rows(networks)
    # Processor time: on a busy machine the clock on the wall says how busy it is.
    minutes = (time.process_time() - started_cpu) / 60
    params = {"wall": round((time.monotonic() - started) / 60, 2)}
    bound = "<= 1" if options.quick else "<= 20"
    yield Row("benchmark_minutes", minutes, "min of one core", params, goal=bound)


def main() -> None:
    """Print the figures."""
    parser = arguments("Gossip: reach, redundancy, bytes, repair and CPU")
    parser.add_argument("--nodes", type=int, nargs="+", help=f"sizes of the networks (default {SIZES})")
    parser.add_argument("--machine", action="store_true", help="the figures of one machine")
    parser.add_argument("--join", action="store_true", help="let networks form by joining: takes long")
    options = parser.parse_args()
    show_each(rows(options), as_json=options.json)


if __name__ == "__main__":
    main()
