"""Nodes for the examples: several institutions on this machine, each with a node of its own.

    with nodes.market("Cleveland Clinic", "VA Medical Center") as (first, second):
        first.publish(...)

An institution runs `skerry init` once and keeps `skerry serve` running; `skerry.connect()` finds it then.
Here both happen in a temporary folder, and everything ends with the script.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import skerry
from skerry.client.demo.nodes import DemoNode, stop_all


@contextmanager
def market(*titles: str) -> Iterator[list[skerry.Network]]:
    """Start a node for each institution and give the market as each of them sees it."""
    with tempfile.TemporaryDirectory(prefix="skerry-example-") as folder:
        started = [DemoNode(Path(folder) / str(number), title) for number, title in enumerate(titles)]
        try:
            for node in started:
                node.init()
            networks = []
            for node in started:
                node.wait_initialised()
                node.start(networks[0].status().bootstrap if networks else "")
                networks.append(node.wait_serving())
            yield networks
        finally:
            stop_all(started)


def wait_for(networks: list[skerry.Network], learnwares: int) -> None:
    """Wait until every node knows so many learnwares: news takes a second or two."""
    deadline = time.monotonic() + 60
    while any(network.status().cards < learnwares for network in networks):
        if time.monotonic() > deadline:
            raise TimeoutError("the nodes did not hear of each other's learnwares")
        time.sleep(0.1)
