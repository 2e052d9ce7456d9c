"""Which network an address belongs to, and whether a stranger's word is enough to dial it.

A gossiped address makes this node open a connection, so it could be used to probe an institution's inside: an
address that is not global is dialled only when it was configured, or told by a peer of the same network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from .limits import ADDRESSES_REMEMBERED, NETWORK_PREFIX_BITS_V4, NETWORK_PREFIX_BITS_V6


def host_of(address: str) -> str:
    """Return the host of ``host:port``, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def bypasses_proxy(host: str, exceptions: tuple[str, ...]) -> bool:
    """Return whether a host is reached without the proxy: this machine, and what the exceptions name.

    Parameters
    ----------
    host
        A name, or an IP address without brackets.
    exceptions
        Names that stand for themselves and all names below; ``*`` stands for everything.
    """
    host = host.lower()
    names = [name.lower().lstrip(".") for name in exceptions]
    if host == "localhost" or "*" in names or any(host == n or host.endswith(f".{n}") for n in names if n):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(ADDRESSES_REMEMBERED)
def network_of(address: str) -> str:
    """Return the network of ``host:port``: an IP prefix, ``loopback``, or for a name its last two labels."""
    host = host_of(address)
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return "loopback" if host == "localhost" else ".".join(host.lower().rsplit(".", 2)[-2:])
    if ip.is_loopback:
        return "loopback"
    bits = NETWORK_PREFIX_BITS_V4 if ip.version == 4 else NETWORK_PREFIX_BITS_V6
    return str(ipaddress.ip_network((ip, bits), strict=False))


@lru_cache(ADDRESSES_REMEMBERED)
def is_global(address: str) -> bool:
    """Return whether anybody may be told to dial the address; names count, unless they are local ones."""
    host = host_of(address).lower()
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".lan", ".localhost"))


def may_be_dialled(address: str, near: Iterable[str]) -> bool:
    """Return whether a stranger's word is enough to dial an address, given the addresses of who is near."""
    return is_global(address) or network_of(address) in {network_of(other) for other in near}
