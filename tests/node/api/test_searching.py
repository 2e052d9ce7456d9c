"""Searches over HTTP when there are too many: refusals say when to come again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
from aiohttp import web

from skerry.node.api.problems import problems
from skerry.node.api.routes import CALLER, Caller, Handler
from skerry.node.api.searching import SearchRoutes
from skerry.node.search.comparing import Compared, compare
from skerry.protocol.api import API_PREFIX, Problem, SearchRequest
from tests.node.search.market import Market, market_in, small_rkme


@web.middleware
async def _called(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[CALLER] = Caller("test", "search")
    return await handler(request)


@pytest.fixture
async def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Market]:
    monkeypatch.setattr("skerry.node.search.service.SEARCH_CONCURRENT_MAX", 1)
    with market_in(tmp_path) as made:
        yield made
        await made.service.close()
        await made.cache.close()


@pytest.fixture
async def url(market: Market) -> AsyncIterator[str]:
    application = web.Application(middlewares=[problems, _called])
    for row in SearchRoutes(None, market.service, market.cache).routes():  # type: ignore[arg-type] # no view
        application.router.add_route(row.method, row.prefix + row.path, row.handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}{API_PREFIX}/search"
    await runner.cleanup()


async def test_too_many_searches(market: Market, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    market.add({"model": small_rkme(rng, 0.0)})
    began, goes_on, computed = threading.Event(), threading.Event(), list[int]()

    def slowly(*arguments: Any) -> Compared:
        computed.append(1)
        began.set()
        assert goes_on.wait(10)
        return compare(*arguments)

    def body(seconds: float) -> bytes:
        request = SearchRequest(requirement=small_rkme(rng, 0.0).to_bytes(), timeout_seconds=seconds)
        return msgspec.json.encode(request)

    async def status(session: aiohttp.ClientSession) -> int:
        async with session.post(url, data=body(30.0)) as response:
            return response.status

    monkeypatch.setattr("skerry.node.search.service.compare", slowly)
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        first = asyncio.create_task(status(session))
        assert await asyncio.to_thread(began.wait, 10)
        async with session.post(url, data=body(0.01)) as response:
            problem = msgspec.json.decode(await response.read(), type=Problem)
            assert (response.status, problem.code) == (503, "E-UNAVAILABLE-BUSY")
            assert int(response.headers["Retry-After"]) >= 1
        left = asyncio.create_task(status(session))
        await asyncio.sleep(0.2)
        left.cancel()
        last = asyncio.create_task(status(session))
        await asyncio.sleep(0.2)
        goes_on.set()
        assert (await first, await last) == (200, 200)
    # Nobody waits for the one that left, so it is not computed.
    assert len(computed) == 2
