"""The folder is for one daemon at a time, and a file in it is whole or as it was."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from skerry.errors import ConfigError, StorageError
from skerry.node.folder import Folder, write_private


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    hold = (
        "import sys, time; from pathlib import Path; from skerry.node.folder import Folder\n"
        f"with Folder(Path({str(tmp_path)!r})).lock(): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageError) as caught, folder.lock():
            pass
        assert caught.value.code == "E-STORAGE-LOCKED"
        assert str(holder.pid) in caught.value.why
        holder.kill()
    with folder.lock():
        pass


def test_a_folder_without_a_node_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Folder(tmp_path).require()
    assert caught.value.code == "E-CONFIG-FOLDER"


def test_a_private_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"first")
    write_private(path, b"second")
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        write_private(tmp_path / "file" / "below", b"data")
    assert caught.value.code == "E-STORAGE-FOLDER"
    with pytest.raises(StorageError), Folder(tmp_path / "file").lock():
        pass
