"""What an operator types: why, token, audit, peers --watch, against real nodes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.cli.running import COMMAND, skerry
from tests.node.processes import NodeProcess, nodes, specification

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with nodes(tmp_path_factory.mktemp("operator"), "Cleveland") as (node,):
        node.start()
        node.publish("ward-model", specification(1), b"a package")
        yield node


def run(node: NodeProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return skerry(*arguments, "--folder", str(node.folder))


def test_why_says_what_is_known_and_what_to_do(node: NodeProcess) -> None:
    (card,) = node.learnwares().learnwares
    here = run(node, "why", card.id, "--owner", card.owner)
    assert here.returncode == 0
    assert here.stdout.startswith("now: It is here.")
    strange = run(node, "why", "ab" * 32, "--json")
    (reason,) = json.loads(strange.stdout)["reasons"]
    assert (reason["because"], bool(reason["todo"])) == ("never-heard", True)
    assert run(node, "why", "nonsense").returncode == 2


def test_tokens_are_made_once_and_revoked(node: NodeProcess) -> None:
    made = run(node, "token", "make", "script", "--scope", "publish")
    token = made.stdout.strip()
    assert len(token) == 43
    listed = run(node, "token", "list").stdout
    assert "script" in listed
    assert token not in listed
    assert run(node, "token", "make", "other", "--scope", "root").returncode == 2
    assert run(node, "token", "revoke", "script").returncode == 0
    assert run(node, "token", "revoke", "script").returncode == 3


def test_an_exported_audit_log_is_checked(node: NodeProcess, tmp_path: Path) -> None:
    run(node, "token", "make", "audited")
    run(node, "token", "revoke", "audited")
    out = tmp_path / "audit.jsonl"
    exported = json.loads(run(node, "audit", "export", "-o", str(out), "--json").stdout)
    assert out.read_bytes() == (node.folder / "audit.jsonl").read_bytes()
    assert exported["entries"] == len(out.read_bytes().splitlines())
    assert "audited" in run(node, "audit", "show", "-n", "2").stdout
    log = node.folder / "audit.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b"audited", b"changed", 1))
    broken = run(node, "audit", "export", "-o", str(out))
    log.write_bytes(whole)
    assert broken.returncode == 6
    assert "E-AUDIT-CHAIN" in broken.stderr


def test_watching_goes_on_until_it_is_interrupted(node: NodeProcess) -> None:
    command = [COMMAND, "peers", "--watch", "--interval", "0.2", "--json", "--folder", str(node.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["peers"] for _ in range(3)] == [[], [], []]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
