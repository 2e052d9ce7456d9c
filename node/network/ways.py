"""How another node is reached: its addresses, how its server proves itself, and the proxy in between.

A *way* is read from a bootstrap string, a signed node record, or a source of the local API. ``pinned``: the
server's certificate has one SHA-256. ``web``: the web's authorities vouch for a host name, as for any web
site behind a reverse proxy. The handshake inside is bound to the one or the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from skerry.errors import TransportError
from skerry.node.config import parse_bootstrap
from skerry.protocol.addresses import bypasses_proxy, host_of
from skerry.protocol.node_record import MODE_PINNED, MODE_WEB, host_binding

if TYPE_CHECKING:
    from skerry.protocol.api import Source
    from skerry.protocol.node_record import NodeRecord


@dataclass(frozen=True)
class Way:
    """How one node is reached.

    Parameters
    ----------
    addresses
        ``host:port``, tried in order.
    certificate
        The SHA-256 of its certificate; empty where a host name counts.
    host
        The name that its certificate must be for; empty where the hash counts.
    """

    addresses: tuple[str, ...]
    certificate: bytes = b""
    host: str = ""

    @property
    def binding(self) -> bytes:
        """What the handshake is bound to."""
        return host_binding(self.host) if self.host else self.certificate


def of_bootstrap(text: str) -> Way:
    """Read ``host:port#certificate-hash`` or ``host:port#web``; raises as ``parse_bootstrap`` does."""
    address, certificate = parse_bootstrap(text, "bootstrap")
    return Way((address,), certificate) if certificate else Way((address,), host=host_of(address))


def of_record(record: NodeRecord) -> Way:
    """Read a node record.

    Raises
    ------
    TransportError
        ``E-TRANSPORT-MODE``: the record is of a later version.
    """
    if record.mode == MODE_WEB:
        return Way(_at_host(record.host, record.addresses), host=record.host)
    if record.mode == MODE_PINNED:
        return Way(record.addresses, record.certificate)
    raise TransportError(
        "The node is reached in a way that this version does not know",
        where=record.node_key.hex(),
        why=f"mode {record.mode!r}",
        code="E-TRANSPORT-MODE",
    )


def of_source(source: Source) -> Way:
    """Read a source as the local API shows it."""
    if source.mode == MODE_WEB:
        return Way(_at_host(source.host, tuple(source.addresses)), host=source.host)
    return Way(tuple(source.addresses), bytes.fromhex(source.certificate))


def _at_host(host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ports with the name that the certificate is for: the record's other names do not count."""
    ports = dict.fromkeys(address.rpartition(":")[2] for address in addresses)
    return tuple(f"{host}:{port}" for port in ports)


@dataclass(frozen=True)
class Proxies:
    """The HTTP proxy that outgoing connections take (CONNECT), as ``HTTPS_PROXY`` and ``NO_PROXY`` say.

    Parameters
    ----------
    proxy
        ``http://host:port``; empty for none.
    direct
        Hosts and domains that are reached without it.
    """

    proxy: str = ""
    direct: tuple[str, ...] = field(default=())

    def towards(self, address: str) -> str | None:
        """Return the proxy to take for ``host:port``; none for this machine itself."""
        if not self.proxy or bypasses_proxy(host_of(address), self.direct):
            return None
        return self.proxy


DIRECT: Final = Proxies()
"""No proxy anywhere."""
