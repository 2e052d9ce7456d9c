"""These tests run on the event loop that the node runs on: whose transport a socket is taken from matters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Have pytest-asyncio make uvloop's loops here."""
    return {"uvloop": uvloop.new_event_loop}
