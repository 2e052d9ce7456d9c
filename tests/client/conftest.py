"""Two real nodes that know each other, shared by the tests that need a market."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from skerry.client.cache import Cache
from skerry.client.demo.nodes import DemoNode, stop_all
from skerry.client.network import Network

WAIT_SECONDS_MAX = 60


@dataclass(frozen=True)
class Lab:
    """An institution with a running node."""

    node: DemoNode
    network: Network

    @property
    def environment(self) -> dict[str, str]:
        """What makes the command line speak to this node, with the lab's own cache."""
        return {"SKERRY_HOME": str(self.node.folder), "SKERRY_CACHE": str(self.node.folder.parent / "cache")}


@dataclass(frozen=True)
class Market:
    """An owner's lab and a searcher's lab."""

    owner: Lab
    searcher: Lab

    def clear(self) -> None:
        """Withdraw everything, wait until the searcher has heard of it, and empty the searcher's cache."""
        for card in self.owner.network.learnwares():
            self.owner.network.withdraw(card.slug)
        Cache(self.searcher.environment["SKERRY_CACHE"]).remove()
        wait_until(lambda: self.searcher.network.status().cards == 0)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    root = tmp_path_factory.mktemp("market")
    nodes = [DemoNode(root / name, f"{name}'s lab") for name in ("owner", "searcher")]
    try:
        for node in nodes:
            node.init()
        for node in nodes:
            node.wait_initialised()
        nodes[0].start("")
        first = nodes[0].wait_serving()
        nodes[1].start(first.status().bootstrap)
        labs = [Lab(nodes[0], first), Lab(nodes[1], nodes[1].wait_serving())]
        wait_until(lambda: labs[0].network.status().peers_connected == 1)
        yield Market(*labs)
    finally:
        stop_all(nodes)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do, and fail when it does not come."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
