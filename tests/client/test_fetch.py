"""Fetching from an owner over real TLS: what is verified, what is kept, what is asked for again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from skerry.client import downloading
from skerry.client import fetch as fetching
from skerry.client.fetch import fetch
from skerry.client.limits import (
    FETCH_CONNECTIONS_MAX,
    FETCH_LEAVES_PER_REQUEST_MIN,
    FETCH_REQUESTS_PER_CONNECTION,
)
from skerry.errors import NotFound, TransportError, Unavailable
from skerry.package.blobs import BlobStore
from skerry.package.hashtree import HashTree
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.errors import RemoteProtocolError
from tests.client.owner_node import Behaviour, make_certificate, serving

BLOB = random.Random(5).randbytes(20 * LEAF_BYTES + 12_345)
TREE = HashTree.of(BLOB)
NAME = TREE.root.hex()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FETCH_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(downloading, "FETCH_RETRY_SECONDS", 0.01)


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, LEAF_BYTES + 1, len(BLOB)])
def test_a_blob_of_any_size_arrives_whole(tmp_path: Path, size: int) -> None:
    blob = BLOB[:size]
    tree = HashTree.of(blob)
    cache = BlobStore(tmp_path / "cache")
    reports: list[tuple[int, int]] = []
    behaviour = Behaviour({tree.root.hex(): blob})
    with serving(tmp_path / "owner", behaviour) as source:
        path = fetch(cache, tree.root, size, [source], lambda have, total: reports.append((have, total)))
        assert path.read_bytes() == blob
        asked = len(behaviour.requests)
        assert fetch(cache, tree.root, size, [source]).read_bytes() == blob
    assert len(behaviour.requests) == asked, "what is in the cache is not fetched again"
    assert reports[-1] == (size, size)
    assert reports == sorted(reports)


def test_a_wrong_leaf_is_refused_and_the_right_ones_are_kept(tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    liar, honest = Behaviour({NAME: BLOB}, wrong_leaves={17}), Behaviour({NAME: BLOB})
    with serving(tmp_path / "liar", liar) as source:
        with pytest.raises(RemoteProtocolError, match="leaf 17") as caught:
            fetch(cache, TREE.root, TREE.size, [source])
        assert caught.value.code == "E-PROTOCOL-HASH-WRONG"
        assert caught.value.where == source.addresses[0]
    assert not cache.exists(TREE.root)
    assert len([path for path, _ in liar.requests if path.endswith("/leaves")]) == 1, "a liar is asked once"
    with serving(tmp_path / "honest", honest) as source:
        assert fetch(cache, TREE.root, TREE.size, [source]).read_bytes() == BLOB
    assert 1 <= honest.leaves_sent() < len(TREE.leaves)


def test_the_next_source_helps_out_when_one_lies(tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    liar, honest = Behaviour({NAME: BLOB}, wrong_leaf_list=True), Behaviour({NAME: BLOB})
    with serving(tmp_path / "liar", liar) as first, serving(tmp_path / "honest", honest) as second:
        assert fetch(cache, TREE.root, TREE.size, [first, second]).read_bytes() == BLOB
    assert liar.leaves_sent() == 0


def test_a_corrupt_mirror_costs_two_leaves_and_is_dropped(tmp_path: Path) -> None:
    """The honest source alone would do; the corrupt one is found out, and all it took is asked for again."""
    cache = BlobStore(tmp_path / "cache")
    liar = Behaviour({NAME: BLOB}, wrong_leaves=set(range(len(TREE.leaves))))
    honest = Behaviour({NAME: BLOB}, seconds_per_leaf=0.01)
    with serving(tmp_path / "liar", liar) as first, serving(tmp_path / "honest", honest) as second:
        assert fetch(cache, TREE.root, TREE.size, [first, second]).read_bytes() == BLOB
    asked = [span for _, span in liar.requests if span]
    assert 1 <= len(asked) <= FETCH_CONNECTIONS_MAX, "it is asked no more once it is dropped"
    assert honest.leaves_sent() == len(TREE.leaves), "only what was not verified is asked for again"


def test_sources_share_the_work(tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    slow = [Behaviour({NAME: BLOB}, seconds_per_leaf=0.02) for _ in range(2)]
    with serving(tmp_path / "owner", slow[0]) as owner, serving(tmp_path / "mirror", slow[1]) as mirror:
        sources = [msgspec.structs.replace(owner, node_key="11" * 32), mirror]
        assert fetch(cache, TREE.root, TREE.size, sources).read_bytes() == BLOB
    sent = [behaviour.leaves_sent() for behaviour in slow]
    assert sum(sent) == len(TREE.leaves)
    assert min(sent) > 0


def test_many_leaves_are_asked_for_in_longer_ranges(tmp_path: Path) -> None:
    requests = FETCH_CONNECTIONS_MAX * FETCH_REQUESTS_PER_CONNECTION
    blob = bytes((FETCH_LEAVES_PER_REQUEST_MIN + 2) * requests * LEAF_BYTES)
    tree = HashTree.of(blob)
    behaviour = Behaviour({tree.root.hex(): blob})
    with serving(tmp_path / "owner", behaviour) as source:
        path = fetch(BlobStore(tmp_path / "cache"), tree.root, tree.size, [source])
    assert path.read_bytes() == blob
    assert len([span for _, span in behaviour.requests if span]) == requests


def test_a_limit_is_kept(tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    with serving(tmp_path / "owner", Behaviour({NAME: BLOB})) as source:
        began = time.monotonic()
        fetch(cache, TREE.root, TREE.size, [source], bytes_per_second=10 * len(BLOB))
        assert time.monotonic() - began > 0.08


def test_another_certificate_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    behaviour = Behaviour({NAME: BLOB})
    with serving(tmp_path / "owner", behaviour) as source:
        other = msgspec.structs.replace(source, certificate=make_certificate(tmp_path / "other"))
        with pytest.raises(TransportError) as caught:
            fetch(BlobStore(tmp_path / "cache"), TREE.root, TREE.size, [other])
    assert caught.value.code == "E-FETCH-PIN"
    assert behaviour.requests == []


def test_a_line_that_keeps_breaking_costs_only_what_was_under_way(tmp_path: Path) -> None:
    behaviour = Behaviour({NAME: BLOB}, break_after_bytes=2 * LEAF_BYTES + 100)
    cache = BlobStore(tmp_path / "cache")
    with serving(tmp_path / "owner", behaviour) as source:
        assert fetch(cache, TREE.root, TREE.size, [source]).read_bytes() == BLOB


def test_a_line_on_which_nothing_arrives_is_given_up_and_taken_up_later(tmp_path: Path) -> None:
    behaviour = Behaviour({NAME: BLOB}, wrong_leaves=set(), break_after_bytes=100)
    cache = BlobStore(tmp_path / "cache")
    with serving(tmp_path / "owner", behaviour) as source:
        with pytest.raises(Unavailable) as caught:
            fetch(cache, TREE.root, TREE.size, [source])
        assert source.addresses[0] in caught.value.why
        behaviour.break_after_bytes = None
        behaviour.requests.clear()
        assert fetch(cache, TREE.root, TREE.size, [source]).read_bytes() == BLOB
        assert not any(path.endswith("/leaves") for path, _ in behaviour.requests), "the leaf list is kept"


def test_a_withdrawn_blob_and_a_silent_owner_are_told_apart(tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    with serving(tmp_path / "owner", Behaviour({})) as source, pytest.raises(NotFound) as gone:
        fetch(cache, TREE.root, TREE.size, [source])
    assert gone.value.code == "E-FETCH-GONE"
    with pytest.raises(Unavailable) as silent:
        fetch(cache, TREE.root, TREE.size, [source])
    assert silent.value.code == "E-FETCH-SOURCES"
    assert source.addresses[0] in silent.value.why
    with pytest.raises(Unavailable, match="no address"):
        fetch(cache, TREE.root, TREE.size, [])


FETCHER = """
import sys, msgspec
from pathlib import Path
from skerry.client.fetch import fetch
from skerry.package.blobs import BlobStore
from skerry.protocol.api import Source
source = msgspec.json.decode(sys.argv[4], type=Source)
fetch(BlobStore(Path(sys.argv[1])), bytes.fromhex(sys.argv[2]), int(sys.argv[3]), [source])
"""


@pytest.mark.processes
# The killed process leaves half-open sockets in the server of this test; the standard library complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(20))
def test_kill_at_any_point_loses_no_verified_leaf(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    behaviour = Behaviour({NAME: BLOB}, seconds_per_leaf=0.05)
    folder = tmp_path / "cache"
    with serving(tmp_path / "owner", behaviour) as source:
        command = [sys.executable, "-c", FETCHER, str(folder), NAME, str(TREE.size)]
        process = subprocess.Popen([*command, msgspec.json.encode(source)], env=dict(os.environ))
        while not behaviour.requests and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        cache = BlobStore(folder)
        if not cache.exists(TREE.root):
            missing = len(cache.partial(TREE.root, TREE.size, TREE.leaves).missing())
            behaviour.requests.clear()
            behaviour.seconds_per_leaf = 0.0
            fetch(cache, TREE.root, TREE.size, [source])
            assert behaviour.leaves_sent() == missing, "only what is missing is asked for"
        assert cache.path(TREE.root).read_bytes() == BLOB
    assert BlobStore(folder).verify() == []
