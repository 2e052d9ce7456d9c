"""README and documents: they build, and every command and every Python block in them works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import Market, wait_until
from tests.client.documents import ELSEWHERE, Person, blocks, follow
from tests.tree import ROOT

DOCS = ROOT / "docs"
FROM_NOTHING = [ROOT / "README.md", DOCS / "start.md"]
"""Documents that begin with making nodes."""
WITH_NODES = [DOCS / "share.md", DOCS / "beimingwu.md", DOCS / "find.md"]
"""Documents for people whose node runs already."""
BY_OTHER_MEANS = {"operating.md", "groups.md"}
"""Documents about a machine's services and about several members, which have tests of their own."""


def test_every_document_with_blocks_is_run() -> None:
    with_blocks = {path for path in [ROOT / "README.md", *DOCS.glob("*.md")] if list(blocks(path))}
    run = {*FROM_NOTHING, *WITH_NODES}
    assert {path for path in with_blocks if path.name not in BY_OTHER_MEANS} == run


def test_the_documents_build_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "errors" / "index.html").exists()


@pytest.mark.processes
@pytest.mark.sandbox
@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", FROM_NOTHING, ids=lambda path: path.name)
def test_a_newcomer_gets_there(path: Path, tmp_path: Path) -> None:
    people = {name: newcomer(tmp_path / name) for name in ("owner", "searcher")}
    try:
        assert follow(path, people) >= 3
        assert ELSEWHERE in path.read_text(encoding="utf-8")
    finally:
        for person in people.values():
            person.end()


@pytest.mark.processes
@pytest.mark.sandbox
@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", WITH_NODES, ids=lambda path: path.name)
def test_somebody_with_a_node_gets_there(path: Path, market: Market, tmp_path: Path) -> None:
    market.clear()
    people = {
        name: Person(tmp_path / name, lab.environment)
        for name, lab in (("owner", market.owner), ("searcher", market.searcher))
    }
    for person in people.values():
        person.prepare()
    if path.name == "find.md":
        words = '--name "Heart disease" --license Apache-2.0'
        people["owner"].run(f"skerry publish heart.pkl --data train.csv --target disease {words}")
        wait_until(lambda: market.searcher.network.status().cards == 1)
    assert follow(path, people) >= 1


def newcomer(folder: Path) -> Person:
    environment = {
        "SKERRY_HOME": str(folder / "home"),
        "SKERRY_CACHE": str(folder / "cache"),
        "SKERRY_NODE__LISTEN": "127.0.0.1:0",
        "SKERRY_API__LISTEN": "127.0.0.1:0",
        "OMP_NUM_THREADS": "1",
    }
    person = Person(folder / "work", environment)
    person.prepare()
    return person
