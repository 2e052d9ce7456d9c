"""A node with a wrong clock, or one that speaks a later version too: the real daemon after one change.

Production code has no switch for either, since a key that shifts a node's clock would be a trap.
"""

from __future__ import annotations

import os
import sys
import time

from skerry.protocol import limits

CLOCK = "FAULTS_CLOCK_OFFSET_SECONDS"
VERSION = "FAULTS_VERSION_MAX"


def main() -> int:
    """Make the changes that the environment asks for, then become the daemon."""
    offset, real = float(os.environ.get(CLOCK, "0")), time.time
    time.time = lambda: real() + offset
    limits.PROTOCOL_VERSION_MAX = int(os.environ.get(VERSION, limits.PROTOCOL_VERSION_MAX))
    from skerry.node.__main__ import main as node_main

    return node_main()


if __name__ == "__main__":
    sys.exit(main())
