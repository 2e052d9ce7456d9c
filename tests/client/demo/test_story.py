"""The demo, whole: from an installed wheel, in an empty folder, with its figures and what its nodes sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from skerry.client.demo.hospitals import COLUMNS, NAMES, load
from skerry.client.demo.nodes import DemoNode
from skerry.client.demo.taps import read_tap
from tests.tree import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

Kept = tuple[Any, Path, str]
"""The demo's result, the folder of its nodes, and what it said."""
RUN = "import sys; from skerry.client.cli import main; sys.argv[0] = 'skerry'; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build the wheel, install it alone, and return an environment that uses it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, timeout=100)
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", target]
    subprocess.run([*install, next(folder.glob("*.whl"))], check=True, capture_output=True, timeout=100)
    return {**os.environ, "PYTHONPATH": str(target), "SKERRY_CACHE": str(folder / "cache")}


@pytest.fixture(scope="module")
def kept(installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Run the demo once, keep its nodes, and give its result, its folder and what it said."""
    empty = tmp_path_factory.mktemp("empty")
    done = subprocess.run(
        [sys.executable, "-c", RUN, "demo", "--json", "--keep"],
        cwd=empty, env=installed, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root = Path(re.findall(r"remove (\S+)$", done.stderr, re.MULTILINE)[0])
    try:
        assert list(empty.iterdir()) == []
        yield json.loads(done.stdout), root, done.stderr
    finally:
        pids = [json.loads(endpoint.read_text())["pid"] for endpoint in root.glob("*/node/api.json")]
        for pid in pids:
            psutil.Process(pid).terminate()
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 20)
        shutil.rmtree(root)


def test_the_result_has_exactly_the_keys_that_were_promised(kept: Kept) -> None:
    result, _, _ = kept
    assert list(result) == ["nodes", "rows_shared", "seconds", "hospitals"]
    assert list(result["hospitals"]) == list(NAMES)
    keys = ["self_auc", "top1_auc", "mix_auc", "average_auc", "spec_bytes", "package_bytes"]
    assert all(list(one) == keys for one in result["hospitals"].values())
    assert (result["nodes"], result["rows_shared"]) == (4, 0)


@pytest.mark.parametrize("name", NAMES)
def test_others_models_beat_twenty_labels_at_every_hospital(kept: Kept, name: str) -> None:
    one = kept[0]["hospitals"][name]
    assert one["average_auc"] > one["self_auc"]
    assert one["mix_auc"] > one["self_auc"]
    floor = {"cleveland": 0.82, "hungarian": 0.86, "switzerland": 0.70, "va": 0.73}[name]
    assert one["average_auc"] > floor


def test_the_installed_wheel_ran_in_processes_of_its_own(kept: Kept, installed: dict[str, str]) -> None:
    _, root, _ = kept
    pids = {json.loads((root / name / "node" / "api.json").read_text())["pid"] for name in NAMES}
    assert len(pids) == 4
    assert all(psutil.Process(pid).environ()["PYTHONPATH"] == installed["PYTHONPATH"] for pid in pids)
    owners = {(root / name / "node" / "keys" / "node.key").read_bytes() for name in NAMES}
    assert len(owners) == 4


def test_kept_nodes_still_answer_at_the_addresses_printed(kept: Kept) -> None:
    _, root, said = kept
    for name in NAMES:
        endpoint = json.loads((root / name / "node" / "api.json").read_text())
        assert psutil.Process(endpoint["pid"]).is_running()
        assert re.search(rf"^{name}: 127\.0\.0\.1:\d+#[0-9a-f]{{64}} ", said, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_stands_in_the_bytes_that_left(kept: Kept, name: str) -> None:
    """The plain way, beside the demo's own: every row of every hospital, as bytes and as text, in every
    tap."""
    _, root, _ = kept
    sent = read_tap(root / name / "sent.tap")
    assert sent.size > 10_000
    haystack = b"\x00".join(sent.plain)
    for hospital in map(load, NAMES):
        for rows in (hospital.rows, hospital.recorded):
            for row in rows:
                assert row.tobytes() not in haystack
                assert row.astype("<f4").tobytes() not in haystack
                assert (
                    ",".join("" if np.isnan(value) else f"{value}" for value in row).encode() not in haystack
                )


@pytest.mark.parametrize("name", NAMES)
def test_the_taps_hold_what_is_meant_to_leave(kept: Kept, name: str) -> None:
    """A tap that saw nothing would find no rows either: names, specification and package must be there."""
    result, root, _ = kept
    sent = read_tap(root / name / "sent.tap")
    assert any(f"Heart disease, {load(name).title}".encode() in part for part in sent.plain)
    assert b"learnware.yaml" in sent.plain[0]
    assert any(COLUMNS[3].encode() in part for part in sent.plain)
    one = result["hospitals"][name]
    assert sent.size > one["spec_bytes"] + one["package_bytes"]
    assert len(sent.blobs) == 2, "one specification and one package, each to three others"
    assert sorted(sent.blobs.values()) == sorted([one["spec_bytes"], one["package_bytes"]])
    packages = [
        blob for blob in (root / name / "node" / "blobs").glob("??/" + "?" * 64) if zipfile.is_zipfile(blob)
    ]
    assert one["package_bytes"] == 3 * packages[0].stat().st_size


@pytest.mark.parametrize(("how", "when"), [(signal.SIGINT, "meet at"), (signal.SIGTERM, "making 4 nodes")])
def test_interruption_leaves_nothing_behind(tmp_path: Path, how: signal.Signals, when: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if when in line:
            break
    while not (nodes := psutil.Process(process.pid).children(recursive=True)):
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(30) == 130
    process.stderr.close()
    assert psutil.wait_procs(nodes, 5)[1] == []
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_does_not_start_says_its_last_words(tmp_path: Path) -> None:
    node = DemoNode(tmp_path / "lab", "lab")
    node.start("no such address")
    with pytest.raises(Exception, match="did not start") as caught:
        node.wait_serving()
    assert "its last words" in str(caught.value)
