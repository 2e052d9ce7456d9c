"""HTTPS with the node that owns a learnware: pinned by its certificate, or by the web's authorities.

A pinned node shows a self-signed certificate whose SHA-256 stands in its signed node record, and so in
every hit's ``sources``. No name and no chain is checked then, but the hash, before one byte is sent:
whoever answers at the address with another certificate learns nothing but that somebody called.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from skerry.errors import TransportError
from skerry.protocol.addresses import bypasses_proxy
from skerry.protocol.api import Source
from skerry.protocol.certificates import inspector, mismatch

from .limits import CONNECT_SECONDS_MAX, STALL_SECONDS_MAX

PINNED: Final = "pinned"
PROXY_PORT: Final = 80
"""Where a proxy listens whose URL names no port."""


class PinnedConnection(http.client.HTTPSConnection):
    """An HTTPS connection to whoever holds the certificate with one SHA-256, and to nobody else."""

    def __init__(self, host: str, port: int, certificate: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS_MAX, context=_unauthenticated_context())
        self._certificate = certificate

    def connect(self) -> None:
        """Connect, and raise TransportError (``E-FETCH-PIN``) unless the certificate is the pinned one."""
        super().connect()
        certificate = self.sock.getpeercert(binary_form=True) or b""
        shown = hashlib.sha256(certificate).hexdigest()
        if not hmac.compare_digest(shown, self._certificate.lower()):
            self.close()
            if inspector(certificate):
                raise TransportError(
                    "Something between here and the owner reads along, so nothing was said",
                    where=f"{self.host}:{self.port}",
                    why=mismatch(certificate),
                    todo="Have the address exempted from TLS inspection, or use a network without it",
                    code="E-FETCH-INSPECTED",
                )
            raise TransportError(
                "Another node answers at the owner's address",
                where=f"{self.host}:{self.port}",
                why="its certificate is not the one in the owner's signed record",
                todo="Search again for a newer record; if it stays so, ask the owner",
                code="E-FETCH-PIN",
            )
        self.sock.settimeout(STALL_SECONDS_MAX)


def connect(source: Source, address: str) -> http.client.HTTPSConnection:
    """Return a connection to one address of a source; nothing is sent before the first request.

    Raises
    ------
    TransportError
        ``E-FETCH-ADDRESS`` when the address is not ``host:port``.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal() or not 0 < int(port) < 65536:
        raise TransportError(
            "The owner's address is not host:port",
            where=address,
            todo="Ask the owner to correct `node.advertise`",
            code="E-FETCH-ADDRESS",
        )
    connection: http.client.HTTPSConnection
    if source.mode == PINNED:
        connection = PinnedConnection(host.strip("[]"), int(port), source.certificate)
    else:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection(
            source.host, int(port), timeout=STALL_SECONDS_MAX, context=context
        )
    _take_proxy(connection)
    return connection


def _take_proxy(connection: http.client.HTTPSConnection) -> None:
    """Go through the proxy that ``HTTPS_PROXY`` names, unless ``NO_PROXY`` says otherwise."""
    proxies = urllib.request.getproxies_environment()
    proxy = urlsplit(proxies.get("https", ""))
    exceptions = tuple(name.strip() for name in proxies.get("no", "").split(","))
    host, port = connection.host, connection.port
    if not proxy.hostname or bypasses_proxy(host, exceptions):
        return
    connection.host, connection.port = proxy.hostname, proxy.port or PROXY_PORT
    connection.set_tunnel(host, port)


def _unauthenticated_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
