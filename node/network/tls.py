"""TLS as nodes use it: version 1.3, and a certificate that is pinned by its hash or vouched for by the web.

A node's own certificate says nothing that anybody should believe: who a node is follows from the signed
handshake inside the connection, which is bound to the certificate's hash. So the dialling side checks no
name and no chain, but the hash, and refuses any other certificate before it sends a byte. A node behind a
reverse proxy is known by its host name instead, which the web's authorities vouch for as for any site.
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
from skerry.protocol.certificates import NODE_NAME, mismatch

from .ways import DIRECT

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from skerry.node.folder import Folder

    from .ways import Proxies, Way

CERTIFICATE_DAYS = 36500
"""The pin decides, not the date: a certificate that ran out would only take a healthy node off the network.
"""


def make_certificate(key: Ed25519PrivateKey, now: dt.datetime) -> bytes:
    """Return a self-signed certificate for `key` as PEM."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE_NAME)])
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


def web_context() -> ssl.SSLContext:
    """Return the context for dialling a node that the web's authorities vouch for."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class OtherCertificate(aiohttp.ServerFingerprintMismatch):
    """Another certificate than the pinned one, with what that means."""

    meaning: str


class NodeFingerprint(aiohttp.Fingerprint):
    """The SHA-256 that a server's certificate must have; says of another one who issued it."""

    def check(self, transport: asyncio.Transport) -> None:
        """Raise :class:`OtherCertificate` unless the certificate is the one."""
        try:
            super().check(transport)
        except aiohttp.ServerFingerprintMismatch as error:
            other = OtherCertificate(error.expected, error.got, error.host, error.port)
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            other.meaning = mismatch(shown or b"")
            raise other from None


class NodeClient:
    """An HTTP client for one node.

    Parameters
    ----------
    connector
        Opens its connections.
    context
        What every connection must show.
    timeout
        Limits for its requests.
    proxies
        The proxy in between, if any.
    """

    def __init__(
        self,
        connector: aiohttp.TCPConnector,
        context: ssl.SSLContext,
        timeout: aiohttp.ClientTimeout,
        proxies: Proxies,
    ) -> None:
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        self._context = context
        self._proxies = proxies

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    def get(
        self, url: str, headers: dict[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin a GET; redirects are not followed, since they would lead away from the node."""
        return self._session.get(
            url, headers=headers, ssl=self._context, allow_redirects=False, proxy=self._proxy(url)
        )

    def post(
        self, url: str, body: bytes, headers: dict[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin a POST of bytes; redirects are not followed."""
        return self._session.post(
            url,
            data=body,
            headers=headers,
            ssl=self._context,
            allow_redirects=False,
            proxy=self._proxy(url),
        )

    async def websocket(self, url: str, message_bytes_max: int) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket without compression."""
        return await self._session.ws_connect(
            url,
            ssl=self._context,
            max_msg_size=message_bytes_max,
            compress=0,
            autoping=True,
            heartbeat=HEARTBEAT_SECONDS,
            proxy=self._proxy(url),
        )

    def _proxy(self, url: str) -> str | None:
        return self._proxies.towards(url.split("/")[2])


class PinnedClient(NodeClient):
    """An HTTP client whose every connection must show the certificate with one SHA-256.

    Parameters
    ----------
    context
        As :func:`client_context` makes it.
    certificate
        The SHA-256 of the certificate in DER.
    timeout, proxies
        As for :class:`NodeClient`.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        certificate: bytes,
        timeout: aiohttp.ClientTimeout,
        proxies: Proxies = DIRECT,
    ) -> None:
        # aiohttp takes the pin from the connector and the context from the request, and so applies both.
        connector = aiohttp.TCPConnector(ssl=NodeFingerprint(certificate), limit=CONNECTIONS_PER_PEER_MAX)
        super().__init__(connector, context, timeout, proxies)


def node_client(way: Way, timeout: aiohttp.ClientTimeout, proxies: Proxies) -> NodeClient:
    """Return a client for the node at the end of `way`."""
    if way.host:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_PER_PEER_MAX)
        return NodeClient(connector, web_context(), timeout, proxies)
    return PinnedClient(client_context(), way.certificate, timeout, proxies)


def reason(error: BaseException) -> str:
    """Return in words why a connection did not come about, or broke."""
    if isinstance(error, OtherCertificate):
        return error.meaning
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate is not vouched for: {error.certificate_error}"
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
