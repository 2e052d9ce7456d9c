"""A member fetches a group's learnware from Python like any other; who is no member does not even find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.client.asynchronous import AsyncGroups
from skerry.client.groups import Groups
from skerry.client.network import connect
from skerry.errors import NotFound, Refused
from tests.node.groups.members import create, invite, join
from tests.node.processes import eventually, nodes, specification

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]


def test_a_member_fetches_what_is_for_the_group(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary", "Zurich") as (owner, member, other):
        owner.start()
        for node in (member, other):
            node.start(bootstrap=(owner.bootstrap,))
        group = create(owner)
        join(member, invite(owner, group.id))
        package = b"kept package " * 60_000
        card = owner.publish("ward", specification(1), package, groups=[group.id]).card
        owner.publish("open", specification(2), b"kept", package_groups=[group.id])

        net = connect(folder=member.folder, cache=tmp_path / "cache")
        assert [view.name for view in net.groups.all()] == ["North Sea"]
        eventually("the member finds both", lambda: len(net.search(text="ward")) == 2)
        hit = net.hit(card.id)
        assert hit.card.groups == [group.id]
        assert hit.specification() == specification(1)
        assert hit.download().read_bytes() == package
        # Its owner's own programs, too.
        assert (
            connect(folder=owner.folder, cache=tmp_path / "own").hit(card.id).download().read_bytes()
            == package
        )

        strange = connect(folder=other.folder, cache=tmp_path / "other")
        eventually("the other finds what all may find", lambda: len(strange.search(text="ward")) == 1)
        with pytest.raises(NotFound) as caught:
            strange.search(text="ward")[0].download()
        assert caught.value.code == "E-FETCH-GONE"
        with pytest.raises(NotFound):
            strange.hit(card.id)
        with pytest.raises(Refused) as refused:
            strange.groups.join("skerry-invite-1.AAAA")
        assert refused.value.code == "E-GROUP-INVITE-TEXT"


def test_an_asynchronous_program_has_the_same_methods() -> None:
    own = {name for name in vars(Groups) if not name.startswith("_")}
    assert own == {name for name in vars(AsyncGroups) if not name.startswith("_")}
