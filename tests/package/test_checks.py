"""The checks say of the reference's packages what its own checkers say, and find what ours must find."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.errors import SandboxError
from skerry.package.build import build_package
from skerry.package.checks import FORM_CHECKS, RUN_CHECKS, Report, check_package
from skerry.spec import fit_table

from .models import model_package
from .test_format import REFERENCE

pytestmark = pytest.mark.sandbox
PREDICT = "    def predict(self, X):\n        return {}\n"
ALL = [check.code for check in (*FORM_CHECKS, *RUN_CHECKS)]


def semantic_of(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((REFERENCE / f"{name}.semantic.json").read_text())
    return document


def failures(report: Report) -> list[str]:
    return [result.code for result in report.results if result.outcome == "failed"]


@pytest.mark.parametrize("name", ["breast_cancer_lr", "diabetes_ridge", "wine_svc"])
def test_a_package_of_the_reference_passes_every_check(name: str) -> None:
    report = check_package(REFERENCE / f"{name}.zip", semantic=semantic_of(name))
    assert [result.code for result in report.results] == ALL
    assert report.usable, report.to_json()
    assert report.level in {"A", "B"}
    assert [result["code"] for result in json.loads(report.to_json())["results"]] == ALL


def variant(name: str) -> dict[str, Any]:
    """Return the semantic specification of one of the reference's recorded variants."""
    document = copy.deepcopy(semantic_of("digits_rf"))
    changes: dict[str, Any] = {
        "license_two": lambda: document["License"].update(Values=["MIT", "Apache-2.0"]),
        "no_desc": lambda: document["Description"].update(Values=""),
        "bad_task": lambda: document["Task"].update(Values=["Clustering"]),
        "no_input": lambda: document.pop("Input"),
        "class_dim1": lambda: document["Output"].update(Dimension=1, Description={"0": "x"}),
        "scenario_empty": lambda: document["Scenario"].update(Values=[]),
        "input_idx_oob": lambda: document["Input"]["Description"].update({"64": "x"}),
        "no_Model_key": lambda: document.pop("Model"),
        "stat:input_dim_63": lambda: document["Input"].update(
            Dimension=63, Description=dict.fromkeys(map(str, range(63)), "x")
        ),
        "stat:labels_exceed_out_dim5": lambda: document["Output"].update(
            Dimension=5, Description=dict.fromkeys(map(str, range(5)), "x")
        ),
    }
    changes[name]()
    return document


@pytest.mark.parametrize(("name", "status"), json.loads((REFERENCE / "negative.json").read_text()).items())
def test_variants_are_judged_as_the_reference_judges_them(name: str, status: int) -> None:
    report = check_package(REFERENCE / "digits_rf.zip", semantic=variant(name))
    assert report.usable == (status >= 0), report.to_json()
    assert bool(failures(report)) == (status < 0)


def test_without_a_semantic_specification_nothing_is_run() -> None:
    report = check_package(REFERENCE / "wine_svc.zip")
    assert failures(report) == ["E-CHECK-SEMANTIC"]
    assert {result.outcome for result in report.results if result.code.startswith("E-CHECK-RUN")} == {
        "skipped"
    }
    assert report.level is None


def test_a_machine_without_a_sandbox_is_not_the_fault_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="Linux alone") as caught:
        check_package(REFERENCE / "wine_svc.zip", semantic=semantic_of("wine_svc"))
    assert caught.value.code == "E-SANDBOX-UNAVAILABLE"


def test_without_rows_nothing_is_said_about_copies() -> None:
    report = check_package(REFERENCE / "wine_svc.zip", semantic=semantic_of("wine_svc"))
    (copies,) = (result for result in report.results if result.code == "E-CHECK-COPIES")
    assert (copies.outcome, copies.why) == ("skipped", "no rows were given")
    assert report.usable


def packed(path: Path, X: Any, y: Any, specification: bytes) -> Path:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    semantic = semantic_of("wine_svc")
    return build_package(model, X, y, semantic=semantic, specification_json=specification, path=path).path


def test_copies_of_rows_are_found_and_a_proper_specification_has_none(tmp_path: Path) -> None:
    X, y = datasets.load_wine(return_X_y=True)
    fitted = packed(tmp_path / "fitted.zip", X, y, fit_table(X, size=10).to_reference_json())
    report = check_package(fitted, data=X)
    assert report.usable, report.to_json()
    copied = json.dumps(
        {"z": X[:20].tolist(), "beta": [0.05] * 20, "gamma": 0.1, "type": "RKMETableSpecification"}
    )
    report = check_package(packed(tmp_path / "copied.zip", X, y, copied.encode()), data=X)
    assert failures(report) == ["E-CHECK-COPIES"]
    assert "20 of its 20 points" in report.to_json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("        raise RuntimeError('no start')", "E-CHECK-RUNS"),
        ("    def predict(self, X):\n        raise ValueError('no')", "E-CHECK-RUNS"),
        ("    def predict(self, X):\n        return np.zeros(3)", "E-CHECK-RUNS"),
        (
            "        self.input_shape = (12,)\n" + PREDICT.format("np.zeros(len(X), int)"),
            "E-CHECK-INPUT",
        ),
        (
            "        self.input_shape = (13,)\n" + PREDICT.format("np.zeros((len(X), 3))"),
            "E-CHECK-OUTPUT",
        ),
        (
            "        self.input_shape = (13,); self.output_shape = (4,)\n"
            "    def predict(self, X):\n        return np.zeros((len(X), 4))",
            "E-CHECK-CLASSES",
        ),
        (
            "        self.input_shape = (13,)\n" + PREDICT.format("np.full(len(X), 3)"),
            "E-CHECK-CLASSES",
        ),
    ],
)
def test_a_model_that_breaks_a_rule_is_named(body: str, code: str, tmp_path: Path) -> None:
    statistical = fit_table(np.random.default_rng(0).normal(size=(100, 13)), size=5).to_reference_json()
    package = model_package(tmp_path / "model.zip", body, statistical=statistical)
    report = check_package(package.path, semantic=semantic_of("wine_svc"))
    assert failures(report) == [code], report.to_json()
    found = next(result for result in report.results if result.code == code)
    assert found.why
    assert found.todo
