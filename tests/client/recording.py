"""A way to a node that keeps what goes through it, as a node elsewhere would see it.

To the client the address 127.0.0.2 is that of another machine: it is not among the names of this one.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ELSEWHERE = "127.0.0.2"


@dataclass
class Recording:
    """What the client sent."""

    url: str
    sent: bytearray = field(default_factory=bytearray)

    def bodies(self) -> list[bytes]:
        """Return the bodies of all requests that had one."""
        return re.findall(rb"\r\n\r\n(\{.*?\})(?=[A-Z]+ /|\Z)", bytes(self.sent), flags=re.DOTALL)


@contextmanager
def recorded(url: str) -> Iterator[Recording]:
    """Give an address elsewhere at which the node at `url` answers, and record every byte sent to it."""
    target = urlsplit(url)
    with socket.create_server((ELSEWHERE, 0)) as listener:
        recording = Recording(f"http://{ELSEWHERE}:{listener.getsockname()[1]}")
        stopped = threading.Event()
        listener.settimeout(0.05)

        def serve() -> None:
            threads: list[threading.Thread] = []
            while not stopped.is_set():
                try:
                    accepted, _ = listener.accept()
                except TimeoutError:
                    continue
                thread = threading.Thread(target=_pass_on, args=(accepted, target, recording))
                thread.start()
                threads.append(thread)
            for thread in threads:
                thread.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield recording
        finally:
            stopped.set()
            thread.join()


def _pass_on(accepted: socket.socket, target: object, recording: Recording) -> None:
    """Pass one connection on in both directions; the node is called by its own name."""
    with accepted, socket.create_connection((target.hostname, target.port)) as node:  # type: ignore[attr-defined]
        back = threading.Thread(target=_copy, args=(node, accepted))
        back.start()
        while chunk := accepted.recv(65536):
            recording.sent += chunk
            node.sendall(chunk.replace(ELSEWHERE.encode(), b"127.0.0.1"))
        node.shutdown(socket.SHUT_WR)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while chunk := source.recv(65536):
        target.sendall(chunk)
    target.shutdown(socket.SHUT_WR)
