"""Connections between nodes: a WebSocket inside TLS, a handshake, then frames both ways.

Theory of operation. A connection is served by one task, whether dialled or accepted: it carries out the
handshake, takes its place among the connections, and reads until the end; a second task writes what is
queued. Reading waits when the driver has too much to do, so back pressure reaches the peer through TCP.
Writing never waits: a peer that lets its queue fill has stopped reading and is cut off.

Rules of this file:

1. At most one connection for a peer: of two, the one dialled by the smaller node key survives; of two in one
   direction, the newer. The driver hears of the end of the old one before the new one.
2. Every ``Connect`` is answered by ``Connected`` or ``ConnectFailed``; every ``Connected`` is followed by
   ``Disconnected``.
3. Nothing of a peer is looked at before its handshake is over, and handshakes are few and short.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog
from aiohttp import web

from skerry.errors import SkerryError, TransportError, Unavailable
from skerry.node.limits import (
    CLOSE_SECONDS_MAX,
    DIAL_ANSWER_SECONDS_MAX,
    DIAL_SECONDS_MAX,
    FRAME_SEND_SECONDS_MAX,
    FRAMES_QUEUED_MAX,
    HANDSHAKE_SECONDS_MAX,
    HEARTBEAT_SECONDS,
    INBOUND_HANDSHAKES_MAX,
    INBOUND_MAX,
    STOP_REQUESTS_SECONDS,
    TROUBLES_MAX,
)
from skerry.protocol import events
from skerry.protocol.certificates import INSPECTION
from skerry.protocol.envelope import open_envelope
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.hello import Handshake, PeerIdentity, Role
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.node_record import NODE_RECORD

from .tls import node_client, reason
from .ways import DIRECT, Proxies, Way, of_bootstrap, of_record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from skerry.node.driver import Driver

log: Final = structlog.get_logger()

GOSSIP_PATH = "/gossip"
WebSocket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


@dataclass(eq=False)
class Connection:
    """One open connection whose handshake is over."""

    peer: PeerIdentity
    socket: WebSocket
    outbound: bool
    frames: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(FRAMES_QUEUED_MAX))
    """What is to be sent; ``None`` closes the connection after the frames before it."""
    heard: float = field(default_factory=time.time)
    """When the last frame came, wall clock."""
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the connection has taken its place."""
    closing: bool = False
    """Whether this side is about to end it; it then gives way to any other."""
    reader: asyncio.Task[Any] | None = None

    @property
    def key(self) -> bytes:
        """The peer's node key."""
        return self.peer.node_key


class Transport:
    """All connections of a node.

    Parameters
    ----------
    driver
        Hears of connections and frames.
    handshake
        Makes a handshake for a role and a binding.
    binding
        What this node's server is known by: the SHA-256 of its certificate, or what its host name gives.
    node_key
        This node's own key.
    proxies
        The proxy that outgoing connections take.
    """

    def __init__(
        self,
        driver: Driver,
        handshake: Callable[[Role, bytes], Handshake],
        *,
        binding: bytes,
        node_key: bytes,
        proxies: Proxies = DIRECT,
    ) -> None:
        self.connections: dict[bytes, Connection] = {}
        self.troubles: dict[str, str] = {}
        """Why the dials that failed last did so, by target; the oldest first."""
        self._driver = driver
        self._handshake = handshake
        self._binding = binding
        self._node_key = node_key
        self._proxies = proxies
        self._dials: set[asyncio.Task[str]] = set()
        self._inbound = 0
        self._handshakes = 0
        self._closing = False

    def add_to(self, application: web.Application) -> None:
        """Add the route that other nodes dial."""
        application.router.add_get(GOSSIP_PATH, self._accept, allow_head=False)

    async def close(self) -> None:
        """Close all connections after what is queued for them was sent."""
        self._closing = True
        serving = {c.reader for c in self.connections.values() if c.reader is not None}
        for task in self._dials - serving:
            task.cancel()
        for key in list(self.connections):
            self.disconnect(key, "the node stops")
        if serving or self._dials:
            await asyncio.wait(serving | self._dials, timeout=STOP_REQUESTS_SECONDS)

    # What the driver asks for.

    def send(self, peer: bytes, frame: bytes) -> None:
        """Queue a frame; dropped when the peer just went away."""
        connection = self.connections.get(peer)
        if connection is None:
            return
        try:
            connection.frames.put_nowait(frame)
        except asyncio.QueueFull:
            log.warning("peer does not read", peer=peer.hex(), frames=FRAMES_QUEUED_MAX)
            self._drop(connection)

    def disconnect(self, peer: bytes, reason: str) -> None:
        """Close the connection after the frames queued for it."""
        connection = self.connections.get(peer)
        if connection is None:
            return
        log.info("disconnecting", peer=peer.hex(), reason=reason)
        connection.closing = True
        try:
            connection.frames.put_nowait(None)
        except asyncio.QueueFull:
            self._drop(connection)

    def connect(self, target: bytes | str, record: bytes) -> None:
        """Begin to dial, unless the node stops."""
        if not self._closing:
            self._start(self._dial(target, record, asyncio.Event()))

    async def dial(self, address: str) -> None:
        """Dial ``host:port#certificate-hash`` and return when the connection is up.

        Raises
        ------
        Unavailable
            ``E-UNAVAILABLE-DIAL`` when it does not come about; ``E-UNAVAILABLE-INSPECTED`` when TLS
            inspection is why.
        """
        admitted = asyncio.Event()
        dialling = self._start(self._dial(address, b"", admitted))
        waiting = asyncio.create_task(admitted.wait())
        await asyncio.wait(
            {dialling, waiting}, timeout=DIAL_ANSWER_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if not admitted.is_set():
            raise _undialled(address, dialling.result() if dialling.done() else "no answer in time")

    # Dialling and accepting.

    def _start(self, dialling: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        task = asyncio.create_task(dialling)
        self._dials.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[str]) -> None:
        """Supervise: an unexpected error ends one connection, not the node, and is not kept quiet."""
        self._dials.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection failed unexpectedly", exc_info=error)

    async def _dial(self, target: bytes | str, record: bytes, admitted: asyncio.Event) -> str:
        """Dial the addresses of a target in turn, and serve the first connection that comes about.

        Returns
        -------
        str
            Why there was none; empty when there was.
        """
        try:
            way = _way(target, record)
        except SkerryError as error:
            way, failure = Way(()), str(error)
        else:
            failure = "no address is known"
        for address in way.addresses:
            failure = await self._dial_address(target, address, way, admitted)
            if not failure:
                self.troubles.pop(_name(target), None)
                return ""
        log.info("dial failed", target=_name(target), why=failure)
        self._trouble(target, failure)
        self._driver.post(events.ConnectFailed(target))
        return failure

    def _trouble(self, target: bytes | str, failure: str) -> None:
        """Remember what keeps this node from another, for whoever looks after it."""
        self.troubles.pop(_name(target), None)
        self.troubles[_name(target)] = failure
        if len(self.troubles) > TROUBLES_MAX:
            del self.troubles[next(iter(self.troubles))]

    async def _dial_address(
        self, target: bytes | str, address: str, way: Way, admitted: asyncio.Event
    ) -> str:
        """Dial one address and serve the connection to its end; return why there was none, or nothing."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=DIAL_SECONDS_MAX)
        async with aclosing(node_client(way, timeout, self._proxies)) as client:
            try:
                async with asyncio.timeout(DIAL_SECONDS_MAX):
                    socket = await client.websocket(f"wss://{address}{GOSSIP_PATH}", FRAME_BYTES_MAX + 1)
                peer = await self._prove(socket, Role.CLIENT, way.binding, target)
            except (aiohttp.ClientError, OSError, TimeoutError, SkerryError) as error:
                return f"{address}: {reason(error)}"
            served = await self._serve(Connection(peer, socket, outbound=True, admitted=admitted))
            return "" if served else f"{address}: there is a connection already"

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        """Serve one inbound connection to its end."""
        if self._closing or self._inbound >= INBOUND_MAX or self._handshakes >= INBOUND_HANDSHAKES_MAX:
            raise Unavailable("The node takes no more connections now", code="E-UNAVAILABLE-FULL")
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=FRAME_BYTES_MAX + 1, heartbeat=HEARTBEAT_SECONDS
        )
        self._inbound += 1
        self._handshakes += 1
        proving = True
        try:
            await socket.prepare(request)
            peer = await self._prove(socket, Role.SERVER, self._binding)
            self._handshakes -= 1
            proving = False
            await self._serve(Connection(peer, socket, outbound=False))
        except RemoteProtocolError as error:
            violation = error.violation.value
            log.warning("handshake refused", remote=request.remote, violation=violation, why=error.why)
        except (OSError, TimeoutError, TransportError) as error:
            log.info("handshake ended", remote=request.remote, error=reason(error))
        finally:
            self._inbound -= 1
            self._handshakes -= proving
        return socket

    async def _prove(
        self, socket: WebSocket, role: Role, binding: bytes, target: bytes | str = ""
    ) -> PeerIdentity:
        """Carry out the handshake; closes the connection when it fails, or another than `target` answers."""
        handshake = self._handshake(role, binding)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
                await socket.send_bytes(handshake.start())
                while True:
                    answer = handshake.receive(await _receive_frame(socket))
                    if isinstance(answer, PeerIdentity):
                        _require_expected(answer, target)
                        return answer
                    await socket.send_bytes(answer)
        except BaseException:
            await _close(socket)
            raise

    # One connection.

    async def _serve(self, connection: Connection) -> bool:
        """Serve a connection to its end, if it may take its place; return whether it might."""
        connection.reader = asyncio.current_task()
        writer = asyncio.create_task(self._write(connection))
        admitted = self._admit(connection)
        try:
            while admitted:
                frame = await _receive_frame(connection.socket)
                connection.heard = time.time()
                await self._driver.receive(connection.key, frame)
        except (OSError, TransportError) as error:
            log.info("connection ended", peer=connection.key.hex(), why=str(error))
        finally:
            self._drop(connection)
            writer.cancel()
            await _close(connection.socket)
        return admitted

    def _admit(self, connection: Connection) -> bool:
        """Give the connection its place by rule 1, and tell the driver."""
        key = connection.key
        if (old := self.connections.get(key)) is not None:
            smaller = min(self._node_key, key)
            dialled_by = self._node_key if connection.outbound else key
            if connection.outbound != old.outbound and dialled_by != smaller and not old.closing:
                return False
            self._drop(old)
        self.connections[key] = connection
        peer = connection.peer
        self._driver.post(
            events.Connected(key, peer.charters, peer.node.raw, connection.outbound, peer.session)
        )
        log.info("connected", peer=key.hex(), outbound=connection.outbound)
        connection.admitted.set()
        return True

    def _drop(self, connection: Connection) -> None:
        """Take the connection's place away, tell the driver, and end its reader."""
        if self.connections.get(connection.key) is not connection:
            return
        del self.connections[connection.key]
        self._driver.post(events.Disconnected(connection.key))
        if connection.reader is not None and connection.reader is not asyncio.current_task():
            connection.reader.cancel()

    async def _write(self, connection: Connection) -> None:
        """Send what is queued, until ``None`` or the end."""
        try:
            while (frame := await connection.frames.get()) is not None:
                async with asyncio.timeout(FRAME_SEND_SECONDS_MAX):
                    await connection.socket.send_bytes(frame)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            log.info("sending failed", peer=connection.key.hex(), error=reason(error))
        await _close(connection.socket)


def _way(target: bytes | str, record: bytes) -> Way:
    """Return how a target is reached."""
    if isinstance(target, str):
        return of_bootstrap(target)
    return of_record(NODE_RECORD.decode(open_envelope(record).body))


def _undialled(address: str, why: str) -> Unavailable:
    if INSPECTION in why:
        return Unavailable(
            "Something between the nodes reads along, so nothing was said",
            where=address,
            why=why,
            todo="Have the address exempted from TLS inspection, or use a network without it.",
            code="E-UNAVAILABLE-INSPECTED",
        )
    return Unavailable(
        "The node cannot be connected to",
        where=address,
        why=why,
        todo="Check address and certificate hash, and that its port is open.",
        code="E-UNAVAILABLE-DIAL",
    )


def _require_expected(peer: PeerIdentity, target: bytes | str) -> None:
    if isinstance(target, bytes) and peer.node_key != target:
        raise TransportError("Another node answers", where=_name(target), code="E-TRANSPORT-NODE")


def _name(target: bytes | str) -> str:
    return target if isinstance(target, str) else target.hex()


async def _receive_frame(socket: WebSocket) -> bytes:
    """Return the next frame.

    Raises
    ------
    TransportError
        ``E-TRANSPORT-CLOSED``: the connection ended, or held something else than binary frames.
    """
    message = await socket.receive()
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    why = f"{message.type.name.lower()} {message.data if message.data is not None else ''}".strip()
    raise TransportError("The connection ended", why=why, code="E-TRANSPORT-CLOSED")


async def _close(socket: WebSocket) -> None:
    """Close politely, but not for long."""
    with suppress(OSError, TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await socket.close()
