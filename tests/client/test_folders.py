"""Where things lie: what is said, then the environment, then the platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.client.folders import cache_folder, node_folder


def test_what_is_said_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_HOME", str(tmp_path / "environment"))
    monkeypatch.setenv("SKERRY_CACHE", str(tmp_path / "environment"))
    assert node_folder(tmp_path / "said") == tmp_path / "said"
    assert node_folder() == tmp_path / "environment"
    assert cache_folder(tmp_path / "said") == tmp_path / "said"
    assert cache_folder() == tmp_path / "environment"


def test_without_a_word_the_platform_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SKERRY_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert node_folder().name == "skerry"


def test_the_cache_is_private_and_left_out_of_backups(tmp_path: Path) -> None:
    folder = cache_folder(tmp_path / "cache")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
