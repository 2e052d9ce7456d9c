"""The reference engine itself reads what we write, and measures it as we do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from skerry.spec import Rkme, fit_table, mmd2

PYTHON = Path(__file__).parent.parent.parent / ".venv-reference" / "bin" / "python"
SCRIPT = """
import json, sys
from learnware.specification import RKMETableSpecification
specs = [RKMETableSpecification(cuda_idx=-1) for _ in sys.argv[1:3]]
for spec, path in zip(specs, sys.argv[1:3]):
    spec.load(path)
specs[0].save(sys.argv[3])
print(json.dumps([float(specs[0].dist(specs[1])), specs[0].get_z().shape]))
"""


@pytest.mark.reference
@pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-reference, made by `make reference`")
def test_the_engine_reads_what_we_write(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = (
        fit_table(rng.normal(size=(300, 4)), 20, 0.1),
        fit_table(rng.normal(1, 1, (200, 4)), 10, 0.1),
    )
    paths = [tmp_path / name for name in ("first.json", "second.json", "saved.json")]
    paths[0].write_bytes(first.to_reference_json())
    paths[1].write_bytes(second.to_reference_json())
    # The engine writes to ~/.learnware when it is imported.
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [PYTHON, "-P", "-c", SCRIPT, *paths]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=100)
    distance, shape = json.loads(answer.stdout.splitlines()[-1])
    assert shape == [20, 4]
    assert distance == pytest.approx(mmd2(first, second, "reference"), rel=1e-6)
    saved = Rkme.from_reference_json(paths[2].read_bytes())
    np.testing.assert_array_equal(saved.points, first.points)
    np.testing.assert_array_equal(saved.weights, first.weights)
