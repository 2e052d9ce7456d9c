"""What ``skerry doctor`` looks at on this machine and at its node.

Each check tries the thing itself rather than looking whether it seems to be there: a sandbox is started, the
node is asked, its port and its peers' ports are connected to. A check that does not pass says what to do.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from skerry.errors import ClientError, TransportError

from .results import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from skerry.client.network import Network
    from skerry.protocol.api import PeerView, Status

    from .session import Session

WEB: Final = "web"
"""The mode of a node that is known by its host name, and the end of its bootstrap string."""
FREE_BYTES_MIN: Final = 2 << 30
"""Below this a cache of packages and a node's database soon fill the disk."""
PEERS_TRIED_MAX: Final = 8
"""Peers whose ports are tried; so many say enough about this side's network."""
PROBE_SECONDS_MAX: Final = 2.0
"""Wait for one port."""
TIME_ERROR: Final = 5
"""What adjtimex(2) returns while no time source disciplines the clock."""
LEASE_SOON_SECONDS: Final = 10 * 86400
"""Leases of 21 days are renewed every 7: one with less left was not renewed for a while."""


def findings(session: Session) -> list[Finding]:
    """Return what all checks found: clock, disks, sandbox, node, versions, ports, peers."""
    return [_python(), _clock(), *_disks(session), *_sandbox(), *_node(session)]


def _python() -> Finding:
    import platform

    return Finding("python", passed=True, found=f"{platform.python_version()} at {sys.executable}")


def _clock() -> Finding:
    """Ask the kernel whether something keeps the clock right; leases tolerate a day, and no more."""
    import ctypes

    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    state = adjtimex(ctypes.create_string_buffer(512)) if adjtimex is not None else TIME_ERROR
    if state == TIME_ERROR:
        todo = "Let chrony or systemd-timesyncd set it: signed records count for a time, and a clock that is a day off makes a node refuse or lose them"  # noqa: E501
        return Finding("clock", passed=True, found="nothing is known to keep it right", todo=todo)
    found = "kept right by a time source" if state >= 0 else "the kernel does not say"
    return Finding("clock", passed=True, found=found)


def _disks(session: Session) -> Iterator[Finding]:
    from skerry.client.folders import cache_folder, node_folder

    yield _disk("disk", cache_folder(), "SKERRY_CACHE")
    folder = node_folder(session.folder)
    if folder.exists():
        yield _disk("disk of the node", folder, "SKERRY_HOME")


def _disk(check: str, folder: Path, variable: str) -> Finding:
    import shutil

    present = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(present).free
    passed = free >= FREE_BYTES_MIN
    todo = "" if passed else f"Free some space below {present}, or set {variable} to another disk"
    return Finding(check, passed, f"{free / 1e9:.1f} GB free for {folder}", todo)


def _sandbox() -> Iterator[Finding]:
    """Try each level; B stands in where A does not work, so the advice is about A."""
    from skerry.package.process import try_levels
    from skerry.package.sandbox import advice

    for level, reason in try_levels().items():
        todo = advice([(level, reason)])[1] if reason and level == "A" else ""
        yield Finding(f"sandbox level {level}", not reason, reason or "works", todo)


def _node(session: Session) -> Iterator[Finding]:
    try:
        network = session.network()
        status = network.status()
    except ClientError as error:
        yield Finding("node", passed=False, found=error.what, todo=error.todo)
        return
    yield Finding("node", passed=True, found=f"{status.name} answers; {status.cards} cards")
    yield _version(status)
    yield _lease(status)
    yield _port(status)
    yield from _inspection(status)
    yield from _peers(network)


def _version(status: Status) -> Finding:
    import skerry

    passed = status.version == skerry.__version__
    todo = "" if passed else "Restart the node with `skerry serve`, so that both are of one version"
    return Finding("versions", passed, f"command {skerry.__version__}, node {status.version}", todo)


def _lease(status: Status) -> Finding:
    import time

    if not status.lease_ends:
        return Finding("lease", passed=True, found="nothing is published")
    left = status.lease_ends - time.time()
    passed = left > LEASE_SOON_SECONDS
    todo = "" if passed else "See the node's log for why its head is not renewed"
    return Finding("lease", passed, f"{left / 86400:.0f} days left", todo)


def _port(status: Status) -> Finding:
    """Connect to the public address as others do, and hold the certificate against the pin or the name."""
    from skerry.client.owner import PINNED, connect
    from skerry.protocol.addresses import host_of
    from skerry.protocol.api import Source

    if not status.bootstrap:
        return Finding("port", passed=True, found="none is needed: the node says that it cannot be dialled")
    address, _, certificate = status.bootstrap.partition("#")
    source = Source(status.node_key, [address], PINNED, certificate)
    if certificate == WEB:
        source = Source(status.node_key, [address], WEB, "", host_of(address))
    connection = connect(source, address)
    try:
        connection.timeout = PROBE_SECONDS_MAX
        connection.connect()
    except (OSError, TransportError) as error:
        todo = "Open the port, or set node.advertise to an address under which others reach this node"
        return Finding("port", passed=False, found=f"{address}: {error}", todo=todo)
    finally:
        connection.close()
    return Finding(
        "port", passed=True, found=f"{address} answers from this machine with the node's certificate"
    )


def _inspection(status: Status) -> Iterator[Finding]:
    """Say whether a middlebox answered in a peer's place when the node dialled last."""
    from skerry.protocol.certificates import INSPECTION

    inspected = [trouble for trouble in status.troubles if INSPECTION in trouble]
    if inspected:
        todo = "Have the addresses of your peers exempted from TLS inspection, or use a network without it"
        yield Finding("TLS inspection", passed=False, found=inspected[-1], todo=todo)


def _peers(network: Network) -> Iterator[Finding]:
    known = network.peers()
    connected = sum(peer.connected for peer in known)
    todo = (
        ""
        if connected
        else "Connect to one with `skerry peers ADDRESS`; without peers only the own models are found"
    )
    yield Finding("peers", bool(connected), f"{connected} connected of {len(known)} known", todo)
    tried = sorted(known, key=lambda peer: peer.connected)[:PEERS_TRIED_MAX]
    closed = [peer for peer in tried if not any(_answers(address) for address in peer.addresses)]
    if tried:
        found = f"{len(tried) - len(closed)} of {len(tried)} tried can be dialled"
        if closed:
            found += ", not " + ", ".join(_name(peer) for peer in closed)
        todo = (
            "Others connect to this node, or a firewall on this side blocks them"
            if len(closed) == len(tried)
            else ""
        )
        yield Finding("peers' ports", len(closed) < len(tried), found, todo)


def _answers(address: str) -> bool:
    import socket

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS_MAX).close()
    except (OSError, ValueError):
        return False
    return True


def _name(peer: PeerView) -> str:
    from skerry.client.escape import visible

    return f"{visible(peer.owner_name) or 'unnamed'} ({peer.node_key[:8]})"
