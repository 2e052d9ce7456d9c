"""The reference engine accepts the packages that we write, by its own checkers, and gets their answers."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.package.build import build_package
from skerry.package.gate import Archive
from skerry.spec import Features, SemanticSpec, fit_table

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
WINE_X, WINE_Y = datasets.load_wine(return_X_y=True)
DIABETES_X, DIABETES_Y = datasets.load_diabetes(return_X_y=True)

MODELS = {
    "pickled classifier": (make_pipeline(StandardScaler(), LogisticRegression()), WINE_X, WINE_Y, "python"),
    "pickled regressor": (Ridge(), DIABETES_X, DIABETES_Y, "python"),
    "lightgbm classifier": (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), WINE_X, WINE_Y, None),
    "lightgbm regressor": (lightgbm.LGBMRegressor(n_estimators=5, verbose=-1), DIABETES_X, DIABETES_Y, None),
}


def semantic_of(X: Any, y: Any, *, classifies: bool) -> dict[str, Any]:
    return SemanticSpec(
        data="Table",
        task="Classification" if classifies else "Regression",
        library="Scikit-learn",
        scenario=("Health",),
        license="MIT",
        name="A model of ours",
        description="Written by Skerry, read by the reference engine",
        input=Features(X.shape[1], {}),
        output=Features(len(np.unique(y)) if classifies else 1, {}),
    ).to_reference()


def lay_out(name: str, folder: Path) -> Path:
    model, X, y, lane = MODELS[name]
    model.fit(X, y)
    folder.mkdir()
    package = build_package(
        model,
        X,
        y,
        semantic=semantic_of(X, y, classifies=hasattr(model, "classes_")),
        specification_json=fit_table(X, size=20).to_reference_json(),
        path=folder / "model.zip",
        lane=lane,  # type: ignore[arg-type] # from a table of test cases
    )
    with Archive(package.path) as archive:
        archive.unpack(folder / "package")
    np.save(folder / "rows.npy", X[:20])
    return folder


@pytest.mark.reference
@pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-reference, made by `make reference`")
def test_the_reference_accepts_what_we_write(tmp_path: Path) -> None:
    folders = [lay_out(name, tmp_path / name) for name in MODELS]
    script = Path(__file__).with_name("reference_check.py")
    command = [str(PYTHON), "-P", str(script), *map(str, folders)]
    # The engine writes to ~/.learnware when it is imported.
    environment = {**os.environ, "HOME": str(tmp_path)}
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=100, env=environment
    )
    assert result.returncode == 0, result.stderr
    lines = [
        line.removeprefix("report ") for line in result.stdout.splitlines() if line.startswith("report ")
    ]
    for (name, (model, X, _, _)), line in zip(MODELS.items(), lines, strict=True):
        report = json.loads(line)
        assert report["EasySemanticChecker"][0] == 0, (name, report)
        assert report["EasyStatChecker"][0] == 1, (name, report)
        np.testing.assert_allclose(report["predictions"], model.predict(X[:20]), rtol=1e-9)
