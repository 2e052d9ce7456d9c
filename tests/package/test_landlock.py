"""Landlock leaves what was listed and withholds the rest, here and for every interface version."""

import subprocess
import sys
from pathlib import Path

import pytest

from skerry.package import landlock

pytestmark = pytest.mark.sandbox

CODE = """
import sys
from pathlib import Path
from skerry.package import landlock
allowed, secret, version = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
landlock.version = lambda: version
landlock.restrict([allowed, Path("/nowhere")], [Path("/dev/null")])
assert (allowed / "file").read_text() == "allowed"
assert list(allowed.iterdir())
Path("/dev/null").write_text("x")
for deed in (secret.read_text, lambda: (allowed / "new").touch(), (allowed / "file").unlink,
             lambda: (allowed / "file").write_text("x"), lambda: list(secret.parent.iterdir())):
    try:
        deed()
    except PermissionError:
        continue
    raise SystemExit("it worked")
"""


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_what_is_not_listed_is_out_of_reach(version: int, tmp_path: Path) -> None:
    if version > landlock.version():
        version = landlock.version()
    allowed, hidden = tmp_path / "allowed", tmp_path / "hidden"
    for folder in (allowed, hidden):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    command = [sys.executable, "-c", CODE, str(allowed), str(hidden / "file"), str(version)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr


def test_a_kernel_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.restrict([], [])
