"""Backups: what comes back is what was there, a restored node goes on above what its peers know, and a bad
file restores nothing."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from pathlib import Path

import pytest

from skerry.errors import ConfigError, StorageError
from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.node.storage.backup import back_up, restore
from skerry.package.blobs import BlobStore
from tests.node.processes import NodeProcess, eventually, nodes, specification
from tests.node.search.market import new_store


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "node")
    initialise(made, "Cleveland")
    new_store(made.root).close()
    BlobStore(made.blobs).put_bytes(b"a package")
    return made


def test_a_restored_folder_holds_the_same(folder: Folder, tmp_path: Path) -> None:
    folder.incarnation.write_text("mark")
    size = back_up(folder, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert size == (tmp_path / "backup").stat().st_size
    again = Folder(tmp_path / "again")
    restore(tmp_path / "backup", again)
    assert again.root.stat().st_mode & 0o777 == 0o700
    for path in (folder.charters, folder.node_key, folder.owner_key, folder.tls_certificate):
        assert (again.root / path.relative_to(folder.root)).read_bytes() == path.read_bytes()
    assert list(BlobStore(again.blobs).roots()) == list(BlobStore(folder.blobs).roots())
    assert not again.incarnation.exists()  # so open invites are void


def test_nothing_is_overwritten(folder: Folder, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "backup")
    with pytest.raises(StorageError) as twice:
        back_up(folder, tmp_path / "backup")
    with pytest.raises(ConfigError) as over:
        restore(tmp_path / "backup", folder)
    assert (twice.value.code, over.value.code) == ("E-STORAGE-BACKUP", "E-CONFIG-EXISTS")


def _with_member(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"no archive at all" * 100,
        _with_member("../outside"),
        _with_member("/absolute"),
        _with_member("keys/other"),
        _with_member("charters", tarfile.SYMTYPE),
        _with_member("blobs/ab/" + "cd" * 32),
        _with_member("charters"),
    ],
)
def test_what_is_no_backup_restores_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "backup").write_bytes(data)
    with pytest.raises(StorageError) as caught:
        restore(tmp_path / "backup", Folder(tmp_path / "again"))
    assert caught.value.code == "E-STORAGE-BACKUP"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup"]


def test_a_backup_that_is_cut_off_restores_nothing(folder: Folder, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "backup")
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError) as caught:
        restore(tmp_path / "cut", Folder(tmp_path / "again"))
    assert caught.value.code == "E-STORAGE-BACKUP"
    assert not (tmp_path / "again").exists()


def test_the_database_is_copied_as_of_one_moment(folder: Folder, tmp_path: Path) -> None:
    """A transaction that is under way while the backup runs is not in it, and is not disturbed."""
    with sqlite3.connect(folder.database) as writing:
        writing.execute("INSERT INTO store_marks VALUES ('before', '1')")
        writing.commit()
        writing.execute("INSERT INTO store_marks VALUES ('during', '1')")
        back_up(folder, tmp_path / "backup")
        writing.commit()
    writing.close()
    restore(tmp_path / "backup", Folder(tmp_path / "again"))
    with sqlite3.connect(tmp_path / "again" / "store.sqlite") as read:
        names = {row[0] for row in read.execute("SELECT name FROM store_marks")}
    read.close()
    assert "before" in names
    assert "during" not in names


@pytest.mark.processes
@pytest.mark.timeout(90)
def test_a_restored_node_goes_on_above_what_its_peers_know(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        second.start()
        first.start(bootstrap=(second.bootstrap,))
        first.publish("one", specification(1), b"package one")
        made = first.run("backup", str(tmp_path / "backup"))
        assert made.returncode == 0, made.stderr
        assert first.publish("two", specification(2), b"package two").seq == 2
        eventually("the other knows both", lambda: second.status().cards == 2)
        first.kill()

        again = NodeProcess(tmp_path / "again", "Cleveland")
        restored = again.run("restore", str(tmp_path / "backup"))
        assert restored.returncode == 0, restored.stderr
        try:
            again.start(bootstrap=(second.bootstrap,))
            eventually("its own newer head is back", lambda: again.status().seq >= 2)
            receipt = again.publish("three", specification(3), b"package three")
            assert receipt.seq > 2
            assert {card.slug for card in again.learnwares().learnwares} == {"one", "two", "three"}
            eventually("the other follows", lambda: second.status().cards == 3)
            found = again.run("verify", "--json")
            assert "two: package" in found.stdout  # its blobs went with the old disk, and verify says so
            assert found.returncode == 1
        finally:
            again.kill()
