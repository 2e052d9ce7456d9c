"""The unit that is printed is one that systemd accepts, and it takes away what a node does not need."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.client.cli.running import skerry

EXPOSURE_MAX = 2.0
"""systemd's own figure, 0 (confined) to 10 (unconfined); a service without any of this scores 9.6."""


@pytest.mark.server
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    made = skerry("service", "--folder", str(tmp_path / "a node"), "--account", "www-data")
    unit = tmp_path / "skerry.service"
    unit.write_text(made.stdout)
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=30, check=False
    )
    assert "skerry.service" not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    exposure = re.search(r"exposure level for skerry\.service: ([\d.]+)", judged.stdout)
    assert exposure is not None, judged.stderr
    assert float(exposure[1]) < EXPOSURE_MAX, judged.stdout


def test_a_unit_for_the_users_own_systemd_needs_no_privilege(tmp_path: Path) -> None:
    made = json.loads(skerry("service", "--user", "--json", "--folder", str(tmp_path)).stdout)
    unit = made["unit"]
    assert "User=" not in unit
    assert "ProtectSystem" not in unit
    assert "WantedBy=default.target" in unit
    assert f"--folder {tmp_path}" in unit
    assert made["path"].startswith("~/.config/systemd/user")


def test_config_get_says_where_a_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[node]\nadvertise = ["a.example:1"]\n')
    environment = {"SKERRY_LOG__LEVEL": "debug"}

    def get(*arguments: str) -> str:
        made = skerry("config", "get", *arguments, "--folder", str(tmp_path), environment=environment)
        return made.stdout or made.stderr

    assert get("node.advertise") == '["a.example:1"]\n'
    lines = dict(line.split(" = ", 1) for line in get("--show-source").splitlines())
    assert lines["node.advertise"] == f'["a.example:1"]  # {tmp_path}/config.toml'
    assert lines["log.level"] == '"debug"  # environment SKERRY_LOG__LEVEL'
    assert lines["log.format"] == '"console"  # default'
    assert "nearest known key is 'node.advertise'" in get("node.advertize")
    (found,) = json.loads(get("log.level", "--json"))["settings"]
    assert found["value"] == "debug"
