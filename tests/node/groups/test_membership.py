"""Groups of real daemons: founded, joined by invites, changed and left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.node.processes import HttpError, NodeProcess, eventually, nodes

from .members import (
    agree,
    create,
    groups,
    invite,
    invites,
    join,
    leave,
    members,
    policy,
    proposals,
    remove,
    roster,
    rotate,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


def refusal(call: object, *arguments: object, **options: object) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        call(*arguments, **options)  # type: ignore[operator]
    return caught.value.status, caught.value.problem["code"]


def test_a_group_is_founded_joined_left_and_forgotten(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary", "Zurich") as (first, second, third):
        first.start()
        group = create(first, "North Sea")
        assert (group.name, group.role, group.version, group.members) == ("North Sea", "admin", 1, 1)
        assert group.serving
        assert refusal(create, first, "North Sea") == (409, "E-GROUP-EXISTS")
        for node in (second, third):
            node.start(bootstrap=(first.bootstrap,))
        joined = join(second, invite(first, "North Sea", "publisher"))
        assert (joined.group.id, joined.group.role) == (group.id, "publisher")
        join(third, invite(first, group.id[:8], "registrar"))
        everybody = {"Cleveland": "admin", "Hungary": "publisher", "Zurich": "registrar"}
        for node in (first, second, third):
            eventually("all know all", lambda node=node: members(node, group.id) == everybody)  # type: ignore[misc]
        shown = {member.owner_name: member for member in roster(second, group.id).members}
        assert shown["Zurich"].invited_by_name == shown["Hungary"].invited_by_name == "Cleveland"
        assert shown["Cleveland"].invited_by == ""
        assert shown["Zurich"].last_seen > 0
        assert shown["Hungary"].own
        assert groups(third)[0].serving

        assert refusal(leave, first, group.id) == (403, "E-GROUP-LAST-ADMIN")
        leave(second, group.id)
        assert groups(second) == []
        eventually("the roster leaves it out", lambda: "Hungary" not in members(first, group.id))
        eventually("everywhere", lambda: "Hungary" not in members(third, group.id))
        second.stop()
        second.start()
        assert groups(second) == []


def test_an_invite_lets_in_as_many_as_it_says_however_many_come_at_once(tmp_path: Path) -> None:
    names = [f"Lab {number}" for number in range(5)]
    with nodes(tmp_path, "Issuer", *names) as (issuer, *others):
        issuer.start()
        for node in others:
            node.begin()
        for node in others:
            node.wait_ready()
        group = create(issuer)
        text = invite(issuer, group.id, uses=2)

        def attempt(node: NodeProcess) -> str:
            try:
                join(node, text)
            except HttpError as error:
                return str(error.problem["code"])
            return "joined"

        # Each asks four times at the same instant: an answer that was lost costs no use.
        with ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(attempt, others * 4))
        inside = [node.name for node in others if groups(node)]
        assert len(inside) == 2
        assert sorted(members(issuer, group.id)) == sorted(["Issuer", *inside])
        assert set(outcomes) == {"joined", "E-GROUP-INVITE"}
        (kept,) = invites(issuer, group.id).invites
        assert (kept.used, kept.uses) == (2, 2)


def test_what_cannot_be_redeemed_says_why(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start()
        group = create(first)
        good = invite(first, group.id)
        assert refusal(join, second, good[:-9]) == (400, "E-GROUP-INVITE-TEXT")
        assert refusal(join, second, "hello") == (400, "E-GROUP-INVITE-TEXT")
        assert refusal(invite, first, group.id, "boss") == (400, "E-GROUP-INVITE-TERMS")
        assert refusal(invite, first, group.id, uses=0) == (400, "E-GROUP-INVITE-TERMS")
        first.request("DELETE", f"/groups/{group.id}/invites/{invites(first, group.id).invites[0].id}")
        assert refusal(join, second, good) == (403, "E-GROUP-INVITE")
        join(second, invite(first, group.id))
        assert refusal(invite, second, group.id) == (403, "E-GROUP-ROLE")
        assert refusal(remove, second, group.id, "Cleveland") == (403, "E-GROUP-ROLE")
        assert refusal(remove, first, group.id, "Nobody") == (404, "E-NOTFOUND-MEMBER")
        assert refusal(members, second, "Nowhere") == (404, "E-NOTFOUND-GROUP")
        old = invite(first, group.id, uses=9)
        assert remove(first, group.id, "Hungary").in_force
        leave(second, group.id)
        assert refusal(join, second, old) == (403, "E-GROUP-REMOVED")
        join(second, invite(first, group.id))
        late = invite(first, group.id)
        assert rotate(first, group.id).in_force
        first.stop()
        assert refusal(join, second, late) == (503, "E-UNAVAILABLE-ISSUER")


def test_a_restored_database_issues_nothing_that_it_believes_open(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (first,):
        first.start()
        group = create(first)
        invite(first, group.id)
        first.stop()
        copy = {path.name: path.read_bytes() for path in first.folder.glob("store.sqlite*")}
        first.start()
        assert not invites(first, group.id).invites[0].void
        first.stop()
        for name, data in copy.items():
            (first.folder / name).write_bytes(data)
        (first.folder / "incarnation").unlink()  # what a backup does not hold
        first.start()
        assert invites(first, group.id).invites[0].void


def test_a_headless_node_joins_at_its_start(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        group = create(first)
        second.environment["SKERRY_INVITE"] = invite(first, group.id, "publisher")
        second.start()
        eventually("it has joined", lambda: [view.role for view in groups(second)] == ["publisher"])
        eventually("they are connected", lambda: second.status().peers_connected == 1)
        assert members(first, group.id) == {"Cleveland": "admin", "Hungary": "publisher"}


def test_several_admins_sign_a_change_on_their_own_machines(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary", "Zurich") as (first, second, third):
        first.start()
        for node in (second, third):
            node.start(bootstrap=(first.bootstrap,))
        group = create(first, signers=2, admins=2)
        join(second, invite(first, group.id, "admin"))
        join(third, invite(first, group.id))
        assert members(second, group.id)["Hungary"] == "admin"
        assert refusal(invite, first, group.id, "admin") == (403, "E-GROUP-ADMINS")
        eventually("both sign from now on", lambda: groups(second)[0].signers == 2)

        change = remove(first, group.id, "Zurich")
        assert (change.in_force, change.signatures, change.needed) == (False, 1, 2)
        assert "Zurich" in members(first, group.id)
        eventually("the other admin sees it", lambda: len(proposals(second, group.id).proposals) == 1)
        (waiting,) = proposals(second, group.id).proposals
        assert (waiting.proposed_by_name, waiting.signed) == ("Cleveland", False)
        assert waiting.changes[0].startswith("removes ")
        assert agree(second, group.id, waiting.roster[:8]).in_force
        for node in (first, second):
            eventually("it is out", lambda node=node: "Zurich" not in members(node, group.id))  # type: ignore[misc]
        assert proposals(first, group.id).proposals == []

        change = policy(second, group.id, lanes=["onnx"], cards_max=3)
        eventually("the first admin sees it", lambda: len(proposals(first, group.id).proposals) == 1)
        assert proposals(first, group.id).proposals[0].changes == [
            "sets lanes to onnx",
            "sets cards_max to 3",
        ]
        assert agree(first, group.id, change.roster).in_force
        eventually("the policy holds", lambda: groups(second)[0].policy.lanes == ["onnx"])
