"""The whole package has types that a type checker outside can rely on: `pyright --verifytypes` at 100 %."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.tree import ROOT


def test_every_public_symbol_has_a_known_type(tmp_path: Path) -> None:
    """What other packages leave without types is not ours; it is declared where we derive from it."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--verifytypes", "skerry"]
    places = [str(ROOT / "src"), sysconfig.get_path("purelib")]
    done = subprocess.run(
        [*command, "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    assert report["packageName"] == "skerry"
    assert report["exportedSymbolCounts"]["withKnownType"] > 3000
    unknown = {
        symbol["name"]: [said["message"] for said in symbol["diagnostics"]]
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    }
    assert unknown == {}
    assert report["completenessScore"] == 1
