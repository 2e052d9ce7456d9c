"""The examples run as they stand, each as a person would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.client.conftest import Lab, Market, wait_until
from tests.tree import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.sandbox, pytest.mark.timeout(300)]


def run(name: str, *arguments: str, lab: Lab | None = None) -> str:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **({} if lab is None else lab.environment)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_publishing_and_predicting(market: Market) -> None:
    market.clear()
    assert run("publish_iris.py", lab=market.owner).startswith(
        "iris-species v1: Classification by LogisticRegression"
    )
    wait_until(lambda: market.searcher.network.status().cards == 1)
    said = run("predict_iris.py", lab=market.searcher)
    accuracies = [float(text) for text in re.findall(r"accuracy (\S+)", said)]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.95


def test_four_hospitals_help_each_other() -> None:
    said = run("four_hospitals.py")
    mixes = [float(text) for text in re.findall(r"mix AUC (\S+)", said)]
    assert len(mixes) == 4
    assert sum(mixes) / 4 > 0.7


def test_a_new_station_uses_models_of_the_others() -> None:
    """Four stations, so that it is quick; all twelve are for whoever wants to see them."""
    said = run("twelve_stations.py", "4")
    errors = [float(text) for text in re.findall(r"RMSE (\S+)", said)]
    assert len(errors) == 4
    assert max(errors) < 60


def test_the_mix_knows_newsgroups_that_no_lab_knows() -> None:
    *single, mix = [float(text) for text in re.findall(r"accuracy (\S+)", run("newsgroups.py"))]
    assert len(single) == 2
    assert mix > max(single)


def test_a_grid_search_chooses_between_reusers() -> None:
    said = run("grid_search.py")
    assert len(re.findall(r"in cross-validation 0\.[5-9]", said)) == 4
    assert float(re.findall(r"other patients: AUC (\S+)", said)[0]) > 0.65
