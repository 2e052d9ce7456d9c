"""How fast, how cheap and how sure gossip is: the states themselves, in the simulator of the tests.

Network figures come from networks whose membership formed by itself (:mod:`bench._gossip_network`); the
others from one machine (:mod:`bench._gossip_machine`). Equal verdicts are shared between simulated nodes, and
signatures are fake there: neither changes what is sent.
"""

from __future__ import annotations

from bench._gossip_machine import apply_rows, one_change_row, reconcile_rows
from bench._gossip_network import hops_row, network_rows
from bench.report import Row, arguments, show
from tests.sim.sharing import shared

SIZES = (100, 1000, 10_000)
SIZES_QUICK = (60, 120)


def main() -> None:
    """Print the figures."""
    parser = arguments("Gossip: reach, redundancy, bytes, repair and CPU")
    parser.add_argument("--sizes", type=int, nargs="*", help=f"sizes of the networks (default {SIZES})")
    parser.add_argument("--networks-only", action="store_true", help="without the figures of one machine")
    options = parser.parse_args()
    sizes = options.sizes if options.sizes is not None else (SIZES_QUICK if options.quick else SIZES)
    rows: list[Row] = []
    if not options.networks_only:
        rows += apply_rows(2_000 if options.quick else 20_000)
        rows += reconcile_rows(*((10_000, 200) if options.quick else (100_000, 2_000)), options.seed)
        rows.append(one_change_row(20_000 if options.quick else 1_000_000))
    for size in sizes:
        with shared():
            rows += network_rows(size, options.seed)
    growth = hops_row(rows)
    show(rows + ([growth] if growth else []), as_json=options.json)


if __name__ == "__main__":
    main()
