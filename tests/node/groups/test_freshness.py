"""A node that for a day hears of no registrar or admin stops serving its groups, and begins again by
itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.node.processes import NodeProcess, eventually, nodes, specification

from .members import create, groups, invite, join
from .test_visibility import get, sources

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

DAY_SECONDS = 24 * 3600


class ShiftedNode(NodeProcess):
    """A node whose wall clock the test sets ahead."""

    def __init__(self, folder: Path, name: str, offset: Path) -> None:
        super().__init__(folder, name)
        self._offset = offset

    def _command(self, verb: str, *arguments: str) -> list[str]:
        script = Path(__file__).with_name("offset_clock.py")
        return [
            sys.executable,
            str(script),
            str(self._offset),
            verb,
            "--folder",
            str(self.folder),
            *arguments,
        ]


def test_without_word_from_an_admin_for_a_day_a_group_is_not_served(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    with nodes(tmp_path) as _:
        admin, owner, reader = (
            ShiftedNode(tmp_path / name, name, offset) for name in ("admin", "owner", "reader")
        )
        try:
            for node in (admin, owner, reader):
                node.init()
            admin.start()
            group = create(admin)
            for node, role in ((owner, "publisher"), (reader, "reader")):
                node.start(bootstrap=(admin.bootstrap, *([owner.bootstrap] if node is reader else [])))
                join(node, invite(admin, group.id, role))
            card = owner.publish("ward", specification(1), b"package", groups=[group.id]).card
            eventually("the reader sees it", lambda: bool(reader.search(text="ward").hits))
            token = sources(reader, card.id).sources[0].token
            assert get(owner, f"/blob/{card.package}", token)[0] == 200

            admin_at, address = admin.bootstrap, admin.bootstrap.partition("#")[0]
            admin.stop()
            for node in (owner, reader):
                node.stop()
            offset.write_text(str(DAY_SECONDS + 3600))
            owner.start(bootstrap=(admin_at,))
            reader.start(bootstrap=(owner.bootstrap,))
            eventually("both are connected", lambda: owner.status().peers_connected == 1)
            assert [groups(node)[0].serving for node in (owner, reader)] == [False, False]
            # Its own programs are told that it may not be had, and others see nothing at all.
            (own,) = sources(owner, card.id).sources
            assert get(owner, f"/blob/{card.package}", own.token)[0] == 404
            assert sources(reader, card.id).sources[0].token == ""

            admin.start(options=("--listen", address))
            for node in (owner, reader):
                node.request("POST", "/peers", b'{"address": "%s"}' % admin_at.encode())
            eventually(
                "the admin's word came", lambda: groups(owner)[0].serving and groups(reader)[0].serving
            )
            eventually(
                "the reader may fetch again",
                lambda: (
                    get(owner, f"/blob/{card.package}", sources(reader, card.id).sources[0].token)[0] == 200
                ),
            )
        finally:
            for node in (admin, owner, reader):
                node.kill()
