"""A TCP proxy that behaves like bad networks and worse middleboxes: delay, stall, reset, flipped bytes."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.faults.lab import inside

CHUNK_BYTES = 16 * 1024


class BadProxy:
    """Forwards TCP connections from one namespace to an address, as badly as it is told to.

    Parameters
    ----------
    namespace
        Where it listens and dials.
    listen, upstream
        Addresses.
    seed
        Where its random draws come from.
    """

    def __init__(self, namespace: str, listen: tuple[str, int], upstream: tuple[str, int], seed: int) -> None:
        self.delay_seconds = 0.0
        self.stalled = False
        self.flip_probability = 0.0
        self.flipped = 0
        self._namespace = namespace
        self._upstream = upstream
        self._rng = random.Random(seed)
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        with inside(namespace):
            self._listening = socket.create_server(listen)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.reset_all()

    def reset_all(self) -> None:
        """Reset all connections: RST instead of FIN."""
        with self._lock:
            sockets, self._open = self._open, []
        for one in sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with inside(self._namespace):
            server = socket.socket()
        try:
            server.connect(self._upstream)
        except OSError:
            client.close()
            server.close()
            return
        with self._lock:
            self._open += [client, server]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                while self.stalled:
                    time.sleep(0.05)
                time.sleep(self.delay_seconds)
                if self.flip_probability and self._rng.random() < self.flip_probability:
                    self.flipped += 1
                    at = self._rng.randrange(len(data))
                    data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_proxy(
    namespace: str, listen: tuple[str, int], upstream: tuple[str, int], seed: int
) -> Iterator[BadProxy]:
    """Give a proxy, and close it at the end."""
    proxy = BadProxy(namespace, listen, upstream, seed)
    try:
        yield proxy
    finally:
        proxy.close()
