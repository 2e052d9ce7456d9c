"""Many at once: 200 searchers and 20 downloads beside each other at one node, for a minute.

Each searcher asks again as soon as it was answered, and each download begins anew when it is through, so the
node never rests: the 99th percentile is that of a queue of 200, not of a lone searcher. One that is told to
come again later does so, and its time goes on meanwhile. Whatever else is no answer 200 or 206 of the right
size counts as an error. Memory is read after a warm-up and at the end. A lone searcher goes first, since what
a search costs the daemon cannot be told from what downloads cost it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import psutil

from bench._node_search import CARDS
from bench._synthetic import Market, write_market
from bench.report import Row
from skerry.node.folder import Folder
from skerry.protocol.api import API_PREFIX, SearchRequest
from skerry.spec import Features, SemanticSpec, Specification
from tests.node.processes import NodeProcess

SEARCHERS = 200
DOWNLOADS = 20
PACKAGE_BYTES = 8 << 20
REQUIREMENTS = 64
"""Different searches, so that no answer is remembered."""
ALONE = 40
ANSWER_SECONDS_MAX = 120.0
GROWTH_MB_MAX = 100


@dataclass
class Seen:
    """What the searchers and downloads saw."""

    seconds: list[float] = field(default_factory=list)
    turned_away: int = 0
    bytes: int = 0
    errors: list[str] = field(default_factory=list)


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of this part."""
    cards, seconds = (5_000, 10.0) if options.quick else (100_000, 60.0)
    cards = int(os.environ.get(CARDS) or cards)
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        folder = Path(name)
        rng = np.random.default_rng(options.seed)
        market, _ = write_market(Folder(folder / "node"), rng, cards, owners_folder=folder / "owners")
        node = NodeProcess(folder / "node", "Searcher")
        try:
            node.begin()
            node.wait_ready(300.0)
            return _loaded(node, market, cards, seconds)
        finally:
            node.kill()


def _loaded(node: NodeProcess, market: Market, cards: int, seconds: float) -> list[Row]:
    package = node.publish("load", _specification(market), os.urandom(PACKAGE_BYTES)).card.package
    alone = _alone(node, [_body(market) for _ in range(ALONE)])
    bodies = [_body(market) for _ in range(REQUIREMENTS)]
    asyncio.run(_run(node, package, bodies, seconds / 4, Seen()))
    before = _resident_mb(node)
    seen = Seen()
    asyncio.run(_run(node, package, bodies, seconds, seen))
    growth = _resident_mb(node) - before
    params = {"cards": cards, "searchers": SEARCHERS, "downloads": DOWNLOADS, "seconds": int(seconds)}
    milliseconds = [1000 * one for one in seen.seconds]
    rate = f"{len(milliseconds) / seconds:.1f} searches/s, {seen.bytes / seconds / 2**20:.0f} MiB/s"
    rate += f", {seen.turned_away} told to come again"
    return [
        *(
            Row(f"search_{name}_cpu_ms", value, "ms", {"cards": cards}, note=f"{ALONE} searches, one by one")
            for name, value in alone.items()
        ),
        Row("load_p99_ms", float(np.percentile(milliseconds, 99)), "ms", params, note=rate),
        Row("load_median_ms", statistics.median(milliseconds), "ms", params),
        Row(
            "load_errors",
            len(seen.errors),
            "",
            params,
            goal="<= 0",
            note="; ".join(sorted(set(seen.errors))[:3]),
        ),
        Row(
            "load_rss_growth_mb", growth, "MB", params, goal=f"<= {GROWTH_MB_MAX}", note=f"from {before:.0f}"
        ),
    ]


def _alone(node: NodeProcess, bodies: list[bytes]) -> dict[str, float]:
    """Return what a search costs the daemon in CPU milliseconds: one after the other, and the same again."""
    assert node.process is not None
    node.request("POST", "/search", bodies[0])  # imports what searches need
    process, costs = psutil.Process(node.process.pid), {}
    for name in ("first", "again"):
        before = sum(process.cpu_times()[:2])
        for body in bodies:
            node.request("POST", "/search", body)
        costs[name] = 1000 * (sum(process.cpu_times()[:2]) - before) / len(bodies)
    return costs


async def _run(node: NodeProcess, package: str, bodies: list[bytes], seconds: float, seen: Seen) -> None:
    """Search and download until the time is over, and let those that run finish."""
    assert node.endpoint is not None
    end = time.monotonic() + seconds
    headers = {
        "Authorization": f"Bearer {node.endpoint.tokens['search']}",
        "Content-Type": "application/json",
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    blob = f"https://{node.bootstrap.partition('#')[0]}/blob/{package}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for number in range(SEARCHERS):
            url = f"{node.endpoint.url}{API_PREFIX}/search"
            group.create_task(_search(session, url, headers, bodies[number % len(bodies)], end, seen))
        for _ in range(DOWNLOADS):
            group.create_task(_download(session, blob, end, seen))


async def _search(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], body: bytes, end: float, seen: Seen
) -> None:
    while time.monotonic() < end:
        began, status = time.perf_counter(), 503
        try:
            while status == 503 and time.perf_counter() - began < ANSWER_SECONDS_MAX:
                async with session.post(url, data=body, headers=headers) as response:
                    answer, status = await response.read(), response.status
                if status == 503:
                    seen.turned_away += 1
                    await asyncio.sleep(float(response.headers["Retry-After"]))
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.errors.append(f"search: {type(error).__name__}")
            continue
        seen.seconds.append(time.perf_counter() - began)
        if status != 200:
            seen.errors.append(f"search: {status} {answer[:200].decode(errors='replace')}")


async def _download(session: aiohttp.ClientSession, url: str, end: float, seen: Seen) -> None:
    while time.monotonic() < end:
        size = 0
        try:
            async with session.get(url) as response:
                async for chunk in response.content.iter_chunked(1 << 18):
                    size += len(chunk)
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.errors.append(f"download: {type(error).__name__}")
            continue
        seen.bytes += size
        if response.status != 200 or size != PACKAGE_BYTES:
            seen.errors.append(f"download: {response.status}, {size} bytes")


def _body(market: Market) -> bytes:
    return msgspec.json.encode(SearchRequest(requirement=market.rkme().to_bytes(), timeout_seconds=30.0))


def _specification(market: Market) -> Specification:
    semantic = SemanticSpec(
        data="Table",
        task="Regression",
        library="Scikit-learn",
        scenario=("Health",),
        license="MIT",
        name="Load",
        description="A package to download",
        input=Features(10, {str(at): f"column {at}" for at in range(10)}),
        output=Features(1, {"0": "target"}),
    )
    return Specification(semantic, market.rkme())


def _resident_mb(node: NodeProcess) -> float:
    assert node.process is not None
    return float(psutil.Process(node.process.pid).memory_info().rss) / 2**20
