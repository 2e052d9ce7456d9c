"""What `package new` writes becomes a learnware by filling in, and a folder is packed as it stands."""

import json
from pathlib import Path

import numpy as np
import pytest

from skerry.errors import PackageError
from skerry.package.checks import check_package
from skerry.package.scaffold import new_package, pack_folder
from skerry.package.worker import Worker
from skerry.spec import fit_table

ROWS = np.random.default_rng(0).normal(size=(200, 4))


def filled_in(folder: Path) -> Path:
    new_package(folder)
    (folder / "stat_spec.json").write_bytes(fit_table(ROWS, size=5).to_reference_json())
    semantic = json.loads((folder / "semantic_specification.json").read_text())
    semantic["Name"]["Values"] = "A hand-made one"
    semantic["Description"]["Values"] = "It always answers no."
    (folder / "semantic_specification.json").write_text(json.dumps(semantic))
    return folder


@pytest.mark.sandbox
def test_a_new_package_that_was_filled_in_passes_every_check(tmp_path: Path) -> None:
    package = pack_folder(filled_in(tmp_path / "mine"), tmp_path / "mine.zip")
    assert (package.name, package.task, package.classes) == ("A hand-made one", "classification", (0, 1))
    report = check_package(package.path, data=ROWS)
    assert report.usable, report.to_json()
    assert {result.outcome for result in report.results} == {"passed"}
    with Worker(package) as worker:
        assert worker.predict(np.zeros((3, 4))).tolist() == [0, 0, 0]


@pytest.mark.sandbox
def test_scores_of_a_hand_made_classifier_stay_scores(tmp_path: Path) -> None:
    folder = filled_in(tmp_path / "mine")
    source = (folder / "__init__.py").read_text()
    source = source.replace("output_shape=(1,)", "output_shape=(2,)")
    (folder / "__init__.py").write_text(
        source.replace("np.zeros(len(X), dtype=int)", "np.full((len(X), 2), 0.5)")
    )
    package = pack_folder(folder, tmp_path / "mine.zip")
    assert check_package(package.path).usable
    with Worker(package) as worker:
        assert worker.predict(np.zeros((3, 4))).shape == (3, 2)
        assert worker.predict_proba(np.zeros((3, 4))).tolist() == [[0.5, 0.5]] * 3


def test_what_editors_leave_and_hidden_files_stay_out(tmp_path: Path) -> None:
    folder = filled_in(tmp_path / "mine")
    for name in (
        "__pycache__/x.pyc",
        ".git/config",
        ".env",
        "notes~",
        "sub/.secret",
        "sub/kept.bin",
        "skerry.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    package = pack_folder(folder, tmp_path / "mine.zip")
    assert package.manifest is not None
    assert set(package.manifest.files) == {
        *(
            "__init__.py",
            "learnware.yaml",
            "requirements.txt",
            "semantic_specification.json",
            "stat_spec.json",
        ),
        "sub/kept.bin",
    }


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PackageError, match="not empty") as caught:
        new_package(tmp_path)
    assert caught.value.code == "E-PACKAGE-FOLDER"
    with pytest.raises(PackageError):
        new_package(tmp_path / "file")


def test_a_link_is_refused(tmp_path: Path) -> None:
    folder = filled_in(tmp_path / "mine")
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(PackageError, match="it is a link"):
        pack_folder(folder, tmp_path / "mine.zip")


def test_a_folder_without_a_learnware_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageError, match=r"learnware\.yaml"):
        pack_folder(tmp_path / "empty", tmp_path / "mine.zip")
