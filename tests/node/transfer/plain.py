"""A blob of nine megabytes behind the blob handler over plain HTTP, as behind a proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from skerry.node.network.listening import address_of, bind, serving
from skerry.node.transfer.blobs_http import BlobRoutes
from skerry.package.blobs import BlobStore

SIZE = 9_000_001
Blob = tuple[BlobStore, bytes, bytes]
"""Where it lies, its name, its bytes."""


def make_blob(folder: Path, size: int = SIZE) -> Blob:
    """Store a blob of `size` bytes."""
    content = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    store = BlobStore(folder / "blobs")
    return store, store.put_bytes(content).root, content


@asynccontextmanager
async def plain(
    store: BlobStore, limit: int = 0, may_have: Callable[[bytes, bytes], bool] = lambda _, __: True
) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve a store; give the address, and the list to which the size of every answer is added."""
    served: list[int] = []
    application = web.Application()
    BlobRoutes(store, may_have, limit, lambda _, __, size: served.append(size)).add_to(application)
    listening = bind("127.0.0.1", 0)
    async with serving(application, listening):
        yield address_of(listening), served


async def read(address: str, root: bytes) -> bytes:
    """Return the whole blob."""
    url = f"http://{address}/blob/{root.hex()}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


def ask(address: str, root: bytes) -> socket.socket:
    """Ask for the blob, and return the socket on which it comes; its small buffer makes its reader matter."""
    host, port = address.split(":")
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    asking.settimeout(10)
    asking.connect((host, int(port)))
    asking.sendall(f"GET /blob/{root.hex()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return asking


async def drain(asking: socket.socket, pause: float = 0.0, enough: int = 2 * SIZE) -> int:
    """Read until more than `enough` bytes came, headers included, and return how many did."""
    received = 0
    with asking:
        while received <= enough and (chunk := await asyncio.to_thread(asking.recv, 65536)):
            received += len(chunk)
            await asyncio.sleep(pause)
    return received
