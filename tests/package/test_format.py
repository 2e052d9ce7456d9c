"""Packages of the reference are read as it reads them, ours ride along, and a false one is refused."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from skerry.errors import PackageError
from skerry.package.format import (
    Manifest,
    Package,
    StatisticalFile,
    manifest_bytes,
    read_package,
    sign_package,
    write_package,
)
from skerry.package.worker import Worker

REFERENCE = Path(__file__).parents[1] / "data" / "reference_packages"
DATA: dict[str, Callable[[], Any]] = {
    "breast_cancer_lr": datasets.load_breast_cancer,
    "diabetes_ridge": datasets.load_diabetes,
    "digits_rf": datasets.load_digits,
    "wine_svc": datasets.load_wine,
}
STATISTICS = [StatisticalFile("stat.json", "RKMETableSpecification", b'{"z": [[0]], "beta": [1]}')]
SEMANTIC = {
    "Task": {"Values": ["Classification"], "Type": "Class"},
    "Name": {"Values": "A name", "Type": "String"},
    "Output": {"Dimension": 3, "Description": {}},
}


@pytest.mark.sandbox
@pytest.mark.parametrize("name", DATA)
def test_a_package_of_the_reference_runs_unchanged(name: str) -> None:
    expected = json.loads((REFERENCE / f"{name}.expected.json").read_text())
    X = StandardScaler().fit_transform(DATA[name]().data)[expected["test_idx"]]
    package = read_package(REFERENCE / f"{name}.zip")
    assert package.lane == "python"
    assert [statistical.kind for statistical in package.statistics] == ["table"]
    assert package.requirements == ("requirements.txt", "numpy==2.4.6\nscikit-learn==1.9.1\n")
    with Worker(package) as worker:
        assert worker.level in {"A", "B"}
        assert worker.input_shape == (X.shape[1],)
        np.testing.assert_allclose(worker.predict(X), expected["pred"], rtol=1e-12)


def rezipped(source: Path, target: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Path:
    with zipfile.ZipFile(source) as old:
        contents = change({name: old.read(name) for name in old.namelist()})
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in contents.items():
            new.writestr(name, data)
    return target


def replaced(name: str, data: bytes | None) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(contents: dict[str, bytes]) -> dict[str, bytes]:
        kept = {key: value for key, value in contents.items() if key != name}
        return kept if data is None else {**kept, name: data}

    return change


def in_folder(contents: dict[str, bytes]) -> dict[str, bytes]:
    moved = {f"top/{name}": data for name, data in contents.items()}
    return {
        **moved,
        "__MACOSX/x": b"",
        "top/__pycache__/x.pyc": b"",
        "top/__init__.py~": b"",
        ".DS_Store": b"",
    }


@pytest.mark.sandbox
def test_one_top_folder_is_looked_through(tmp_path: Path) -> None:
    package = read_package(rezipped(REFERENCE / "wine_svc.zip", tmp_path / "p.zip", in_folder))
    assert package.prefix == "top/"
    with Worker(package) as worker:
        assert worker.predict(np.zeros((2, 13))).shape == (2,)


def test_missing_keys_have_the_references_defaults(tmp_path: Path) -> None:
    def change(contents: dict[str, bytes]) -> dict[str, bytes]:
        return {"learnware.yaml": b"name: old\n", "__init__.py": b"", "stat_spec.json": contents["stat.json"]}

    package = read_package(rezipped(REFERENCE / "wine_svc.zip", tmp_path / "p.zip", change))
    assert package.name == "old"
    assert (package.model.class_name, package.model.module_path, package.model.kwargs) == (
        "Model",
        "__init__.py",
        {},
    )
    assert [statistical.class_name for statistical in package.statistics] == ["RKMETableSpecification"]
    assert package.requirements is None


def test_the_legacy_class_and_any_module_path_are_labels(tmp_path: Path) -> None:
    yaml = (
        b"model: {class_name: M}\nstat_specifications:\n- {class_name: RKMEStatSpecification, "
        b"file_name: stat.json, module_path: os, kwargs: {command: rm}}\n"
    )
    path = rezipped(REFERENCE / "wine_svc.zip", tmp_path / "p.zip", replaced("learnware.yaml", yaml))
    assert read_package(path).statistics[0].kind == "table"


@pytest.mark.parametrize(
    ("yaml", "code"),
    [
        (b"- a list", "E-PACKAGE-YAML"),
        (b"model: [", "E-PACKAGE-YAML"),
        (b"model: text", "E-PACKAGE-YAML"),
        (b"model: {class_name: 'a b'}", "E-PACKAGE-YAML"),
        (b"model: {kwargs: {when: 2020-01-01}}", "E-PACKAGE-YAML"),
        (b"model: {kwargs: {number: .nan}}", "E-PACKAGE-YAML"),
        (b"!!python/object/apply:os.system ['true']", "E-PACKAGE-YAML"),
        (b"a: &a [1]\nb: *a", "E-PACKAGE-YAML"),
        (b"[" * 5000, "E-PACKAGE-YAML"),
        (b"stat_specifications: 3", "E-PACKAGE-YAML"),
        (b"stat_specifications: [3]", "E-PACKAGE-YAML"),
        (b"stat_specifications: [" + b"{}," * 20 + b"]", "E-PACKAGE-YAML"),
        (b"stat_specifications: [{class_name: Popen, module_path: subprocess}]", "E-PACKAGE-SPECIFICATION"),
        (b"stat_specifications: [{class_name: RKMETableSpecification, file_name: ../x}]", "E-PACKAGE-MEMBER"),
        (None, "E-PACKAGE-MEMBER"),
    ],
)
def test_a_learnware_yaml_that_cannot_be_used_is_refused(
    yaml: bytes | None, code: str, tmp_path: Path
) -> None:
    path = rezipped(REFERENCE / "wine_svc.zip", tmp_path / "p.zip", replaced("learnware.yaml", yaml))
    with pytest.raises(PackageError) as caught:
        read_package(path)
    assert caught.value.code == code


def test_a_semantic_file_is_found_by_name_or_by_default(tmp_path: Path) -> None:
    semantic = json.dumps(SEMANTIC).encode()
    path = rezipped(
        REFERENCE / "wine_svc.zip", tmp_path / "p.zip", replaced("semantic_specification.json", semantic)
    )
    package = read_package(path)
    assert (package.name, package.task, package.classes, package.outputs) == (
        "A name",
        "classification",
        (0, 1, 2),
        3,
    )
    assert package.semantic is not None
    assert package.semantic["License"]["Values"] == ["Apache-2.0"]


@pytest.mark.parametrize("data", [b"{", b"[]", b"[" * 100_000])
def test_a_semantic_file_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    path = rezipped(
        REFERENCE / "wine_svc.zip", tmp_path / "p.zip", replaced("semantic_specification.json", data)
    )
    with pytest.raises(PackageError) as caught:
        read_package(path)
    assert caught.value.code == "E-PACKAGE-SPECIFICATION"


def written(path: Path) -> Package:
    return write_package(
        path,
        manifest=Manifest(
            lane="python", task="classification", classes=["a", "b"], outputs=2, libraries={"numpy": "2"}
        ),
        files={"__init__.py": b"x = 1\n", "model.pkl": bytes(1000)},
        semantic=SEMANTIC,
        statistics=STATISTICS,
    )


def test_a_written_package_reads_back_and_is_the_same_every_time(tmp_path: Path) -> None:
    package = written(tmp_path / "one.zip")
    written(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert package.manifest is not None
    assert set(package.manifest.files) == {
        "__init__.py", "model.pkl", "learnware.yaml", "semantic_specification.json", "stat.json"
    }  # fmt: skip
    assert (package.name, package.classes, package.outputs) == ("A name", ("a", "b"), 2)
    assert package.statistics == tuple(STATISTICS)
    assert package.signature is None


def test_a_signature_rides_along_and_covers_what_it_covered(tmp_path: Path) -> None:
    written(tmp_path / "plain.zip")
    covered = manifest_bytes(tmp_path / "plain.zip")
    package = sign_package(tmp_path / "plain.zip", tmp_path / "signed.zip", b"signature")
    assert package.signature == b"signature"
    assert manifest_bytes(tmp_path / "signed.zip") == covered


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (replaced("model.pkl", b"other"), "model.pkl"),
        (replaced("model.pkl", None), "model.pkl"),
        (replaced("extra.py", b"x"), "extra.py"),
        (replaced("skerry.json", b"{}"), "skerry.json"),
        (replaced("skerry.json", b'{"format": 2, "lane": "python"}'), "skerry.json"),
        (replaced("skerry.json", b'{"lane": "rocket"}'), "skerry.json"),
        (
            replaced("skerry.json", json.dumps({"lane": "python", "columns": ["c" * 2000]}).encode()),
            "skerry.json",
        ),
    ],
)
def test_a_manifest_that_is_not_true_is_refused(change: Any, named: str, tmp_path: Path) -> None:
    written(tmp_path / "whole.zip")
    path = rezipped(tmp_path / "whole.zip", tmp_path / "changed.zip", change)
    with pytest.raises(PackageError) as caught:
        read_package(path)
    assert (caught.value.code, caught.value.where) == ("E-PACKAGE-MANIFEST", named)
