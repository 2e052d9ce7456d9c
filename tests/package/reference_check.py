"""Run the reference engine's own checkers on unpacked packages, and ask their models.

``.venv-reference/bin/python -P reference_check.py FOLDER...`` prints one JSON object a folder; each holds a
``package`` folder and ``rows.npy``.
"""

import json
import sys
from pathlib import Path

import numpy as np
from learnware.learnware import get_learnware_from_dirpath
from learnware.market.easy import EasySemanticChecker, EasyStatChecker

for folder in map(Path, sys.argv[1:]):
    semantic = json.loads((folder / "package" / "semantic_specification.json").read_text())
    learnware = get_learnware_from_dirpath("00000001", semantic, str(folder / "package"))
    report = {
        checker.__name__: [int(part) if isinstance(part, int) else str(part) for part in checker()(learnware)]
        for checker in (EasySemanticChecker, EasyStatChecker)
    }
    report["predictions"] = np.asarray(learnware.predict(np.load(folder / "rows.npy"))).tolist()
    print("report", json.dumps(report))
