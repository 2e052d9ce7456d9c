"""Two nodes on one bridge find each other without being told, and only when both were asked to look."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Host
from tests.faults.lab import Lab, lab, reason_to_skip
from tests.node.processes import eventually, specification
from tests.tree import ROOT

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.processes,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()),
]


@pytest.fixture
def network() -> Iterator[Lab]:
    with lab(1) as made:
        yield made


def test_nodes_on_one_lan_find_each_other_when_asked(network: Lab, tmp_path: Path) -> None:
    first, second, quiet = hosts = [
        Host(tmp_path / name, name, network, 0) for name in ("first", "second", "quiet")
    ]
    try:
        for host in hosts:
            host.init()
            host.environment["PYTHONPATH"] = str(ROOT)
        first.start(options=("--lan",))
        quiet.start()
        first.publish("ward", specification(1), b"package")
        second.start(options=("--lan",))
        eventually("they met", lambda: second.status().cards == 1, 20)
        assert "found a node on the LAN" in second.said() + first.said()
        assert [peer.owner_name for peer in second.peers().peers] == ["first"]
        # Nobody told anything that is not for the LAN: the one that was not asked to look met nobody.
        assert quiet.status().peers_known == 0
        mapped = Path(f"/proc/{quiet.process.pid}/maps").read_text() if quiet.process else ""
        assert "/zeroconf/" not in mapped
        assert second.stop() == 0
        eventually("it is gone", lambda: first.status().peers_connected == 0)
    finally:
        for host in hosts:
            host.kill()


def test_what_the_lan_says_is_looked_at_before_it_is_used() -> None:
    from zeroconf.asyncio import AsyncServiceInfo

    from skerry.node.limits import LAN_NODES_MAX
    from skerry.node.network.lan import SERVICE, Neighbours

    told: list[tuple[str, ...]] = []
    own = b"\1" * 32
    neighbours = Neighbours("skerry", own, told.append)

    def seen(
        name: str, *, network: str = "skerry", certificate: str = "ab" * 32, ip: str = "10.0.0.7"
    ) -> None:
        info = AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=7740,
            parsed_addresses=[ip],
            properties={"network": network, "certificate": certificate},
        )
        neighbours.seen(name, info)

    seen("other", network="elsewhere")
    seen("self", certificate=own.hex())
    seen("nonsense", certificate="x" * 64)
    seen("web", certificate="web")
    seen("loop", ip="127.0.0.1")
    assert told == []
    seen("good")
    assert told == [("10.0.0.7:7740#" + "ab" * 32,)]
    seen("good")
    assert len(told) == 1
    for number in range(2 * LAN_NODES_MAX):
        seen(f"many-{number}", ip=f"10.0.1.{number}")
    assert len(told[-1]) == LAN_NODES_MAX
    neighbours.gone("good")
    assert len(told[-1]) == LAN_NODES_MAX - 1


def test_a_node_goes_out_through_the_proxy_that_https_proxy_names(network: Lab, tmp_path: Path) -> None:
    """The inner host has no way to the outer one but a proxy (tinyproxy) on a third."""
    import shutil

    if shutil.which("tinyproxy") is None:
        pytest.skip("tinyproxy is not installed")
    inner, outer = (Host(tmp_path / name, name, network, 0) for name in ("inner", "outer"))
    gate, gate_address = network.host(0)
    for blocked, target in ((inner, outer), (outer, inner)):
        subprocess.run(
            f"ip -n {blocked.namespace} route add blackhole {target.address}/32".split(), check=True
        )
    configuration = tmp_path / "tinyproxy.conf"
    configuration.write_text(
        f"Port 3128\nListen {gate_address}\nTimeout 60\nMaxClients 50\nConnectPort 7740\nLogLevel Info\n"
    )
    log = tmp_path / "tinyproxy.log"
    with log.open("wb") as output:
        proxy = subprocess.Popen(
            ["ip", "netns", "exec", gate, "tinyproxy", "-d", "-c", str(configuration)],
            stdout=output,
            stderr=output,
        )
    try:
        for host in (inner, outer):
            host.init()
            host.environment = {"PYTHONPATH": str(ROOT)}
        outer.start()
        outer.publish("ward", specification(1), b"package")
        inner.environment["HTTPS_PROXY"] = f"http://{gate_address}:3128"
        inner.environment["SKERRY_NODE__DIALABLE"] = "false"
        inner.start(bootstrap=(outer.bootstrap,))
        eventually("told through the proxy", lambda: inner.status().cards == 1, 20)
        blob = outer.learnwares().learnwares[0].specification
        assert inner.request("GET", f"/specifications/{blob}")  # fetched through it as well
        assert f"CONNECT {outer.address}:7740" in log.read_text()
        wrong = f"{outer.address}:7740#{'ab' * 32}"
        inner.stop()
        inner.start(bootstrap=(wrong,))
        eventually(
            "the pin counts behind a proxy, too",
            lambda: any("another certificate" in trouble for trouble in inner.status().troubles),
        )
        time.sleep(0.1)
    finally:
        proxy.terminate()
        proxy.wait(10)
        for host in (inner, outer):
            host.kill()
