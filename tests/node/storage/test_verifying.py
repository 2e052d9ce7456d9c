"""``verify`` finds what is wrong with a disk, names it, and nothing else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from skerry.errors import StorageError
from skerry.node.folder import Folder
from skerry.node.keys import Keyring, initialise
from skerry.node.search.sketches import Change, Sketches
from skerry.node.storage.verifying import verify
from skerry.package.blobs import BlobStore
from skerry.protocol.card import CARD, Blob, by_hash, card_hash
from skerry.protocol.catalogue import Catalogue, Entry
from skerry.protocol.effects import PutCatalogue
from skerry.protocol.head import make_head
from tests.node.search.market import card_of, new_store, small_rkme, whole

NOW = 1_790_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a node with two own cards, their blobs and their sketches."""
    made = Folder(tmp_path / "node")
    keyring = initialise(made, "Cleveland")
    blobs, store = BlobStore(made.blobs), new_store(made.root)
    BlobStore(made.cache).put_bytes(b"fetched")
    package = blobs.put_bytes(b"a package")
    raws = []
    for number in range(2):
        rkme = small_rkme(np.random.default_rng(number), float(number))
        tree = blobs.put_bytes(whole(rkme))
        card = card_of(f"m-{number}", rkme, Blob(tree.root, tree.size), keyring.owner)
        raws.append(CARD.encode(card).replace(b"p" * 32, package.root))
    store.write_now([PutCatalogue(b"", keyring.signer.public_key, _head(keyring, raws), by_hash(raws), ())])
    store.take_in_all_words()
    store.close()
    sketches = Sketches(made.sketches)
    sketches.submit({card_hash(raw): Change(at, CARD.decode(raw)) for at, raw in enumerate(raws)})
    sketches.close()
    return made


def _head(keyring: Keyring, raws: list[bytes]) -> bytes:
    cards = [(CARD.decode(raw), card_hash(raw)) for raw in raws]
    catalogue = Catalogue.build(Entry(card.id, card.island, digest) for card, digest in cards)
    return make_head(
        keyring.signer,
        owner=keyring.owner,
        epoch=1,
        seq=1,
        root=catalogue.root,
        count=catalogue.count,
        issued=NOW,
    ).to_bytes()


def _wrong(folder: Folder) -> dict[str, int]:
    return {check.name: check.wrong for check in verify(folder).checks if check.wrong}


def _change(folder: Folder, statement: str) -> None:
    with sqlite3.connect(folder.database) as connection:
        connection.execute(statement)
    connection.close()


def test_a_sound_node_is_sound(folder: Folder) -> None:
    found = verify(folder)
    assert found.sound
    looked = {check.name: check.looked_at for check in found.checks}
    assert {name: looked[name] for name in ("cards", "facts", "catalogues", "own blobs", "sketches")} == {
        "cards": 2, "facts": 2, "catalogues": 1, "own blobs": 2, "sketches": 2,
    }  # fmt: skip
    assert (looked["blobs"], looked["cache"]) == (3, 1)


def test_sketches_are_left_alone_while_a_daemon_runs(folder: Folder) -> None:
    with folder.lock():
        found = verify(folder)
    assert found.sound
    assert [check.name for check in found.checks if check.skipped] == ["sketches"]


def test_a_card_that_changed_is_found(folder: Folder) -> None:
    with sqlite3.connect(folder.database) as connection:
        (card,) = connection.execute("SELECT card FROM cards WHERE number = 2").fetchone()
        changed = card.replace(b"Model m-1", b"Other m-1")
        connection.execute("UPDATE cards SET card = ? WHERE number = 2", (changed,))
    connection.close()
    assert _wrong(folder) == {"cards": 1}


def test_facts_of_another_card_are_found(folder: Folder) -> None:
    _change(folder, "UPDATE facts SET facts = (SELECT facts FROM facts WHERE number = 1) WHERE number = 2")
    assert _wrong(folder) == {"facts": 1}


def test_a_catalogue_that_lacks_a_card_is_found(folder: Folder) -> None:
    _change(folder, "DELETE FROM cards WHERE number = 1")
    assert _wrong(folder) == {"catalogues": 1}


def test_rotten_and_missing_blobs_are_found(folder: Folder) -> None:
    blobs, cache = BlobStore(folder.blobs), BlobStore(folder.cache)
    (fetched,) = cache.roots()
    path = cache.path(fetched)
    path.chmod(0o600)
    path.write_bytes(b"rotten")
    gone = next(root for root in blobs.roots() if blobs.path(root).read_bytes() == b"a package")
    blobs.remove(gone)
    assert _wrong(folder) == {"own blobs": 2, "cache": 1}


def test_a_sketch_of_another_card_is_found(folder: Folder) -> None:
    sketches = Sketches(folder.sketches)
    other = card_of("other", small_rkme(np.random.default_rng(9), 9.0), Blob(b"s" * 32, 1))
    with sqlite3.connect(folder.database) as connection:
        (digest,) = connection.execute("SELECT hash FROM cards WHERE number = 1").fetchone()
    connection.close()
    sketches.submit({digest: Change(0, other)})
    sketches.close()
    sketches = Sketches(folder.sketches)
    sketches.submit({digest: Change(0, None)})
    sketches.submit({digest: Change(0, other)})
    sketches.close()
    assert _wrong(folder) == {"sketches": 1}


def test_a_damaged_database_is_found(folder: Folder) -> None:
    with folder.database.open("r+b") as file:
        file.seek(0, 2)
        file.seek(-4096, 2)
        file.write(b"\xff" * 4096)
    found = verify(folder)
    assert not found.sound
    assert found.checks[0].todo


def test_a_node_that_never_served_says_so(tmp_path: Path) -> None:
    fresh = Folder(tmp_path / "fresh")
    initialise(fresh, "Hungary")
    with pytest.raises(StorageError, match="no database yet"):
        verify(fresh)
