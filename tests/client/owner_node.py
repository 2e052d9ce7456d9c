"""A stand-in for an owner's blob routes that can misbehave on purpose, over real TLS with a real certificate.

An honest node is tested with the real daemon elsewhere; no real daemon sends wrong leaves or breaks lines
on demand.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from skerry.package.hashtree import HashTree
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.api import Source
from skerry.protocol.certificates import NODE_NAME


@dataclass
class Behaviour:
    """What the owner does, and what it saw."""

    blobs: dict[str, bytes]
    wrong_leaves: set[int] = field(default_factory=set)
    """Leaves that are sent with one flipped bit."""
    wrong_leaf_list: bool = False
    break_after_bytes: int | None = None
    """Every answer's connection is closed after so many bytes of body."""
    seconds_per_leaf: float = 0.0
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and range of every request."""

    def leaves_sent(self) -> int:
        """Return how many leaves were asked for."""
        spans = [text.removeprefix("bytes=").split("-") for _, text in self.requests if text]
        return sum(-(-(int(last) + 1 - int(first)) // LEAF_BYTES) for first, last in spans)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def do_GET(self) -> None:
        span = self.headers.get("Range", "")
        self.behaviour.requests.append((self.path, span))
        _, _, name, *rest = self.path.split("/")
        blob = self.behaviour.blobs.get(name)
        if blob is None:
            self.send_error(404)
            return
        if rest == ["leaves"]:
            self._send(200, b"".join(self._leaf_list(blob)), 0)
            return
        first, last = (int(part) for part in span.removeprefix("bytes=").split("-"))
        self._send(206, blob[first : last + 1], first // LEAF_BYTES)

    def _leaf_list(self, blob: bytes) -> tuple[bytes, ...]:
        leaves = HashTree.of(blob).leaves
        return tuple(reversed(leaves)) if self.behaviour.wrong_leaf_list else leaves

    def _send(self, status: int, body: bytes, leaf: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), LEAF_BYTES):
            data = bytearray(body[start : start + LEAF_BYTES])
            if status == 206 and leaf + start // LEAF_BYTES in self.behaviour.wrong_leaves:
                data[-1] ^= 1
            time.sleep(self.behaviour.seconds_per_leaf if status == 206 else 0)
            limit = self.behaviour.break_after_bytes
            if status == 206 and limit is not None and start + len(data) > limit:
                self.wfile.write(data[: max(0, limit - start)])
                self.close_connection = True
                return
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    context: ssl.SSLContext

    def get_request(self) -> tuple[ssl.SSLSocket, object]:
        """Accept, and leave nothing behind of a client that is gone already."""
        accepted, address = self.socket.accept()
        try:
            return self.context.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            ), address
        except OSError:
            accepted.close()
            raise

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what some tests are about."""


@contextmanager
def serving(folder: Path, behaviour: Behaviour) -> Iterator[Source]:
    """Serve `behaviour`'s blobs and give the source that a hit would name."""
    certificate = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "tls.pem")
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = _Server(("127.0.0.1", 0), handler)
    server.context = context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Source("00" * 32, [f"127.0.0.1:{server.server_port}"], "pinned", certificate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> str:
    """Write a self-signed Ed25519 certificate with its key, and return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE_NAME)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, None)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
