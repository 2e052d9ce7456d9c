"""Nodes on the same LAN, found by multicast DNS (zeroconf): off until the operator asks for it.

A node announces a service with its port, its network's name and the hash of its certificate, and looks for
others that do. What it finds is worth as much as a bootstrap address and no more: the certificate is pinned,
and who answers proves who it is in the handshake. All other addresses come from signed node records.

Rules of this file:

1. Nothing of it runs, and zeroconf is not imported, unless ``node.lan`` is set: an announcement tells
everybody
   on the LAN, and hotels have LANs, too.
2. What the LAN says is bounded in number and form before it is used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from skerry.errors import ConfigError, TransportError
from skerry.node.config import parse_bootstrap
from skerry.node.limits import LAN_NODES_MAX, LAN_QUERY_SECONDS_MAX

from .listening import WILDCARDS

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo

log: Final = structlog.get_logger()

SERVICE: Final = "_skerry._tcp.local."
NETWORK: Final = "network"
CERTIFICATE: Final = "certificate"


class Neighbours:
    """The nodes found on the LAN.

    Parameters
    ----------
    network
        Name of the network; others are of no interest.
    certificate
        This node's own, by which it knows itself.
    found
        Told of all bootstrap addresses found, whenever there are more or fewer.
    """

    def __init__(self, network: str, certificate: bytes, found: Callable[[tuple[str, ...]], None]) -> None:
        self._network = network
        self._certificate = certificate
        self._found = found
        self._nodes: dict[str, str] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Take in that a service appeared, changed or went."""
        if state_change.name == "Removed":
            self.gone(name)
            return
        if len(self._asking) < LAN_NODES_MAX:
            task = asyncio.create_task(self._ask(zeroconf, service_type, name))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(service_type, name)
        if await info.async_request(zeroconf, LAN_QUERY_SECONDS_MAX * 1000):
            self.seen(name, info)

    def seen(self, name: str, info: AsyncServiceInfo) -> None:
        """Take in what a service says about itself."""
        said = {key.decode("utf-8", "replace"): value or b"" for key, value in info.properties.items()}
        certificate = said.get(CERTIFICATE, b"").decode("ascii", "replace")
        addresses = [address for address in info.parsed_addresses() if _is_usable(address)]
        if said.get(NETWORK, b"").decode("utf-8", "replace") != self._network or not addresses:
            return
        host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        bootstrap = f"{host}:{info.port}#{certificate}"
        try:
            _, pin = parse_bootstrap(bootstrap, SERVICE)
        except ConfigError:
            log.info("a node on the LAN says nonsense", name=name)
            return
        if not pin or pin == self._certificate or len(self._nodes) >= LAN_NODES_MAX:
            return
        if self._nodes.get(name) != bootstrap:
            self._nodes[name] = bootstrap
            log.info("found a node on the LAN", address=bootstrap)
            self._found(tuple(self._nodes.values()))

    def gone(self, name: str) -> None:
        """Forget a service that took its leave."""
        if self._nodes.pop(name, None) is not None:
            self._found(tuple(self._nodes.values()))


@asynccontextmanager
async def discovering(
    listening: socket.socket, network: str, certificate: bytes, found: Callable[[tuple[str, ...]], None]
) -> AsyncIterator[None]:
    """Announce this node on the LAN and look for others, until the end of the block.

    Parameters
    ----------
    listening
        The public listener.
    network, certificate, found
        As for :class:`Neighbours`.

    Raises
    ------
    TransportError
        ``E-TRANSPORT-LAN``: this machine allows no multicast.
    """
    from zeroconf import InterfaceChoice
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    host = str(listening.getsockname()[0])
    try:
        zeroconf = AsyncZeroconf(interfaces=InterfaceChoice.All if host in WILDCARDS else [host])
        info = _service(listening, network, certificate)
        await (await zeroconf.async_register_service(info))
    except OSError as error:
        raise TransportError(
            "Nodes on the LAN cannot be looked for",
            where=host,
            why=error.strerror or str(error),
            todo="Start without --lan, or listen on an address of the LAN.",
            code="E-TRANSPORT-LAN",
        ) from error
    neighbours = Neighbours(network, certificate, found)
    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[neighbours.changed])
    try:
        yield
    finally:
        await browser.async_cancel()
        await zeroconf.async_close()


def _service(listening: socket.socket, network: str, certificate: bytes) -> AsyncServiceInfo:
    from zeroconf.asyncio import AsyncServiceInfo

    host, port = listening.getsockname()[:2]
    addresses = _own_addresses() if host in WILDCARDS else [str(host)]
    # The name is drawn anew: it would otherwise follow a machine from LAN to LAN.
    return AsyncServiceInfo(
        SERVICE,
        f"{secrets.token_hex(8)}.{SERVICE}",
        port=int(port),
        parsed_addresses=addresses,
        properties={NETWORK: network, CERTIFICATE: certificate.hex()},
    )


def _own_addresses() -> list[str]:
    """Return the addresses of this machine that others on a LAN could use."""
    import ifaddr

    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [address for address in found if _is_usable(address)]


def _is_usable(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return not (ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local)
