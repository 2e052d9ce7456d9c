"""``/metrics``: the node's figures for Prometheus.

The registry is the node's own, so that two nodes in one process, as in tests, count apart. Gauges are
read when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from .routes import ROOT, Route, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skerry.protocol.api import Status

METRICS_TYPE = "text/plain"
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Bounds of the histogram: from a status to the longest search."""


class Metrics:
    """The figures of one node.

    Parameters
    ----------
    status
        The node at a glance.
    """

    def __init__(self, status: Callable[[], Status]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "skerry_api_requests",
            "Requests of the local API",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "skerry_api_seconds",
            "Time to answer a request of the local API",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._served = Counter(
            "skerry_served_bytes", "Bytes of blobs sent to other nodes and clients", registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Gauges(status))

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (raw("GET", "/metrics", "search", METRICS_TYPE, self._expose, prefix=ROOT),)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def served(self, size: int) -> None:
        """Count bytes of blobs that were sent."""
        self._served.inc(size)

    async def _expose(self, _: web.Request) -> web.StreamResponse:
        """Give all figures in Prometheus's text format."""
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._registry), headers=headers)


class _Gauges(Collector):
    """What the node knows now."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status = self._status()
        figures = {
            "cards": ("Live cards in the index", status.cards),
            "owners": ("Owners in the index", status.owners),
            "learnwares": ("Live learnwares of this node", status.learnwares),
            "peers_connected": ("Nodes connected now", status.peers_connected),
            "peers_known": ("Nodes known", status.peers_known),
            "head_seq": ("Number of the node's own head", status.seq),
            "lease_ends": ("When the own head's lease ends, seconds since 1970", status.lease_ends),
            "started": ("When the node started, seconds since 1970", status.started),
        }
        for name, (text, value) in figures.items():
            yield GaugeMetricFamily(f"skerry_{name}", text, value=value)
