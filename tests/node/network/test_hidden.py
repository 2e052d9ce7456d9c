"""Nodes that cannot be dialled: found like any other, served over their own connections, relayed."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.client.fetch import fetch
from skerry.errors import SkerryError
from skerry.node.network.tls import client_context
from skerry.package.blobs import BlobStore
from skerry.protocol.api import PublishReceipt, Source
from tests.node.processes import NodeProcess, eventually, nodes, rkme, specification

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]

PACKAGE = bytes(range(256)) * 4000
HIDDEN = {"SKERRY_NODE__DIALABLE": "false"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[NodeProcess], PublishReceipt]]:
    """Give all tests in turn a public node, a hidden owner, a hidden searcher, and what was published."""
    with nodes(tmp_path_factory.mktemp("hidden"), "Public", "Owner", "Searcher") as made:
        public, owner, searcher = made
        public.start()
        for node in (owner, searcher):
            node.environment = HIDDEN
            node.begin(bootstrap=(public.bootstrap,))
        for node in (owner, searcher):
            node.wait_ready()
        receipt = owner.publish("ward", specification(1), PACKAGE)
        eventually("told", lambda: searcher.status().cards == 1 and public.status().cards == 1)
        yield made, receipt


def _get(address: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(address, context=client_context(), timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _sources(node: NodeProcess) -> list[Source]:
    (hit,) = node.search(requirement=rkme(2).to_bytes()).hits
    assert hit.mmd2 is not None  # the specification came
    return hit.sources


def test_what_a_hidden_node_publishes_is_fetched_over_its_own_connections(
    network: tuple[list[NodeProcess], PublishReceipt], tmp_path: Path
) -> None:
    (public, owner, searcher), receipt = network
    assert owner.bootstrap == ""
    assert [peer.addresses for peer in public.peers().peers] == [[], []]
    root, size = bytes.fromhex(receipt.card.package), receipt.card.package_bytes

    # Connected to the owner: this machine's own node asks it over that connection.
    sources = _sources(public)
    assert sources[0].prefix == f"/relay/{owner.status().node_key}"
    assert fetch(BlobStore(tmp_path / "a"), root, size, sources[:1]).read_bytes() == PACKAGE

    # Neither can dial the other: the peer that the owner names relays.
    found = {"requirement": rkme(2).to_bytes()}
    eventually(
        "the owner's record names the relay",
        lambda: [len(hit.sources) for hit in searcher.search(**found).hits] == [2],
    )
    here, relay = _sources(searcher)
    assert [here.addresses, relay.addresses] != [here.addresses, here.addresses]
    assert fetch(BlobStore(tmp_path / "b"), root, size, [relay]).read_bytes() == PACKAGE
    assert fetch(BlobStore(tmp_path / "c"), root, size, [here, relay]).read_bytes() == PACKAGE


def test_only_what_a_hidden_nodes_live_cards_name_is_relayed(
    network: tuple[list[NodeProcess], PublishReceipt],
) -> None:
    (public, owner, _), receipt = network
    address = public.bootstrap.partition("#")[0]
    key, root = owner.status().node_key, receipt.card.package
    status, body = _get(address, f"/relay/{key}/blob/{root}")
    assert (status, body) == (200, PACKAGE)
    assert _get(address, f"/relay/{key}/blob/{'00' * 32}")[0] == 404
    assert _get(address, f"/relay/{'00' * 32}/blob/{root}")[0] == 404
    assert _get(address, f"/relay/{public.status().node_key}/blob/{root}")[0] == 404
    unpublished = owner.upload(b"not published").root
    assert _get(address, f"/relay/{key}/blob/{unpublished}")[0] == 404


def test_a_relay_sends_on_no_leaf_that_is_not_the_named_one(
    network: tuple[list[NodeProcess], PublishReceipt], tmp_path: Path
) -> None:
    (public, owner, _), receipt = network
    sources = _sources(public)
    root, size = bytes.fromhex(receipt.card.package), receipt.card.package_bytes
    path = BlobStore(owner.folder / "blobs").path(root)
    path.chmod(0o600)
    spoilt = bytearray(path.read_bytes())
    spoilt[300_000] ^= 1  # in the second leaf
    path.write_bytes(spoilt)
    address = public.bootstrap.partition("#")[0]
    with pytest.raises(http.client.IncompleteRead) as caught:
        _get(address, f"/relay/{owner.status().node_key}/blob/{receipt.card.package}")
    assert PACKAGE.startswith(caught.value.partial)
    assert len(caught.value.partial) <= 262_144
    with pytest.raises(SkerryError):
        fetch(BlobStore(tmp_path / "cache"), root, size, sources)
    assert public.process is not None
    assert public.process.poll() is None


def test_what_was_withdrawn_is_relayed_no_more(network: tuple[list[NodeProcess], PublishReceipt]) -> None:
    (public, owner, _), receipt = network
    address, key = public.bootstrap.partition("#")[0], owner.status().node_key
    owner.withdraw("ward")
    eventually("gone", lambda: public.status().cards == 0)
    assert _get(address, f"/relay/{key}/blob/{receipt.card.package}")[0] == 404
