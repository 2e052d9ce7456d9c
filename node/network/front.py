"""What this node shows to other nodes: its addresses, what its server is known by, and who may connect.

*Pinned* is the default: the node ends TLS itself with its own certificate, directly or behind a proxy that
passes TCP through unread. With ``node.host`` an HTTPS reverse proxy ends TLS with a certificate for that
name, and the node serves plain HTTP to the proxy: to nobody else, since whoever else reached this port
would speak to it unencrypted. Such a proxy can read what passes, group traffic included.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from skerry.errors import Refused
from skerry.node.config import WEB
from skerry.protocol.api import Source
from skerry.protocol.node_record import MODE_PINNED, MODE_WEB, host_binding

from .listening import address_of
from .tls import server_context

if TYPE_CHECKING:
    import socket
    import ssl

    from skerry.node.config import NodeSection
    from skerry.node.folder import Folder

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
HTTPS_PORT: Final = 443


@dataclass(frozen=True)
class Front:
    """See the module's docstring.

    Parameters
    ----------
    addresses
        ``host:port`` under which others reach the node; none when it cannot be dialled.
    here
        ``host:port`` under which programs of this machine reach it.
    certificate
        The SHA-256 of the certificate that is shown; empty where the host name counts.
    host
        The name that the reverse proxy's certificate is for; empty without one.
    context
        How the public listener ends TLS; None for plain HTTP.
    proxied_from
        Networks that may connect to a plain listener.
    """

    addresses: tuple[str, ...]
    here: str
    certificate: bytes
    host: str
    context: ssl.SSLContext | None
    proxied_from: tuple[str, ...] = LOOPBACK

    @property
    def binding(self) -> bytes:
        """What handshakes with this server are bound to."""
        return host_binding(self.host) if self.host else self.certificate

    @property
    def bootstrap(self) -> str:
        """What others configure to reach this node; empty when it cannot be dialled."""
        if not self.addresses:
            return ""
        return f"{self.addresses[0]}#{self.certificate.hex() or WEB}"

    def source(self, node_key: bytes) -> Source:
        """Return how programs of this machine fetch from this node."""
        mode = MODE_WEB if self.host else MODE_PINNED
        return Source(node_key.hex(), [self.here], mode, self.certificate.hex(), self.host)

    def middlewares(self) -> tuple[Middleware, ...]:
        """Return what every request of the public listener passes through."""
        return (_only_from(self.proxied_from),) if self.context is None else ()


def front_of(section: NodeSection, folder: Folder, listening: socket.socket, certificate: bytes) -> Front:
    """Return the front of the node in `folder`.

    Parameters
    ----------
    section
        How it is configured.
    folder
        Where its certificate lies.
    listening
        Its public listener.
    certificate
        The SHA-256 of its own certificate.
    """
    if section.host:
        addresses = tuple(section.advertise) or (f"{section.host}:{HTTPS_PORT}",)
        return Front(
            addresses, addresses[0], b"", section.host, None, tuple(section.proxied_from) or LOOPBACK
        )
    here = address_of(listening)
    addresses = tuple(section.advertise) or (here,)
    return Front(addresses if section.dialable else (), here, certificate, "", server_context(folder))


def _only_from(networks: tuple[str, ...]) -> Middleware:
    allowed = [ipaddress.ip_network(network) for network in networks]

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        remote = ipaddress.ip_address((request.remote or "").partition("%")[0] or "0.0.0.0")  # noqa: S104
        if any(remote in network for network in allowed):
            return await handler(request)
        raise Refused(
            "This port is for the reverse proxy alone",
            where=str(remote),
            why="the node serves plain HTTP here, and its proxy connects from elsewhere",
            todo="Use the proxy's address; its operator names its network in node.proxied_from.",
            code="E-REFUSED-DIRECT",
        )

    return check
