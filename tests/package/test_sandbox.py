"""The sandbox holds: every attack works outside it and none inside, at each level, for each user."""

import os
import sys
from pathlib import Path

import pytest

from skerry.errors import SandboxError
from skerry.package import sandbox
from skerry.package.process import try_levels
from skerry.package.worker import Worker

from .attacks.suite import attack_as, hostile_package

pytestmark = pytest.mark.sandbox

USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
ATTACKS_LEAST = 17


@pytest.mark.parametrize("user", USERS)
def test_every_attack_works_without_a_sandbox(user: str) -> None:
    report = attack_as(user, "none")
    assert len(report) >= ATTACKS_LEAST
    assert {name: said for name, said in report.items() if not said.startswith("worked")} == {}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", sandbox.LEVELS)
def test_every_attack_is_contained(level: str, user: str) -> None:
    report = attack_as(user, level)
    assert len(report) >= ATTACKS_LEAST
    assert {name: said for name, said in report.items() if not said.startswith("contained")} == {}


def test_both_levels_work_here_when_tried() -> None:
    assert try_levels() == {"A": "", "B": ""}


def test_a_bubblewrap_that_fails_gives_way_to_level_b(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ubuntu's AppArmor does to bubblewrap: it is installed, starts, and cannot map user ids."""
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with Worker(hostile_package(tmp_path / "hostile.zip")) as worker:
        assert worker.level == "B"
    assert "uid map" in try_levels()["A"]
    why, todo = sandbox.advice([("A", try_levels()["A"])])
    assert "uid map" in why
    assert "apparmor" in todo


def test_without_any_level_the_python_lane_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(SandboxError, match="--unsafe-models") as caught:
        Worker(hostile_package(tmp_path / "hostile.zip"), levels=["A"])
    assert caught.value.code == "E-SANDBOX-UNAVAILABLE"
    assert "bubblewrap" in caught.value.todo


def test_another_system_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="Linux alone"):
        Worker(hostile_package(tmp_path / "hostile.zip"))
