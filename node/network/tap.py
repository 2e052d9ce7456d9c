"""A record of every byte that this node sends, for those who want to see what leaves.

Theory of operation. aiohttp opens all its sockets through the event loop, and hands all its bytes to the
transports that the loop gives it. :class:`TappedLoop` gives recording transports: there is no other way
out, since the loop's remaining ways to send (datagrams, sendfile, raw sockets) refuse to work while the tap
is on. The bytes are taken where the program writes them, above TLS: what is recorded can be read.

A WebSocket client masks its frames (RFC 6455, section 5.3); :class:`Unmask` takes the mask off what is
recorded.

Bytes sent by the public listener and over dialled connections go to the tap's file; those of the local API,
which stay with the programs of this machine, to the file beside it with the suffix ``.api``. What comes in
from other nodes and their clients goes to the folder beside it with the suffix ``.received``, a file a
connection: what a node got to know stands there.

The tap is for demonstrations and tests: it costs a disk write for every write, and gives up uvloop.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

API_SUFFIX: Final = ".api"
RECEIVED_SUFFIX: Final = ".received"
MASKED: Final = 0x80
"""The bit of a frame's second byte that says that a mask follows."""

Buffer = bytes | bytearray | memoryview


class TappedLoop(asyncio.SelectorEventLoop):
    """An event loop that appends all bytes sent through it to files.

    Parameters
    ----------
    path
        File for what leaves towards other nodes and their clients; appended to. The local API's bytes
        go to the same name with the suffix ``.api``, and what is received to a folder with ``.received``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._network = path.open("ab", buffering=0)
        self._api = path.with_name(path.name + API_SUFFIX).open("ab", buffering=0)
        self._received = path.with_name(path.name + RECEIVED_SUFFIX)
        self._received.mkdir(exist_ok=True)
        self._connections = count(len(list(self._received.iterdir())))

    async def create_server(self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        """Listen as usual, and record what is sent; a listener without TLS is the local API."""
        is_local = kwargs.get("ssl") is None
        record = (self._api if is_local else self._network).write

        def tapped() -> _Tapped:
            # Whoever dialled here masks its frames.
            received = _nothing if is_local else Unmask(self._file_of_connection())
            return _Tapped(protocol_factory(), record, received)

        return await super().create_server(tapped, *args, **kwargs)

    async def create_connection(self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        """Connect as usual; what is sent is recorded."""
        record = Unmask(self._network.write)
        _, tapped = await super().create_connection(
            lambda: _Tapped(protocol_factory(), record, self._file_of_connection()), *args, **kwargs
        )
        return tapped.transport, tapped.protocol

    def _file_of_connection(self) -> Callable[[Buffer], Any]:
        """Return what appends to a new file for what one connection receives."""
        path = self._received / f"{next(self._connections):04}"

        def append(data: Buffer) -> None:
            with path.open("ab") as file:
                file.write(data)

        return append

    def close(self) -> None:
        """Close the loop and its files."""
        super().close()
        self._network.close()
        self._api.close()

    async def start_tls(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the new transport would not be recorded."""
        raise _unrecorded("start_tls")

    async def create_datagram_endpoint(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: datagrams would not be recorded."""
        raise _unrecorded("create_datagram_endpoint")

    async def create_unix_connection(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the connection would not be recorded."""
        raise _unrecorded("create_unix_connection")

    async def create_unix_server(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the connections would not be recorded."""
        raise _unrecorded("create_unix_server")

    async def connect_accepted_socket(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the connection would not be recorded."""
        raise _unrecorded("connect_accepted_socket")

    async def sendfile(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the kernel would send past the tap."""
        raise _unrecorded("sendfile")

    async def sock_sendfile(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the kernel would send past the tap."""
        raise _unrecorded("sock_sendfile")

    async def sock_sendall(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: raw sockets are not recorded."""
        raise _unrecorded("sock_sendall")

    async def sock_sendto(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: raw sockets are not recorded."""
        raise _unrecorded("sock_sendto")


class _Tapped(asyncio.Protocol):
    """Stands between the loop and a protocol, to hand it a recording transport."""

    def __init__(
        self,
        protocol: asyncio.Protocol,
        record: Callable[[Buffer], Any],
        received: Callable[[Buffer], Any],
    ) -> None:
        self.protocol = protocol
        self._received = received
        self.transport: RecordingTransport | None = None
        self._record = record

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = RecordingTransport(transport, self._record)
        self.protocol.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self._received(data)
        self.protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.connection_lost(exc)


class RecordingTransport(asyncio.Transport):
    """A transport that has what it is given recorded first, and then hands it to the transport below."""

    def __init__(self, below: asyncio.Transport, record: Callable[[Buffer], Any]) -> None:
        super().__init__()
        self._below = below
        self._record = record

    def write(self, data: Buffer) -> None:
        """Record, then send."""
        self._record(data)
        self._below.write(data)

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Record, then send."""
        self.write(b"".join(list_of_data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Pass on; the socket that can be asked for is asyncio's wrapper, which cannot send."""
        return self._below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Pass on."""
        return self._below.is_closing()

    def close(self) -> None:
        """Pass on."""
        self._below.close()

    def abort(self) -> None:
        """Pass on."""
        self._below.abort()

    def can_write_eof(self) -> bool:
        """Pass on."""
        return self._below.can_write_eof()

    def write_eof(self) -> None:
        """Pass on."""
        self._below.write_eof()

    def is_reading(self) -> bool:
        """Pass on."""
        return self._below.is_reading()

    def pause_reading(self) -> None:
        """Pass on."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Pass on."""
        self._below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pass on."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Pass on."""
        return self._below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Pass on."""
        return self._below.get_write_buffer_limits()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that the program knows."""
        tapped = self._below.get_protocol()
        assert isinstance(tapped, _Tapped)
        return tapped.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Exchange the protocol that the program knows; this transport stays."""
        tapped = self._below.get_protocol()
        assert isinstance(tapped, _Tapped)
        assert isinstance(protocol, asyncio.Protocol)
        tapped.protocol = protocol


class Unmask:
    """Records what a dialled connection sends, WebSocket frames without their mask.

    The stream is one or more HTTP requests; after one that asks for a WebSocket it is frames to the end.

    Parameters
    ----------
    record
        Takes the bytes, in order.
    """

    def __init__(self, record: Callable[[bytes], Any]) -> None:
        self._record = record
        self._waiting = bytearray()
        self._frames = False

    def __call__(self, data: Buffer) -> None:
        """Record `data`; an unfinished frame waits for its rest."""
        if self._frames:
            self._waiting += data
            while frame_bytes := self._first_frame():
                del self._waiting[:frame_bytes]
            return
        self._record(bytes(data))
        self._frames = b"upgrade: websocket\r\n" in bytes(data).lower()

    def _first_frame(self) -> int:
        """Record the first waiting frame if it is whole, and return its length on the wire, else 0."""
        waiting = self._waiting
        if len(waiting) < 2:
            return 0
        assert waiting[1] & MASKED, "a client masks every frame"
        size = waiting[1] & ~MASKED
        extended = {126: 2, 127: 8}.get(size, 0)
        header = 2 + extended
        if extended:
            size = int.from_bytes(waiting[2:header], "big")
        payload = header + 4
        if len(waiting) < payload + size:
            return 0
        mask = bytes(waiting[header:payload]) * (size // 4 + 1)
        plain = int.from_bytes(waiting[payload : payload + size], "big") ^ int.from_bytes(mask[:size], "big")
        self._record(bytes(waiting[:payload]) + plain.to_bytes(size, "big"))
        return payload + size


def _nothing(_: Buffer) -> None:
    """Record nothing."""


def _unrecorded(name: str) -> RuntimeError:
    return RuntimeError(f"{name} is not available while the tap is on: it would send bytes past it")
