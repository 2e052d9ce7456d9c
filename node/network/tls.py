"""TLS as nodes use it: version 1.3, a self-signed Ed25519 certificate, pinned by its hash.

A node's certificate says nothing that anybody should believe: who a node is follows from the signed
handshake inside the connection, which is bound to the certificate's hash. So the dialling side checks no
name and no chain, but the hash, and refuses any other certificate before it sends a byte.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from typing import TYPE_CHECKING

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.errors import ConfigError
from skerry.node.limits import CONNECTIONS_PER_PEER_MAX, HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from skerry.node.folder import Folder

CERTIFICATE_DAYS = 36500
"""The pin decides, not the date: a certificate that ran out would only take a healthy node off the network.
"""


def make_certificate(key: Ed25519PrivateKey, now: dt.datetime) -> bytes:
    """Return a self-signed certificate for `key` as PEM."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skerry node")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=CERTIFICATE_DAYS))
        .sign(key, None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate_hash(path: Path) -> bytes:
    """Return the SHA-256 of the certificate at `path` in DER: what others pin."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text("ascii"))).digest()
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def server_context(folder: Folder) -> ssl.SSLContext:
    """Return the context of the public listener."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(folder.tls_certificate, folder.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(folder.tls_certificate, error) from error
    return context


def client_context() -> ssl.SSLContext:
    """Return the context for dialling; :class:`PinnedClient` adds the pin that it lacks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class PinnedClient:
    """An HTTP client whose every connection must show the certificate with one SHA-256.

    Parameters
    ----------
    context
        As :func:`client_context` makes it.
    certificate
        The SHA-256 of the certificate in DER.
    timeout
        Limits for its requests.
    """

    def __init__(self, context: ssl.SSLContext, certificate: bytes, timeout: aiohttp.ClientTimeout) -> None:
        # aiohttp takes the pin from the connector and the context from the request, and so applies both.
        connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(certificate), limit=CONNECTIONS_PER_PEER_MAX)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        self._context = context

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    def get(
        self, url: str, headers: dict[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin a GET; redirects are not followed, since they would lead away from the pinned node."""
        return self._session.get(url, headers=headers, ssl=self._context, allow_redirects=False)

    async def websocket(self, url: str, message_bytes_max: int) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket without compression."""
        return await self._session.ws_connect(
            url,
            ssl=self._context,
            max_msg_size=message_bytes_max,
            compress=0,
            autoping=True,
            heartbeat=HEARTBEAT_SECONDS,
        )


def reason(error: BaseException) -> str:
    """Return in words why a connection did not come about, or broke."""
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return "another certificate than the one expected"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        "The node's certificate cannot be used",
        where=str(path),
        why=str(error),
        todo="Make keys/tls.* readable for the user that runs the node, or restore them from a backup.",
        code="E-CONFIG-CERTIFICATE",
    )
