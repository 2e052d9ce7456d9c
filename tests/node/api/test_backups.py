"""A backup asked for over the local API lies in the node's folder, and is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skerry.node.folder import Folder
from skerry.node.storage.backup import restore
from skerry.package.blobs import BlobStore
from skerry.protocol.api import Audit, Backup
from tests.node.processes import HttpError, nodes, specification

pytestmark = pytest.mark.processes


def test_a_backup_on_request_holds_what_was_published(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        node.publish("ward-model", specification(1), b"a package")
        made = Backup(**json.loads(node.request("POST", "/backup", b"")))
        again = Backup(**json.loads(node.request("POST", "/backup", b"")))
        with pytest.raises(HttpError) as refused:
            node.request("POST", "/backup", b"", scope="publish")
        assert refused.value.status == 401
        acts = [entry for entry in node.get("/audit", Audit).entries if entry.action == "backed-up"]
        assert [(act.who, act.subject) for act in acts] == [
            ("session-admin", made.path),
            ("session-admin", again.path),
        ]
        assert node.stop() == 0
    file = Path(made.path)
    assert file.parent == node.folder / "backups"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_size == made.bytes
    again_there = Folder(tmp_path / "again")
    restore(file, again_there)
    assert len(list(BlobStore(again_there.blobs).roots())) == 2  # the package and its specification
