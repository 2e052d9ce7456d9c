"""A power cut takes what was never synced, and no promise: what a node said, it still knows afterwards.

The daemon runs with a library that keeps a second copy of each file as of its last sync (``durable.c``). At
any
moment that copy is what a disk without a working cache battery would hold. The cut is: ``kill -9``, and the
folder's database replaced by that copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.node.storage.store import Store
from tests.node.processes import NodeProcess, eventually, nodes, specification

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(90),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built library that keeps the second copy."""
    built = tmp_path_factory.mktemp("durable") / "durable.so"
    source = Path(__file__).with_name("durable.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True, timeout=60)
    return built


class Disk:
    """A node's folder, and what of it would survive a power cut."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.durable = folder.with_suffix(".durable")
        self.durable.mkdir()
        self.environment = {
            "LD_PRELOAD": str(library),
            "DURABLE_FROM": str(folder),
            "DURABLE_TO": str(self.durable),
        }

    def cut_power(self) -> None:
        """Leave the database as the disk holds it."""
        for path in self.folder.glob("store.sqlite*"):
            path.unlink()
        self._copy(self.folder)

    def count(self, query: str) -> int:
        """Ask the durable copy, without touching it."""
        asked = self.folder.with_suffix(".asked")
        shutil.rmtree(asked, ignore_errors=True)
        asked.mkdir()
        self._copy(asked)
        connection = sqlite3.connect(asked / "store.sqlite")
        try:
            return int(connection.execute(query).fetchone()[0] or 0)
        finally:
            connection.close()

    def _copy(self, to: Path) -> None:
        """The journal is left out: it was removed before the WAL began."""
        for name in ("store.sqlite", "store.sqlite-wal"):
            shutil.copy(self.durable / name, to / name)


@pytest.fixture
def pair(tmp_path: Path, library: Path) -> Iterator[tuple[NodeProcess, NodeProcess, Disk]]:
    with nodes(tmp_path, "Cleveland", "Hungary") as (node, other):
        disk = Disk(node.folder, library)
        node.environment.update(disk.environment)
        node.start()
        other.start(bootstrap=(node.bootstrap,))
        eventually("connected", lambda: node.status().peers_connected == 1)
        yield node, other, disk


def test_no_power_cut_makes_a_node_sign_one_number_twice(
    pair: tuple[NodeProcess, NodeProcess, Disk],
) -> None:
    node, other, disk = pair
    for number in range(2):
        receipt = node.publish(f"ward-{number}", specification(number), b"package")
        eventually("told", lambda seq=receipt.seq: other.status().cards == seq)  # type: ignore[misc]
        address = node.bootstrap.partition("#")[0]
        node.kill()
        disk.cut_power()
        # Nobody can be asked at this moment: only the disk keeps the node from signing a number again.
        other.stop()
        node.start(options=("--listen", address))
        assert node.status().seq >= receipt.seq
        assert len(node.learnwares().learnwares) == number + 1
        other.start(bootstrap=(node.bootstrap,))
        eventually("connected", lambda: node.status().peers_connected == 1)
    eventually("one digest", lambda: node.status().digest == other.status().digest)
    assert "two heads with one number" not in other.said() + node.said()


def test_what_others_signed_may_be_lost_and_comes_back(pair: tuple[NodeProcess, NodeProcess, Disk]) -> None:
    """The control: the cut does drop what was not synced, so the test above could fail."""
    node, other, disk = pair
    other.publish("ward", specification(1), b"package")
    eventually("told", lambda: node.status().cards == 1)
    assert disk.count("SELECT count(*) FROM cards") == 0
    address = node.bootstrap.partition("#")[0]
    node.kill()
    disk.cut_power()
    node.start(options=("--listen", address), bootstrap=(other.bootstrap,))
    eventually("it is back", lambda: node.status().cards == 1)


def test_own_rosters_and_admissions_are_synced_and_those_of_others_wait(
    tmp_path: Path, library: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    disk = Disk(folder, library)
    code = (
        "import sys; from pathlib import Path; from skerry.node.storage.store import Store;"
        "from skerry.protocol.effects import PutRecord\n"
        "store = Store(Path(sys.argv[1]) / 'store.sqlite')\n"
        "put = lambda name, own: store.write_now([PutRecord(b's' * 32, name * 32, b'envelope', own)])\n"
        "put(b'a', True); put(b'b', False); __import__('os')._exit(0)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, **disk.environment},
        check=True,
        timeout=60,
    )
    assert disk.count("SELECT count(*) FROM records") == 1
    disk.cut_power()
    store = Store(folder / "store.sqlite")
    try:
        assert set(store.read().records) == {(b"s" * 32, b"a" * 32)}
    finally:
        store.close()
