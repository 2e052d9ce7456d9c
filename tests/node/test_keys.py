"""Keys are made once, private, and a folder that cannot be used says what to do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from skerry.errors import ConfigError
from skerry.node.folder import Folder
from skerry.node.keys import initialise, read_keyring
from skerry.protocol.charter import CHARTER
from skerry.protocol.envelope import open_envelope


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "node")
    initialise(folder, "Cleveland Clinic")
    return folder


def test_what_was_made_can_be_read(folder: Folder) -> None:
    keyring = read_keyring(folder)
    charter = CHARTER.decode(open_envelope(keyring.charters[0]).body)
    assert charter.name == "Cleveland Clinic"
    assert [entry.key for entry in charter.node_keys] == [keyring.signer.public_key]
    assert len(keyring.owner) == len(keyring.certificate) == 32


def test_all_of_it_is_private(folder: Folder) -> None:
    for path in [folder.charters, *folder.keys.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(folder.keys.stat().st_mode) == 0o700


def test_owner_and_recovery_key_may_lie_elsewhere(folder: Folder) -> None:
    folder.owner_key.unlink()
    folder.recovery_key.unlink()
    assert read_keyring(folder).owner


def test_a_second_node_in_the_folder_is_refused(folder: Folder) -> None:
    before = folder.node_key.read_bytes()
    with pytest.raises(ConfigError) as caught:
        initialise(folder, "Another")
    assert caught.value.code == "E-CONFIG-EXISTS"
    folder.charters.unlink()  # as if the first attempt had been interrupted
    with pytest.raises(ConfigError, match="interrupted"):
        initialise(folder, "Another")
    assert folder.node_key.read_bytes() == before


@pytest.mark.parametrize("name", ["", "x" * 81])
def test_a_bad_name_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "node")
    with pytest.raises(ConfigError) as caught:
        initialise(folder, name)
    assert caught.value.code == "E-CONFIG-NAME"
    assert not folder.root.exists()


def test_a_key_that_cannot_be_used_says_what_to_do(folder: Folder) -> None:
    def code() -> str:
        with pytest.raises(ConfigError) as caught:
            read_keyring(folder)
        assert caught.value.todo
        return caught.value.code

    folder.node_key.chmod(0o644)
    assert code() == "E-CONFIG-KEYFILE"
    folder.node_key.chmod(0o600)
    folder.node_key.write_bytes(b"not a key")
    assert code() == "E-CONFIG-KEYFILE"
    folder.node_key.unlink()
    folder.node_key.mkdir(mode=0o700)  # unreadable even for root
    assert code() == "E-CONFIG-KEYFILE"
    folder.charters.write_bytes(b"\x90")
    assert code() == "E-CONFIG-CHARTERS"
    folder.charters.unlink()
    assert code() == "E-CONFIG-FOLDER"
