"""A peer that proved who it is and then sends what it must not: named, survived, and nothing of it kept."""

from __future__ import annotations

import http.client
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.node.network.tls import client_context
from skerry.package.blobs import BlobStore
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.messages import MESSAGE, News
from tests.node.network.siege import API_MEDIAN_MS_MAX, RESIDENT_MB_MAX, besiege
from tests.node.network.stranger import Stranger
from tests.node.processes import NodeProcess, eventually, nodes, specification

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        yield node
        assert node.process is not None
        assert node.process.poll() is None, node.said()
        assert "Traceback" not in node.said()


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_genuine_news_is_taken(node: NodeProcess, tmp_path: Path) -> None:
    """The control: what the tests below spoil would have been accepted."""
    stranger = Stranger(tmp_path / "stranger")
    stranger.say(node.bootstrap, MESSAGE.encode(stranger.news("model")))
    eventually("the card is shown", lambda: node.status().cards == 1)


@pytest.mark.parametrize("seed", [7])
def test_one_flipped_byte_in_news_is_refused_and_nothing_kept(
    node: NodeProcess, tmp_path: Path, seed: int
) -> None:
    stranger = Stranger(tmp_path / "stranger")
    envelope = stranger.news("model").envelope
    rng = random.Random(seed)
    signature = range(len(envelope) - 64, len(envelope))
    for at in [*rng.sample(range(len(envelope)), 4), *rng.sample(signature, 2)]:
        news = stranger.news("model")
        spoilt = News(_flip(news.envelope, at), news.since, news.cards, news.removed)
        stranger.say(node.bootstrap, MESSAGE.encode(spoilt))
    eventually("it is named", lambda: node.said().count("violation=signature-invalid") >= 2)
    card = stranger.news("model").cards[0]
    for at in sorted(rng.sample(range(len(card)), 2)):
        news = stranger.news("model")
        stranger.say(node.bootstrap, MESSAGE.encode(News(news.envelope, 0, (_flip(card, at),), ())))
    assert node.status().cards == 0
    assert node.search(text="stranger").hits == []


def test_garbage_frames_are_named_and_survived(node: NodeProcess, tmp_path: Path) -> None:
    stranger = Stranger(tmp_path / "stranger")
    frames = [os.urandom(size) for size in (1, 10, 1000, FRAME_BYTES_MAX)]
    stranger.say(node.bootstrap, *frames)
    eventually("it is named", lambda: "violation=malformed" in node.said())
    stranger.say(node.bootstrap, bytes(FRAME_BYTES_MAX + 2))
    eventually("the oversized frame ends the connection", lambda: node.status().peers_connected == 0)
    assert node.status().cards == 0


def test_a_spoilt_proof_is_refused_by_name(node: NodeProcess, tmp_path: Path) -> None:
    stranger = Stranger(tmp_path / "stranger")
    stranger.say(node.bootstrap, spoil=lambda proof: _flip(proof, len(proof) - 1))
    stranger.say(node.bootstrap, spoil=lambda proof: proof[:-1])
    eventually("the first is named", lambda: "violation=signature-invalid" in node.said())
    eventually("the second is named", lambda: "violation=malformed" in node.said())
    assert node.said().count("handshake refused") == 2
    assert node.status().peers_known == 0


def test_what_is_no_proof_is_refused_every_time(node: NodeProcess, tmp_path: Path) -> None:
    tricks = ("wrong_certificate", "stolen_record", "replay", "versions", "ranges")
    siege = besiege(node, tmp_path, dict.fromkeys(tricks, 8))
    assert siege.outcomes == {name: {"tried": 8, "refused": 8} for name in tricks}
    assert node.status().cards == 0


def test_the_local_api_answers_while_the_node_is_under_siege(node: NodeProcess, tmp_path: Path) -> None:
    """All floods at once, smaller than those of ``bench.node --only hostile``."""
    floods = {"malformed": 1_000, "half_open": 300, "flood": 480, "giants": 20}
    siege = besiege(node, tmp_path, floods)
    print(siege)
    assert siege.outcomes["malformed"]["frames"] == 1_000
    assert siege.api_median_ms < API_MEDIAN_MS_MAX
    assert siege.resident_mb_max < RESIDENT_MB_MAX
    node.publish("ward", specification(1), b"package")  # and goes on afterwards
    eventually("no connection is left over", lambda: node.status().peers_connected == 0)


def test_a_link_in_the_place_of_a_blob_leads_nowhere(node: NodeProcess, tmp_path: Path) -> None:
    receipt = node.publish("ward", specification(1), b"package" * 1000)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret " * 1000)
    path = BlobStore(node.folder / "blobs").path(bytes.fromhex(receipt.card.package))
    path.unlink()
    path.symlink_to(secret)
    connection = http.client.HTTPSConnection(
        node.bootstrap.partition("#")[0], context=client_context(), timeout=10
    )
    for name in (f"/blob/{receipt.card.package}", f"/blob/{receipt.card.package}/leaves"):
        connection.request("GET", name)
        response = connection.getresponse()
        assert (response.status, b"secret" in response.read()) == (404, False)
    connection.close()
