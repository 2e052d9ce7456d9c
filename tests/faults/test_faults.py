"""A network of real nodes when cables, disks, clocks and processes fail: nothing acknowledged is lost.

``make faults`` runs all scenarios on twelve nodes in three LANs (``SKERRY_FAULTS=full``); otherwise a few
run on four nodes in two. ``SKERRY_FAULTS=full,old_backup`` runs what is named alone. One cluster serves
all: each scenario begins and ends with all nodes agreed. After each, every publication that was
acknowledged must be at every live node, and all digests equal, within 30 s of the heal.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.cluster import PORT, Cluster, Host, bring_back, cluster, fill_disk, keep_copy
from tests.faults.lab import reason_to_skip, small_disk
from tests.faults.launcher import CLOCK, VERSION
from tests.faults.proxy import BadProxy, bad_proxy
from tests.node.processes import eventually

ASKED = os.environ.get("SKERRY_FAULTS", "")
FULL = "full" in ASKED.split(",")
SEED = int(os.environ.get("SKERRY_FAULTS_SEED", "1"))
PROXY_PORT = 7999
A_DAY = 24 * 3600 - 60
"""A day, but for a minute of slack below the tolerance."""
DISK = "24m"

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.processes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()),
]


class World:
    """The cluster, and the hosts with a part of their own."""

    def __init__(self, made: Cluster, stack: ExitStack) -> None:
        self.cluster = made
        self.network = made.network
        hosts = made.hosts
        self.plain, self.proxied, self.filled = hosts[1], hosts[-1], hosts[-2]
        self.filled.folder.mkdir()
        stack.enter_context(small_disk(self.filled.folder, DISK))
        stack.callback(made.stop)
        gateway = f"11.{self.proxied.lan}.0.1"
        self.proxied.environment = {"SKERRY_NODE__ADVERTISE": f"{gateway}:{PROXY_PORT}"}
        self.proxy: BadProxy = stack.enter_context(
            bad_proxy(
                self.network.router(self.proxied.lan),
                (gateway, PROXY_PORT),
                (self.proxied.address, PORT),
                SEED,
            )
        )
        self.plain.environment = {VERSION: "2"}

    def publish_everywhere(self) -> None:
        """Have one host of each LAN publish."""
        for lan in range(self.network.lans):
            self.cluster.publish(self.cluster.on(lan)[0])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    print(f"seed {SEED}")
    root = tmp_path_factory.mktemp("faults")
    lans, hosts = (3, 4) if FULL else (2, 2)
    with cluster(root, lans=lans, hosts_a_lan=hosts) as made, ExitStack() as stack:
        world = World(made, stack)
        made.start()
        world.publish_everywhere()
        made.agree(60)
        yield world


def partition(world: World) -> None:
    """Both sides of a partition publish and withdraw; after the heal both know all of it."""
    last = world.network.lans - 1
    world.network.partition(last)
    world.publish_everywhere()
    away = world.cluster.on(last)[0]
    away.withdraw_one(min(away.acknowledged))
    time.sleep(5)
    assert world.cluster.hosts[0].status().digest != away.status().digest
    world.network.heal(last)


def asymmetric_blackhole(world: World) -> None:
    """What goes from one LAN to another is lost; the answers would come through."""
    world.network.cut_towards(0, 1)
    world.publish_everywhere()
    time.sleep(5)
    world.network.heal(0)


def link_flap(world: World) -> None:
    """A cable with a loose plug."""
    for _ in range(5):
        world.network.link(world.plain.namespace, up=False)
        world.publish_everywhere()
        time.sleep(0.5)
        world.network.link(world.plain.namespace, up=True)
        world.cluster.publish(world.plain)
        time.sleep(0.5)


def bandwidth_cap(world: World) -> None:
    """A line of 256 kbit/s is slow, and no fault of the peer."""
    world.network.limit(world.plain.namespace, "256kbit")
    world.cluster.publish(*[world.plain] * 3)
    world.publish_everywhere()
    world.cluster.agree()
    assert world.plain.status().peers_connected > 0
    world.network.unlimit(world.plain.namespace)


def bad_middlebox(world: World) -> None:
    """A proxy that delays, stalls half-open, resets and flips bytes stands before one host."""
    proxy = world.proxy
    proxy.delay_seconds = 0.1
    world.publish_everywhere()
    proxy.stalled = True
    world.cluster.publish(world.proxied)
    time.sleep(5)
    proxy.stalled, proxy.delay_seconds = False, 0.0
    for _ in range(3):
        proxy.reset_all()
        world.cluster.publish(world.proxied)
        time.sleep(0.5)
    proxy.flip_probability = 0.2
    world.publish_everywhere()
    world.cluster.publish(world.proxied)
    time.sleep(5)
    proxy.flip_probability = 0.0
    proxy.reset_all()


def kill_9(world: World) -> None:
    """A node dies right after it acknowledged, and others publish while it is away."""
    for _ in range(2):
        world.cluster.publish(world.plain)
        world.plain.kill()
        world.publish_everywhere()
        world.plain.restart()


def kill_stop(world: World) -> None:
    """A node that hangs for 20 s keeps its connections open and answers nothing."""
    assert world.plain.process is not None
    world.plain.process.send_signal(signal.SIGSTOP)
    world.publish_everywhere()
    time.sleep(20)
    world.plain.process.send_signal(signal.SIGCONT)
    world.cluster.publish(world.plain)


def full_disk(world: World) -> None:
    """A node whose disk is full acknowledges nothing that it cannot keep."""
    host = world.filled
    ballast = fill_disk(host.folder)
    before = set(host.acknowledged)
    try:
        world.cluster.publish(host)
        world.publish_everywhere()
        time.sleep(2)
    finally:
        ballast.unlink()
    assert host.process is not None
    assert host.process.poll() is None, host.said()[-2000:]
    assert "the disk is full" in host.said()
    assert before <= {card.slug for card in host.learnwares().learnwares}
    world.cluster.publish(host)


def old_backup(world: World) -> None:
    """A node restored from an old copy takes back its own newer head and goes on above it."""
    host = world.plain
    assert host.stop() == 0
    copy = host.folder.with_suffix(".copy")
    keep_copy(host, copy)
    host.restart()
    world.cluster.publish(host, host)
    world.cluster.agree()
    seq = host.status().seq
    host.kill()
    bring_back(host, copy)
    host.restart()
    eventually("it took its newer head back", lambda: host.status().seq >= seq, 30)
    world.cluster.publish(host)
    assert host.status().seq > seq


def mixed_versions(world: World) -> None:
    """One node offers a later protocol version as well; all speak the common one."""
    assert os.environ.get(VERSION) is None
    world.cluster.publish(world.plain)
    world.publish_everywhere()
    assert world.plain.status().peers_connected > 0


def clock_a_day_off(world: World) -> None:
    """A clock a day behind, then another a day ahead: within the tolerance, so nobody is cut off.

    Never both at once: those two would be two days apart, and rightly refuse each other's heads.
    """
    early, late = world.cluster.hosts[0], world.cluster.hosts[2]
    for host, offset in ((late, -A_DAY), (early, A_DAY)):
        assert host.stop() == 0
        host.environment[CLOCK] = str(offset)
        host.restart()
        world.cluster.publish(host)
        world.publish_everywhere()
        world.cluster.agree()
        assert abs(host.status().started - time.time() - offset) < 300
        assert host.status().peers_connected > 0
        assert host.stop() == 0
        del host.environment[CLOCK]
        host.restart()


Scenario = Callable[[World], None]
ALWAYS: tuple[Scenario, ...] = (partition, kill_9)
AT_LENGTH: tuple[Scenario, ...] = (
    mixed_versions,
    asymmetric_blackhole,
    link_flap,
    bandwidth_cap,
    bad_middlebox,
    kill_stop,
    full_disk,
    old_backup,
    clock_a_day_off,
)


def chosen() -> list[Scenario]:
    """Return all scenarios, those that are named (to look at one), or those of every run."""
    named = [one for one in (*ALWAYS, *AT_LENGTH) if one.__name__ in ASKED.split(",")]
    return named or list((*ALWAYS, *AT_LENGTH) if FULL else ALWAYS)


@pytest.mark.parametrize("scenario", chosen(), ids=lambda one: one.__name__)
def test_nothing_acknowledged_is_lost_and_all_agree(world: World, scenario: Scenario) -> None:
    scenario(world)
    print(f"{scenario.__name__}: agreed {world.cluster.agree():.1f} s after the heal")


def test_all_at_once(world: World) -> None:
    """Drawn faults one upon the other; the plan follows from the seed."""
    if not FULL:
        world.publish_everywhere()
        world.cluster.agree()
        return
    rng = random.Random(SEED)
    for _ in range(12):
        lan, host = rng.randrange(world.network.lans), rng.choice(world.cluster.hosts[1:-2])
        match rng.choice(("partition", "flap", "kill", "reset", "publish", "publish")):
            case "partition":
                world.network.partition(lan)
                world.publish_everywhere()
                time.sleep(rng.uniform(0, 3))
                world.network.heal(lan)
            case "flap":
                world.network.link(host.namespace, up=False)
                time.sleep(rng.uniform(0, 2))
                world.network.link(host.namespace, up=True)
            case "kill":
                _kill_and_restart(world, host)
            case "reset":
                world.proxy.reset_all()
            case _:
                world.cluster.publish(host)
    print(f"all at once: agreed {world.cluster.agree():.1f} s after the last")


def _kill_and_restart(world: World, host: Host) -> None:
    world.cluster.publish(host)
    host.kill()
    world.publish_everywhere()
    host.restart()
