"""Listening sockets: bound first, served later, so that the port is known before anybody is told of it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import web

from skerry.errors import TransportError
from skerry.node.limits import (
    HANDSHAKE_SECONDS_MAX,
    KEEPALIVE_SECONDS,
    LISTEN_BACKLOG,
    REQUEST_HEADER_BYTES_MAX,
    SENDING_STALLED_SECONDS_MAX,
    STOP_HANDSHAKES_SECONDS,
    STOP_POLL_SECONDS,
    STOP_REQUESTS_SECONDS,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - recognised here, not listened on


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    TransportError
        ``E-TRANSPORT-LISTEN`` when the port is in use or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise TransportError(
            "The node cannot listen on this address",
            where=f"{host}:{port}",
            why=error.strerror or str(error),
            todo="Stop the program that uses the port, or choose another with --listen or in config.toml.",
            code="E-TRANSPORT-LISTEN",
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted sockets inherit it: the kernel ends a connection whose other side has stopped reading.
        milliseconds = int(1000 * SENDING_STALLED_SECONDS_MAX)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listening


def address_of(listening: socket.socket) -> str:
    """Return ``host:port`` under which `listening` is reached from this machine's network."""
    host, port = listening.getsockname()[:2]
    if host in WILDCARDS:
        host = _outward_host(listening.family)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@asynccontextmanager
async def serving(
    application: web.Application, listening: socket.socket, context: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve `application` on `listening`; at the end running requests get a moment to finish."""
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=STOP_REQUESTS_SECONDS,
        max_line_size=REQUEST_HEADER_BYTES_MAX,
        max_field_size=REQUEST_HEADER_BYTES_MAX,
    )
    port = int(listening.getsockname()[1])
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(
        runner.server,
        sock=listening,
        backlog=LISTEN_BACKLOG,
        ssl=context,
        ssl_handshake_timeout=None if context is None else HANDSHAKE_SECONDS_MAX,
    )
    try:
        yield
    finally:
        server.close()
        transports = [connection.transport for connection in runner.server.connections]
        await runner.cleanup()
        # A connection whose other side has stopped reading would not close before all was sent.
        for transport in transports:
            abort(transport)
        await _end_handshakes(server, port)


def abort(transport: asyncio.Transport | None) -> None:
    """End a connection at once, without sending what is left.

    A TLS transport that was closed twice fails at this in the first releases of Python 3.11, 3.11.2 among
    them: it is going down already, and has forgotten the protocol that it would tell.
    """
    if transport is not None:
        with suppress(AttributeError):
            transport.abort()


async def _end_handshakes(server: asyncio.AbstractServer, port: int) -> None:
    """End the connections whose TLS handshake is still under way, and wait until they are gone.

    The loop gives nobody a handle to them, so their sockets are found among the open files. A loop that is
    closed while they are open fails in their callbacks, or never ends.
    """
    closed = asyncio.create_task(server.wait_closed())
    deadline = asyncio.get_running_loop().time() + STOP_HANDSHAKES_SECONDS
    while not closed.done() and asyncio.get_running_loop().time() < deadline:
        _shut_down(port)
        await asyncio.wait({closed}, timeout=STOP_POLL_SECONDS)
    closed.cancel()
    await asyncio.sleep(0)


def _shut_down(port: int) -> None:
    """Shut down every connection that was accepted on a port."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not paths
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                inet = one.family in (socket.AF_INET, socket.AF_INET6)
                if inet and one.getsockname()[1] == port:
                    one.shutdown(socket.SHUT_RDWR)


def _outward_host(family: socket.AddressFamily) -> str:
    """Return the address that this machine would use towards the internet; no packet is sent."""
    anywhere, loopback = ("2001:db8::1", "::1") if family == socket.AF_INET6 else ("192.0.2.1", "127.0.0.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((anywhere, 9))
        except OSError:
            return loopback
        return str(probe.getsockname()[0])
