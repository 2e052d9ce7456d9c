"""Real daemons on the hosts of a lab, and a history of what they acknowledged.

The history is the point: what a node acknowledged must be there at the end, at every live node, whatever
happened in between; and nothing else may be.
"""

from __future__ import annotations

import http.client
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from skerry.errors import SkerryError
from skerry.spec import Specification
from tests.faults.lab import Lab, inside, lab
from tests.node.processes import HttpError, NodeProcess, specification
from tests.tree import ROOT

PORT = 7740
HEAL_SECONDS_MAX = 30.0
"""From the heal to one digest everywhere."""


class Host(NodeProcess):
    """A daemon in a namespace."""

    def __init__(self, folder: Path, name: str, network: Lab, lan: int) -> None:
        super().__init__(folder, name)
        self.lan = lan
        self.namespace, self.address = network.host(lan)
        self.acknowledged: set[str] = set()
        self.withdrawn: set[str] = set()
        self.unsure: set[str] = set()
        """Asked for, and not answered: may be there or not."""
        self.alive = True
        self.bootstraps: tuple[str, ...] = ()

    def begin(
        self,
        *,
        bootstrap: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        file_bytes_max: int = resource.RLIM_INFINITY,
    ) -> None:
        listening = ("--listen", f"{self.address}:{PORT}", *options)
        super().begin(bootstrap=bootstrap, options=listening, file_bytes_max=file_bytes_max)

    def restart(self) -> None:
        """Start again with the same addresses."""
        self.start(bootstrap=self.bootstraps)
        self.alive = True

    def publish_one(self, model: Specification, slug: str) -> None:
        """Publish, and note what is known about it."""
        self.unsure.add(slug)
        try:
            self.publish(slug, model, b"package of " + slug.encode())
        except (HttpError, OSError, http.client.HTTPException, SkerryError):
            return
        self.acknowledged.add(slug)
        self.unsure.discard(slug)

    def withdraw_one(self, slug: str) -> None:
        """Withdraw, and note it."""
        self.withdraw(slug)
        self.acknowledged.discard(slug)
        self.withdrawn.add(slug)

    def _connection(self) -> http.client.HTTPConnection:
        assert self.endpoint is not None
        connection = http.client.HTTPConnection(urlsplit(self.endpoint.url).netloc, timeout=15)
        with inside(self.namespace):
            connection.connect()
        return connection

    def _command(self, verb: str, *arguments: str) -> list[str]:
        prefix = ["ip", "netns", "exec", self.namespace]
        node = [sys.executable, "-m", "tests.faults.launcher", verb, "--folder", str(self.folder)]
        return [*prefix, *node, *arguments]


class Cluster:
    """Hosts on several LANs that know each other through the first host of the first LAN."""

    def __init__(self, network: Lab, root: Path, hosts_a_lan: int) -> None:
        self.network = network
        self.model = specification(1)
        self.hosts = [
            Host(root / f"lan{lan}-{number}", f"Lan {lan} node {number}", network, lan)
            for lan in range(network.lans)
            for number in range(hosts_a_lan)
        ]
        self._slugs = 0

    def start(self) -> None:
        """Start all, two at a time: each costs seconds of a core."""
        for host in self.hosts:
            host.init()
            host.environment = {"PYTHONPATH": str(ROOT), **host.environment}
        first = self.hosts[0]
        first.start()
        for pair in zip(self.hosts[1::2], [*self.hosts[2::2], None], strict=False):
            begun = [host for host in pair if host is not None]
            for host in begun:
                host.bootstraps = (first.bootstrap,)
                host.begin(bootstrap=host.bootstraps)
            for host in begun:
                host.wait_ready()

    def stop(self) -> None:
        """End all that run."""
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.process.send_signal(signal.SIGCONT)
                host.kill()

    def on(self, lan: int) -> list[Host]:
        """Return the hosts of a LAN."""
        return [host for host in self.hosts if host.lan == lan]

    def publish(self, *hosts: Host) -> None:
        """Have hosts publish one learnware each."""
        for host in hosts:
            self._slugs += 1
            host.publish_one(self.model, f"model-{self._slugs}")

    def agree(self, seconds: float = HEAL_SECONDS_MAX) -> float:
        """Wait until all live hosts have one digest and every card; return how long it took."""
        live = [host for host in self.hosts if host.alive]
        began = time.monotonic()
        while True:
            states = [host.status() for host in live]
            sure = sum(len(host.acknowledged) for host in self.hosts)
            unsure = sum(len(host.unsure) for host in self.hosts)
            if len({state.digest for state in states}) == 1 and all(
                sure <= state.cards <= sure + unsure for state in states
            ):
                break
            took = time.monotonic() - began
            shown = [
                f"{h.name}: {s.cards} {s.digest[:6]} {s.peers_connected}"
                for h, s in zip(live, states, strict=True)
            ]
            assert took < seconds, f"no agreement in {seconds:g} s on {sure}: {shown}"
            time.sleep(0.25)
        self._check_history(live)
        return time.monotonic() - began

    def _check_history(self, live: list[Host]) -> None:
        """Check that nothing acknowledged is lost, at the owners and as others see them."""
        for host in live:
            own = {card.slug for card in host.learnwares().learnwares}
            assert host.acknowledged <= own, (host.name, host.acknowledged - own)
            assert own <= host.acknowledged | host.unsure, (host.name, own)
            assert not own & host.withdrawn
            assert "Traceback" not in host.said(), host.said()[-4000:]
            assert "two heads with one number" not in host.said()


@contextmanager
def cluster(root: Path, *, lans: int, hosts_a_lan: int) -> Iterator[Cluster]:
    """Give a cluster that has agreed, and end it."""
    with ExitStack() as stack:
        network = stack.enter_context(lab(lans))
        made = Cluster(network, root, hosts_a_lan)
        stack.callback(made.stop)
        yield made


def keep_copy(host: Host, to: Path) -> None:
    """Copy what a stopped node's folder holds."""
    shutil.copytree(host.folder, to, ignore=shutil.ignore_patterns("lock", "api.json"))


def bring_back(host: Host, copy: Path) -> None:
    """Replace a stopped node's folder by an earlier copy."""
    shutil.rmtree(host.folder)
    shutil.copytree(copy, host.folder)


def fill_disk(folder: Path) -> Path:
    """Write until the file system of a folder is full."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            os.fsync(file.fileno())
    return path
