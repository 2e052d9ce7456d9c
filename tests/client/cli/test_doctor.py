"""The doctor tries things for real, and says what to do about what does not work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node.processes import eventually, nodes

COMMAND = Path(sys.executable).parent / "skerry"

pytestmark = pytest.mark.sandbox


def findings(tmp_path: Path, **environment: str) -> dict[str, dict[str, object]]:
    process = subprocess.run(
        [COMMAND, "doctor", "--json"],
        env={**os.environ, "SKERRY_HOME": str(tmp_path / "home"), **environment},
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return {one["check"]: one for one in json.loads(process.stdout)["findings"]}


def test_both_levels_of_the_sandbox_are_tried_and_an_absent_node_is_explained(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert found["sandbox level A"]["passed"]
    assert found["sandbox level B"]["passed"]
    assert not found["node"]["passed"]
    assert "skerry init" in str(found["node"]["todo"])


def test_without_bubblewrap_the_fix_is_named(tmp_path: Path) -> None:
    found = findings(tmp_path, PATH=str(tmp_path))
    assert not found["sandbox level A"]["passed"]
    assert "bubblewrap" in str(found["sandbox level A"]["todo"])


@pytest.mark.processes
def test_a_running_node_its_port_and_its_peers_are_tried(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        eventually("they are connected", lambda: second.status().peers_connected == 1)
        found = findings(tmp_path, SKERRY_HOME=str(second.folder))
        for check in ("node", "versions", "port", "peers", "peers' ports"):
            assert found[check]["passed"], found[check]
        assert "certificate" in str(found["port"]["found"])
        first.kill()
        eventually("it is missed", lambda: second.status().peers_connected == 0)
        found = findings(tmp_path, SKERRY_HOME=str(second.folder))
        assert not found["peers"]["passed"]
        assert not found["peers' ports"]["passed"]
        assert "Cleveland" in str(found["peers' ports"]["found"])
