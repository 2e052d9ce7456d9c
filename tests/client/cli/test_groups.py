"""The verbs of groups, as people type them, and that no name of another institution can harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.client.network import connect
from tests.client.cli.running import called, compare, compare_people
from tests.node.processes import eventually, nodes

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

HOSTILE = "Evil\x1b[31m \u202elab [bold]x[/bold]\r\n<b>"


def test_groups_are_as_written_and_names_are_escaped(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Guest") as (founder, guest):
        guest.name = HOSTILE
        for path in sorted(guest.folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        guest.init()
        founder.start()
        guest.start(bootstrap=(founder.bootstrap,))
        environment = {"SKERRY_HOME": str(founder.folder), "SKERRY_CACHE": str(tmp_path / "cache")}
        compare("groups", environment, tmp_path)

        network = connect(folder=founder.folder)
        (group,) = network.groups.all()
        joined = connect(folder=guest.folder).groups.join(
            network.groups.invite(group.id, role="publisher", days=1).text
        )
        assert (joined.id, joined.role) == (group.id, "publisher")
        eventually("both are members", lambda: len(network.groups.members(group.id)) == 2)
        compare("members", environment, tmp_path)
        done = called("group", "members", group.id, environment=environment, cwd=tmp_path)
        assert done.exit_code == 0
        for raw in ("\x1b", "\u202e", "\r"):
            assert raw not in done.stdout
        assert "[bold]x" in done.stdout  # shown, not obeyed


def test_two_institutions_share_a_group_as_written(tmp_path: Path) -> None:
    """Invite, join, a change that both must sign, and leaving: each line typed where it belongs."""
    with nodes(tmp_path, "cleveland", "hungary") as (founder, guest):
        founder.start()
        guest.start(bootstrap=(founder.bootstrap,))
        people = {
            node.name: {"SKERRY_HOME": str(node.folder), "SKERRY_CACHE": str(tmp_path / f"{node.name}-cache")}
            for node in (founder, guest)
        }
        compare_people("sharing", people, tmp_path)


def test_a_group_with_a_hostile_name_is_shown_escaped(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (founder,):
        founder.start()
        environment = {"SKERRY_HOME": str(founder.folder), "SKERRY_CACHE": str(tmp_path / "cache")}
        groups = connect(folder=founder.folder).groups
        view = groups.create(HOSTILE)
        assert view.name == HOSTILE
        for command in (("list",), ("members", view.id), ("policy", view.id), ("rotate", view.id)):
            done = called("group", *command, environment=environment, cwd=tmp_path)
            assert done.exit_code == 0, done.output
            assert not any(raw in done.output for raw in ("\x1b", "\u202e", "\r"))
        done = called("group", "invite", view.id, "--role", "boss", environment=environment, cwd=tmp_path)
        assert (done.exit_code, "E-GROUP-INVITE-TERMS" in done.stderr) == (2, True)
