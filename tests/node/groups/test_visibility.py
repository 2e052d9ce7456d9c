"""What is shown to a group reaches its members, and nobody else learns of it."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

import msgspec
import pytest

from skerry.node.network.tls import client_context
from skerry.protocol.api import Hit, Sources
from skerry.protocol.messages import Groups, RosterTips, Token
from tests.node.processes import HttpError, NodeProcess, eventually, nodes, specification

from .members import create, invite, join, policy, remove, roster
from .received import messages, scopes, streams

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

GONE_SECONDS_MAX = 5.0


def sources(node: NodeProcess, card: str) -> Sources:
    return msgspec.json.decode(node.request("GET", f"/cards/{card}/sources"), type=Sources)


def get(node: NodeProcess, path: str, token: str = "") -> tuple[int, bytes]:
    """Ask a node's public listener for something, as any reader would."""
    address = node.bootstrap.partition("#")[0]
    connection = http.client.HTTPSConnection(address, context=client_context(), timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def knows(node: NodeProcess, text: str) -> bool:
    return bool(node.search(text=text).hits)


def test_a_group_sees_what_others_learn_nothing_of(tmp_path: Path) -> None:
    names = ("Cleveland", "Hungary", "Observer", "Zurich")
    with nodes(tmp_path, *names) as (owner, member, observer, late):
        tap = tmp_path / "observer.tap"
        owner.start()
        observer.start(bootstrap=(owner.bootstrap,), options=("--tap", str(tap)))
        member.start(bootstrap=(owner.bootstrap, observer.bootstrap))
        group = create(owner, "North Sea secrets")
        join(member, invite(owner, group.id, "publisher"))
        owner.publish("open", specification(1, name="Open model"), b"open package")
        hidden = specification(2, name="Hidden model", description="Sea of the north")
        package = b"kept package " * 40_000  # three leaves
        receipt = owner.publish("hidden", hidden, package, groups=["North Sea secrets"])
        card = receipt.card
        assert (card.public, card.groups) == (False, [group.id])
        eventually("the member sees it", lambda: knows(member, "hidden"))
        eventually("everybody sees the other", lambda: knows(observer, "open") and knows(member, "open"))

        # The member's node has it, and its programs fetch it with the node's token.
        assert member.request("GET", f"/specifications/{card.specification}") == hidden.to_bytes()
        (source,) = sources(member, card.id).sources
        assert source.token
        path = f"/blob/{card.package}"
        assert get(owner, path, source.token) == (200, package)
        assert get(owner, f"{path}/leaves", source.token)[0] == 200
        (own,) = sources(owner, card.id).sources
        assert get(owner, path, own.token) == (200, package)

        # For anybody else it is not there, and that looks as for what nowhere is.
        nowhere = "00" * 32
        absent = get(owner, f"/blob/{nowhere}")
        tampered = ("B" if source.token[-5] == "A" else "A").join((source.token[:-5], source.token[-4:]))
        for token in ("", tampered, "nonsense", "AAAA"):
            for kind in ("", "/leaves"):
                refused = get(owner, f"{path}{kind}", token)
                assert refused == (absent[0], absent[1].replace(nowhere.encode(), card.package.encode()))
        assert not knows(observer, "hidden")
        with pytest.raises(HttpError) as caught:
            observer.request("GET", f"/specifications/{card.specification}")
        assert caught.value.problem["code"] == "E-NOTFOUND-SPECIFICATION"

        # Who joins later gets all of it, too, and the observer had time for many repairs.
        late.start(bootstrap=(observer.bootstrap,))
        join(late, invite(owner, group.id))
        eventually("the newcomer sees it", lambda: knows(late, "hidden"))
        owner.withdraw("hidden")
        eventually("it is gone", lambda: not knows(late, "hidden") and not knows(member, "hidden"))
        observer.stop()
        _learned_nothing(tap, owner, group.id, card, hidden.to_bytes(), package)


def _learned_nothing(
    tap: Path, owner: NodeProcess, group: str, card: object, specification_bytes: bytes, package: bytes
) -> None:
    """Decode everything that the observer received, and look for anything of the group."""
    heard = messages(tap)
    assert len(heard) > 30
    assert {scope for message in heard for scope in scopes(message)} == {b""}
    assert not any(isinstance(message, RosterTips | Token) for message in heard)
    assert any(isinstance(message, Groups) for message in heard)  # that somebody is in groups is seen
    everything = b"".join(streams(tap))
    assert b"Open model" in everything
    hashes = [getattr(card, name) for name in ("id", "hash", "specification", "package")]
    rosters = [bytes.fromhex(group)]
    secrets = [b"North Sea secrets", b"Hidden model", b"Sea of the north", b"kept package", b"roster-draft"]
    secrets += [specification_bytes[100:164], *map(bytes.fromhex, hashes), *rosters]
    secrets += [text.encode() for text in (*hashes, group)]
    assert [secret for secret in secrets if secret in everything] == []
    assert package[:64] not in everything


def test_a_removed_member_is_cut_off_within_seconds_even_in_a_transfer(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary", "Zurich") as (owner, member, admin):
        owner.start()
        for node in (member, admin):
            node.start(bootstrap=(owner.bootstrap,))
        group = create(admin)
        join(owner, invite(admin, group.id, "publisher"))
        join(member, invite(admin, group.id, "publisher"))
        card = owner.publish("ward", specification(1), bytes(48 << 20), groups=[group.id]).card
        member.publish("mine", specification(2, name="Own model"), b"mine", groups=[group.id])
        eventually("the member sees it", lambda: knows(member, "ward"))
        eventually("the others see the member's", lambda: knows(owner, "own") and knows(admin, "own"))
        token = sources(member, card.id).sources[0].token

        address = owner.bootstrap.partition("#")[0]
        reading = http.client.HTTPSConnection(address, context=client_context(), timeout=10)
        reading.request("GET", f"/blob/{card.package}", headers={"Authorization": f"Bearer {token}"})
        response = reading.getresponse()
        assert response.read(1000) == bytes(1000)
        assert remove(admin, group.id, "Hungary").in_force
        began = time.monotonic()
        eventually("refused", lambda: get(owner, f"/blob/{card.specification}", token)[0] == 404)
        eventually("its learnwares are gone", lambda: not knows(owner, "own") and not knows(admin, "own"))
        assert time.monotonic() - began < GONE_SECONDS_MAX
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
        reading.close()
        owner.publish("next", specification(3, name="Next model"), b"next", groups=[group.id])
        eventually("members see it", lambda: knows(admin, "next"))
        assert not knows(member, "next")
        assert owner.status().peers_connected == 2  # public gossip goes on


def test_a_package_for_a_group_with_a_card_for_all(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary", "Zurich") as (owner, member, other):
        owner.start()
        for node in (member, other):
            node.start(bootstrap=(owner.bootstrap,))
        group = create(owner)
        join(member, invite(owner, group.id))
        shown = specification(1, name="Ward model")
        card = owner.publish("ward", shown, b"kept", package_groups=["North Sea"]).card
        assert (card.public, card.groups) == (True, [group.id])
        for node in (member, other):
            eventually("all find it", lambda node=node: knows(node, "ward"))  # type: ignore[misc]
        assert other.request("GET", f"/specifications/{card.specification}") == shown.to_bytes()
        assert get(owner, f"/blob/{card.package}")[0] == 404
        eventually("the member is told", lambda: member.search(text="ward").hits[0].card.groups == [group.id])
        token = sources(member, card.id).sources[0].token
        assert get(owner, f"/blob/{card.package}", token) == (200, b"kept")

        # An update that says nothing keeps the audience, and so does a restart.
        again = owner.publish("ward", shown, b"kept on", update=True).card
        assert (again.public, again.groups) == (True, [group.id])
        owner.stop()
        owner.start()
        assert get(owner, f"/blob/{again.package}")[0] == 404
        everybody = owner.publish("ward", shown, b"open", update=True, public=True, package_groups=[]).card
        assert (everybody.public, everybody.groups) == (True, [])
        assert get(owner, f"/blob/{everybody.package}") == (200, b"open")
        own = owner.learnwares().learnwares
        assert [item.hash for item in own] == [everybody.hash]


def test_a_policy_refuses_what_breaks_it_and_says_why(tmp_path: Path) -> None:
    def refusal() -> tuple[int, str, str]:
        with pytest.raises(HttpError) as caught:
            owner.publish("ward", specification(1), b"package", groups=["North Sea"])
        return caught.value.status, caught.value.problem["code"], caught.value.problem["why"]

    with nodes(tmp_path, "Cleveland", "Hungary") as (admin, owner):
        admin.start()
        owner.start(bootstrap=(admin.bootstrap,))
        group = create(admin)
        join(owner, invite(admin, group.id))
        status, code, why = refusal()
        assert (status, code, why) == (403, "E-GROUP-ROLE", "its owner is a reader")
        join(owner, invite(admin, group.id, "publisher"))
        early = owner.publish("early", specification(4, name="Early model"), b"x" * 100, groups=[group.id])
        eventually("it is shown", lambda: knows(admin, "early"))
        policy(admin, group.id, lanes=["onnx", "skops"], required=["tags"], package_bytes_max=50, cards_max=2)
        eventually("what breaks it is not shown any more", lambda: not knows(admin, "early"))
        eventually("nor at its owner", lambda: not knows(owner, "early"))
        assert early.card.groups == [group.id]
        status, code, why = refusal()
        assert (status, code) == (403, "E-REFUSED-POLICY")
        assert why == "lane 'python' is not one of onnx, skops; the card must have tags"
        tagged = specification(1, tags=("heart",))
        owner.publish("small", tagged, b"small", lane="onnx", groups=[group.id])
        eventually("what keeps to it is shown", lambda: bool(admin.search(text="heart").hits))
        with pytest.raises(HttpError) as caught:
            owner.publish("third", tagged, b"third", lane="onnx", groups=[group.id])
        assert caught.value.problem["why"] == "each owner shows at most 2 learnwares"
        with pytest.raises(HttpError) as caught:
            owner.publish("big", tagged, b"x" * 51, lane="onnx", groups=[group.id])
        assert "51 bytes, at most 50 may be" in caught.value.problem["why"]
        assert roster(owner, group.id).group.policy.lanes == ["onnx", "skops"]


def test_a_hit_is_a_hit(tmp_path: Path) -> None:
    """What a member is shown of a group's learnware says that it is not public."""
    with nodes(tmp_path, "Cleveland") as (owner,):
        owner.start()
        group = create(owner)
        card = owner.publish("ward", specification(1), b"package", groups=[group.id], public=True).card
        shown = owner.get(f"/cards/{card.id}", Hit)
        assert (shown.card.public, shown.card.groups) == (True, [group.id])
