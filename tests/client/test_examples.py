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


def run(name: str, lab: Lab) -> str:
    command = [sys.executable, ROOT / "examples" / name]
    done = subprocess.run(
        command,
        env={**os.environ, **lab.environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_publishing_and_predicting(market: Market) -> None:
    market.clear()
    assert run("publish_iris.py", market.owner).startswith(
        "iris-species v1: Classification by LogisticRegression"
    )
    wait_until(lambda: market.searcher.network.status().cards == 1)
    said = run("predict_iris.py", market.searcher)
    accuracies = [float(text) for text in re.findall(r"accuracy (\S+)", said)]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.95
