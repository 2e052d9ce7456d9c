"""Networks made of Linux namespaces: LANs of hosts, each behind a router, the routers on one backbone.

Theory of operation. A LAN is a router namespace with a bridge; a host is a namespace with a cable to that
bridge. The routers hang on the bridge of a namespace of its own, the backbone. Addresses are
``11.LAN.0.HOST``: to the nodes they are addresses of the internet, and nobody outside can be meant, since
no namespace has a way out. Faults are what an operator's network does: routes into a black hole, links that
go down, a bandwidth limit.

Rules of this file:

1. Everything is removed at the end, whatever happened in between.
2. A socket belongs to the namespace in which it was made: :func:`inside` makes it there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

CLONE_NEWNET = 0x40000000
_NUMBERS = count(1)
_LIBC = ctypes.CDLL(None, use_errno=True)


def reason_to_skip() -> str:
    """Return why namespaces cannot be used here; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "iproute2 is not installed"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this kernel allows no network namespaces"


def run(*command: str) -> None:
    """Run a command of iproute2, and show what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread make sockets in a namespace."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert _LIBC.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert _LIBC.setns(here, CLONE_NEWNET) == 0
        os.close(there)
        os.close(here)


class Lab:
    """A backbone and the LANs on it.

    Parameters
    ----------
    lans
        How many LANs.
    """

    def __init__(self, lans: int) -> None:
        self._prefix = f"sk{os.getpid() % 100_000}x{next(_NUMBERS)}"
        self._namespaces: list[str] = []
        self._hosts = [0] * lans
        self.lans = lans
        self._backbone = self._namespace("bb")
        self._ip(self._backbone, "link add br0 type bridge", "link set br0 up")
        for lan in range(lans):
            self._add_lan(lan)
        for lan in range(lans):
            self.heal(lan)

    def close(self) -> None:
        """Remove all namespaces, and with them their links."""
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def host(self, lan: int) -> tuple[str, str]:
        """Add a host to a LAN; return its namespace and its address."""
        self._hosts[lan] += 1
        number = self._hosts[lan]
        name = self._namespace(f"h{lan}n{number}")
        address = f"11.{lan}.0.{number + 10}"
        self._cable(name, "eth0", self.router(lan), f"p{number}", "br0")
        self._ip(
            name, f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via 11.{lan}.0.1"
        )
        return name, address

    def router(self, lan: int) -> str:
        """Return the namespace of a LAN's router."""
        return f"{self._prefix}r{lan}"

    # Faults.

    def partition(self, lan: int) -> None:
        """Let a LAN's router throw away all that goes to the other LANs."""
        self._route(lan, "blackhole")

    def cut_towards(self, lan: int, other: int) -> None:
        """Throw away what goes from one LAN to another; the other way stays open."""
        self._ip(self.router(lan), f"route replace blackhole 11.{other}.0.0/24")

    def heal(self, lan: int) -> None:
        """Restore a router's routes."""
        for other in range(self.lans):
            if other != lan:
                self._delete_route(lan, other)
                self._ip(self.router(lan), f"route add 11.{other}.0.0/24 via 11.200.0.{other + 1}")

    def link(self, namespace: str, *, up: bool) -> None:
        """Pull a host's cable, or plug it in again."""
        self._ip(namespace, f"link set eth0 {'up' if up else 'down'}")
        if up:
            lan = next(lan for lan in range(self.lans) if namespace.startswith(f"{self._prefix}h{lan}n"))
            self._ip(namespace, f"route replace default via 11.{lan}.0.1")

    def limit(self, namespace: str, rate: str) -> None:
        """Bound what a host sends, such as ``256kbit``."""
        run(
            *f"ip netns exec {namespace} tc qdisc replace dev eth0 root tbf rate {rate}".split(),
            *["burst", "16kb", "latency", "500ms"],
        )

    def unlimit(self, namespace: str) -> None:
        """Take the bound away."""
        run(*f"ip netns exec {namespace} tc qdisc del dev eth0 root".split())

    # Making.

    def _namespace(self, name: str) -> str:
        full = f"{self._prefix}{name}"
        run("ip", "netns", "add", full)
        self._namespaces.append(full)
        self._ip(full, "link set lo up")
        return full

    def _add_lan(self, lan: int) -> None:
        router = self._namespace(f"r{lan}")
        self._ip(router, "link add br0 type bridge", f"addr add 11.{lan}.0.1/24 dev br0", "link set br0 up")
        self._cable(router, "up0", self._backbone, f"r{lan}", "br0")
        self._ip(router, f"addr add 11.200.0.{lan + 1}/24 dev up0", "link set up0 up")
        run(*f"ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1".split())

    def _cable(self, one: str, port: str, other: str, other_port: str, bridge: str) -> None:
        self._ip(one, f"link add {port} type veth peer name {other_port} netns {other}")
        self._ip(other, f"link set {other_port} master {bridge}", f"link set {other_port} up")

    def _route(self, lan: int, kind: str) -> None:
        for other in range(self.lans):
            if other != lan:
                self._ip(self.router(lan), f"route replace {kind} 11.{other}.0.0/24")

    def _delete_route(self, lan: int, other: int) -> None:
        command = f"ip -n {self.router(lan)} route del 11.{other}.0.0/24".split()
        subprocess.run(command, capture_output=True, check=False)

    def _ip(self, namespace: str, *commands: str) -> None:
        for command in commands:
            run("ip", "-n", namespace, *command.split())


@contextmanager
def lab(lans: int) -> Iterator[Lab]:
    """Give a lab, and remove it at the end."""
    made = Lab(lans)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put a file system of its own, of a few megabytes, below a folder."""
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "skerry-test", str(folder))
    try:
        yield
    finally:
        run("umount", "-l", str(folder))
