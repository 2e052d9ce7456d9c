"""An owner through its accidents, with real nodes and real commands: stolen and lost keys, a lost disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skerry.protocol.api import OwnerView
from tests.node.processes import NodeProcess, eventually, nodes, specification

REVOKED_SECONDS_MAX = 5
"""New charters are passed on at once; the next round of repair may come after 15 s."""

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


def skerry(folder: Path, *arguments: str, status: int = 0) -> Any:
    """Run a command for a node and return the JSON that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SKERRY_")}
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("skerry")), *arguments, "--json", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    return json.loads(ended.stdout or ended.stderr)


def shown(node: NodeProcess) -> list[str]:
    return sorted(hit.card.slug for hit in node.search().hits)


def test_a_stolen_node_key_ends_with_the_next_charter(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (owner, other):
        other.start()
        owner.start(bootstrap=(other.bootstrap,))
        owner.publish("ward", specification(1), b"package")
        eventually("the other sees it", lambda: shown(other) == ["ward"])
        stolen = owner.status().node_key
        owner.stop()

        thief = NodeProcess(tmp_path / "thief", "Thief")
        shutil.copytree(owner.folder, thief.folder)
        for name in ("owner.key", "recovery.key"):  # these lay elsewhere
            (thief.folder / "keys" / name).unlink()
        keys = tmp_path / "safe"
        shutil.move(owner.folder / "keys" / "owner.key", keys)
        successor = NodeProcess(tmp_path / "successor", "Cleveland")
        try:
            thief.start(bootstrap=(other.bootstrap,))
            thief.publish("lure", specification(2, name="Lure"), b"bad")
            eventually("the thief publishes as the owner", lambda: shown(other) == ["lure", "ward"])

            charters = tmp_path / "charters"
            name = skerry(other.folder, "owner", "show", "Cleveland", "--export", str(charters))["owner"]
            made = skerry(successor.folder, "owner", "adopt", str(charters), "--key", str(keys), "--replace")
            assert made["owner"] == name
            successor.start(bootstrap=(other.bootstrap,))
            successor.publish("ward", specification(1), b"package")
            eventually("what the thief signed is gone", lambda: shown(other) == ["ward"])
            eventually(
                "and so is its connection",
                lambda: stolen not in [peer.node_key for peer in other.peers().peers if peer.connected],
            )
            view = other.get(f"/owners/{name}", OwnerView)
            assert (view.version, view.epoch, [key.key for key in view.node_keys]) == (
                2,
                2,
                [made["node_key"]],
            )
            hit = other.search(text="ward").hits[0]
            assert [source.node_key for source in hit.sources] == [made["node_key"]]
        finally:
            thief.kill()
            successor.kill()


def test_a_lost_owner_key_with_the_recovery_key_at_hand(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (owner, other):
        other.start()
        owner.start(bootstrap=(other.bootstrap,))
        owner.publish("ward", specification(1), b"package")
        eventually("the other sees it", lambda: shown(other) == ["ward"])
        before = skerry(owner.folder, "owner", "show")

        # The owner key is lost, the recovery key is at hand.
        (owner.folder / "keys" / "owner.key").unlink()
        said = skerry(owner.folder, "owner", "rotate", status=1)
        assert said["error"]["code"] == "E-CONFIG-KEYFILE"
        after = skerry(owner.folder, "owner", "recover")
        assert (after["owner"], after["version"]) == (before["owner"], 2)
        assert after["owner_keys"] != before["owner_keys"]
        eventually(
            "the other knows the new key",
            lambda: other.get(f"/owners/{before['owner']}", OwnerView).owner_keys == after["owner_keys"],
            40,
        )
        assert shown(other) == ["ward"]

        # The new key rotates like any other; the old file stays beside it.
        rotated = skerry(owner.folder, "owner", "rotate")
        assert rotated["version"] == 3
        assert (owner.folder / "keys" / "owner-v2.key").exists()
        renamed = skerry(owner.folder, "owner", "profile", "--name", "Cleveland Clinic")
        assert renamed["name"] == "Cleveland Clinic"
        wrong = skerry(
            owner.folder, "owner", "rotate", "--key", str(owner.folder / "keys" / "owner-v2.key"), status=1
        )
        assert wrong["error"]["code"] == "E-OWNER-KEY"
        owner.stop()
        owner.start(bootstrap=(other.bootstrap,))
        assert owner.status().name == "Cleveland Clinic"
        eventually("both agree again", lambda: other.status().digest == owner.status().digest)


def test_a_second_machine_acts_for_the_owner_until_it_is_revoked(tmp_path: Path) -> None:
    """The owner's key is elsewhere: charters are signed into a file, and handed to the node after that."""
    with nodes(tmp_path, "Cleveland", "Hungary") as (owner, other):
        owner.start()
        other.start(bootstrap=(owner.bootstrap,))
        identity, folder = owner.status().owner, owner.folder
        key, signed, charters = tmp_path / "elsewhere.key", tmp_path / "charter", tmp_path / "charters"
        shutil.move(folder / "keys" / "owner.key", key)
        skerry(folder, "owner", "show", "--export", str(charters))
        second = NodeProcess(tmp_path / "second", "Cleveland")
        try:
            made = skerry(second.folder, "owner", "adopt", str(charters), "--key", str(key))["node_key"]
            second.start(bootstrap=(owner.bootstrap,))
            owner.publish("day", specification(2), b"package")
            second.publish("night", specification(3), b"package")
            eventually("it acts for the owner", lambda: shown(other) == ["day", "night"])
            assert skerry(folder, "owner", "show")["version"] == 2

            revoked = ("revoke-node", made[:12], "--key", str(key), "--out", str(signed))
            assert skerry(folder, "owner", *revoked) == {"path": str(signed)}
            assert skerry(folder, "owner", "show")["version"] == 2, "a charter in a file changes nothing"
            view = skerry(folder, "owner", "apply", str(signed))
            assert (view["version"], view["owner"]) == (3, identity)
            assert made not in [entry["key"] for entry in view["node_keys"]]
            eventually("what it signed counts no more", lambda: shown(other) == ["day"], REVOKED_SECONDS_MAX)

            second.stop()
            second.begin(bootstrap=(owner.bootstrap,))
            eventually("it does not start any more", lambda: second.process.poll() is not None)
            assert "E-CONFIG-REVOKED" in second.said()

            (tmp_path / "noise").write_bytes(b"no charter")
            for file in (signed, tmp_path / "noise"):  # the first is in force already
                refused = skerry(folder, "owner", "apply", str(file), status=6)
                assert refused["error"]["code"] == "E-OWNER-CHARTER"

            view = skerry(folder, "owner", "add-node", made, "--key", str(key))
            assert made in [entry["key"] for entry in view["node_keys"]]
            proof = skerry(folder, "owner", "domain")
            assert (proof["proved"], bool(proof["why"])) == (False, True)
        finally:
            second.kill()


def test_a_lost_disk(tmp_path: Path) -> None:
    """The owner's key was kept elsewhere, and others know the charters."""
    with nodes(tmp_path, "Cleveland", "Hungary") as (owner, other):
        other.start()
        owner.start(bootstrap=(other.bootstrap,))
        owner.publish("ward", specification(1), b"package")
        eventually("the other sees it", lambda: shown(other) == ["ward"])
        identity = owner.status().owner
        kept = tmp_path / "kept.key"
        shutil.copy(owner.folder / "keys" / "owner.key", kept)
        owner.kill()
        shutil.rmtree(owner.folder)
        charters = tmp_path / "charters"
        skerry(other.folder, "owner", "show", identity[:12], "--export", str(charters))
        again = NodeProcess(tmp_path / "again", "Cleveland")
        try:
            made = skerry(again.folder, "owner", "adopt", str(charters), "--key", str(kept), "--replace")
            assert made["owner"] == identity
            again.start(bootstrap=(other.bootstrap,))
            again.publish("next", specification(2), b"package")
            eventually("the owner goes on, without what was lost", lambda: shown(other) == ["next"])
        finally:
            again.kill()


def test_opinions_are_kept_and_told_to_nobody(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (owner, reader):
        owner.start()
        reader.start(bootstrap=(owner.bootstrap,))
        card = owner.publish("ward", specification(1), b"package").card
        owner.publish("next", specification(2), b"package")
        eventually("the reader sees both", lambda: shown(reader) == ["next", "ward"])

        skerry(reader.folder, "owner", "nickname", "Cleveland", "Our \x1b[31mfriends\u202e")
        assert reader.search(text="ward").hits[0].card.owner_name == "Our \x1b[31mfriends\u202e"
        skerry(reader.folder, "owner", "block", card.id)
        assert shown(reader) == ["next"]
        skerry(reader.folder, "owner", "block", card.owner)
        skerry(reader.folder, "owner", "vouch", card.owner)
        assert shown(reader) == []
        reader.stop()
        reader.start(bootstrap=(owner.bootstrap,))
        assert shown(reader) == []
        listed = skerry(reader.folder, "owner", "opinions")["opinions"]
        assert sorted(item["subject"] for item in listed) == sorted([card.id, card.owner])
        assert shown(owner) == ["next", "ward"]
        assert skerry(owner.folder, "owner", "opinions")["opinions"] == []
        for subject in (card.id, card.owner):
            skerry(reader.folder, "owner", "block", subject, "--undo")
        eventually("both are shown again", lambda: shown(reader) == ["next", "ward"])
        assert (
            skerry(reader.folder, "owner", "show", "nobody", status=3)["error"]["code"] == "E-NOTFOUND-OWNER"
        )
