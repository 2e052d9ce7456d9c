"""Nodes behind nginx: an HTTPS reverse proxy, TLS passthrough, and one that reads along."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from skerry.client.fetch import fetch
from skerry.client.owner import connect
from skerry.errors import TransportError
from skerry.package.blobs import BlobStore
from skerry.protocol.api import DialRequest, Source
from tests.client.cli.running import skerry
from tests.node.network.front_server import PASSTHROUGH, REVERSE_PROXY, Authority, free_port, nginx
from tests.node.processes import HttpError, NodeProcess, eventually, nodes, rkme, specification

pytestmark = [
    pytest.mark.server,
    pytest.mark.processes,
    pytest.mark.timeout(90),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]


def _refusal(node: NodeProcess, bootstrap: str) -> tuple[str, str]:
    with pytest.raises(HttpError) as caught:
        node.request("POST", "/peers", msgspec.json.encode(DialRequest(bootstrap)))
    return caught.value.problem["code"], caught.value.problem["why"]


def test_a_node_behind_an_https_reverse_proxy_is_known_by_its_host_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("localhost", "127.0.0.1")
    front, back = free_port(), free_port()
    block = REVERSE_PROXY.format(
        listen=f"127.0.0.1:{front}", certificate=certificate, key=key, upstream=f"http://127.0.0.1:{back}"
    )
    with (
        nodes(tmp_path, "Behind", "Peer", "Doubter") as (behind, peer, doubter),
        nginx(tmp_path / "nginx", front, http=block),
    ):
        behind.environment = {
            "SKERRY_NODE__HOST": "localhost",
            "SKERRY_NODE__ADVERTISE": f"localhost:{front}",
        }
        behind.start(options=("--listen", f"127.0.0.1:{back}"))
        assert behind.bootstrap == f"localhost:{front}#web"
        peer.environment = {"SSL_CERT_FILE": str(authority.certificate)}
        peer.start(bootstrap=(behind.bootstrap,))
        receipt = behind.publish("ward", specification(1), b"package" * 100_000)
        eventually("told", lambda: peer.status().cards == 1)
        (hit,) = peer.search(requirement=rkme(2).to_bytes()).hits
        assert hit.mmd2 is not None  # its specification came through the proxy
        (source,) = hit.sources
        assert (source.mode, source.host, source.certificate) == ("web", "localhost", "")

        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        root = bytes.fromhex(receipt.card.package)
        fetched = fetch(BlobStore(tmp_path / "cache"), root, receipt.card.package_bytes, [source])
        assert fetched.read_bytes() == b"package" * 100_000

        # The same proxy and a certificate that holds, under another name: bound to the name.
        code, why = _refusal(peer, f"127.0.0.1:{front}#web")
        assert (code, "BINDING-WRONG" in why) == ("E-UNAVAILABLE-DIAL", True), why
        doubter.environment = {"SSL_CERT_FILE": os.devnull}  # believes no authority
        doubter.start()
        code, why = _refusal(doubter, behind.bootstrap)
        assert (code, "not vouched for" in why) == ("E-UNAVAILABLE-DIAL", True), why
        assert any("not vouched for" in trouble for trouble in doubter.status().troubles)


def test_the_plain_port_is_for_the_proxy_alone(tmp_path: Path) -> None:
    port = free_port()
    with nodes(tmp_path, "Behind") as (behind,):
        behind.environment = {
            "SKERRY_NODE__HOST": "models.example",
            "SKERRY_NODE__PROXIED_FROM": "192.0.2.0/24",
        }
        behind.start(options=("--listen", f"127.0.0.1:{port}"))
        assert behind.bootstrap == "models.example:443#web"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/blob/{'00' * 32}", timeout=10)
        assert caught.value.code == 403
        assert b"E-REFUSED-DIRECT" in caught.value.read()
        caught.value.close()


def test_tls_passthrough_needs_nothing_but_the_advertised_address(tmp_path: Path) -> None:
    front, back = free_port(), free_port()
    block = PASSTHROUGH.format(listen=f"127.0.0.1:{front}", upstream=f"127.0.0.1:{back}")
    with (
        nodes(tmp_path, "Behind", "Peer") as (behind, peer),
        nginx(tmp_path / "nginx", front, stream=block),
    ):
        behind.environment = {"SKERRY_NODE__ADVERTISE": f"127.0.0.1:{front}"}
        behind.start(options=("--listen", f"127.0.0.1:{back}"))
        peer.start(bootstrap=(behind.bootstrap,))
        behind.publish("ward", specification(1), b"package")
        eventually("told", lambda: peer.status().cards == 1)
        (hit,) = peer.search(requirement=rkme(2).to_bytes()).hits
        assert hit.mmd2 is not None
        assert (hit.sources[0].mode, hit.sources[0].addresses) == ("pinned", [f"127.0.0.1:{front}"])


def test_a_middlebox_that_reads_along_is_named_and_told_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority", "Example Corp Inspection")
    certificate, key = authority.issue("localhost", "127.0.0.1")
    front, back = free_port(), free_port()
    block = REVERSE_PROXY.format(
        listen=f"127.0.0.1:{front}", certificate=certificate, key=key, upstream=f"https://127.0.0.1:{back}"
    )
    with (
        nodes(tmp_path, "Watched", "Peer") as (watched, peer),
        nginx(tmp_path / "nginx", front, http=block),
    ):
        watched.environment = {"SKERRY_NODE__ADVERTISE": f"127.0.0.1:{front}"}
        watched.start(options=("--listen", f"127.0.0.1:{back}"))
        peer.environment = {"SSL_CERT_FILE": str(authority.certificate)}  # as a managed machine would
        peer.start()
        code, why = _refusal(peer, watched.bootstrap)
        assert code == "E-UNAVAILABLE-INSPECTED"
        assert "'CN=Example Corp Inspection'" in why
        assert [trouble for trouble in peer.status().troubles if "TLS inspection" in trouble]
        found = json.loads(skerry("doctor", "--json", "--folder", str(peer.folder)).stdout)["findings"]
        (finding,) = [one for one in found if one["check"] == "TLS inspection"]
        assert "Example Corp Inspection" in finding["found"]
        assert "exempted" in finding["todo"]
        assert "connected" not in watched.said()
        pin = watched.bootstrap.partition("#")[2]
        with pytest.raises(TransportError) as caught:
            connect(Source("00" * 32, [], "pinned", pin), f"127.0.0.1:{front}").request("GET", "/")
        assert caught.value.code == "E-FETCH-INSPECTED"
        # Another node at the address is another matter, and said so.
        other = peer.bootstrap.partition("#")[2]
        code, why = _refusal(peer, f"127.0.0.1:{back}#{other}")
        assert (code, "another certificate" in why) == ("E-UNAVAILABLE-DIAL", True)
