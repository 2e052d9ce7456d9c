"""The layout: flat component folders, one namespace, and a wheel that lacks nothing.

A wheel built through the sdist can silently lack a folder when the build configuration names the wrong one,
and nothing but a missing import at a user's would tell. So both are built here and compared with the tree.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.tree import COMPONENTS, ROOT


def files_of_the_tree() -> set[str]:
    """Return every tracked or new file that the wheel must hold, by its path in the wheel."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *COMPONENTS],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    components = {f"skerry/{line}" for line in listing if (ROOT / line).is_file()}
    return components | {"skerry/__init__.py", "skerry/errors.py", "skerry/py.typed"}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an sdist, and a wheel through it, as an index would receive them."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    return folder


def test_the_wheel_holds_every_file_of_every_component(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("skerry/")}
    assert packed == files_of_the_tree()


def test_the_sdist_holds_no_link(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        assert [member.name for member in sdist.getmembers() if member.issym() or member.islnk()] == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_is_linked_into_the_namespace(component: str) -> None:
    link = ROOT / "src" / "skerry" / component
    assert link.is_symlink()
    assert link.readlink() == Path("../..") / component


def test_nothing_but_the_package_root_is_real_under_src() -> None:
    real = {
        path.name for path in (ROOT / "src" / "skerry").iterdir() if not path.is_symlink() and path.is_file()
    }
    assert real == {"__init__.py", "errors.py", "py.typed"}


def test_no_folder_named_like_the_package_shadows_it() -> None:
    assert not (ROOT / "skerry").exists()
