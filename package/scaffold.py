"""A package that is written by hand: its first files, and the folder packed into a zip.

For models that no converter knows. ``new_package`` writes a folder with everything in its place and the
places to fill in marked; ``pack_folder`` makes the zip, with a manifest, and reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from skerry.errors import PackageError

from . import limits
from .format import (
    MANIFEST_NAME,
    SEMANTIC_NAME,
    SIGNATURE_NAME,
    STATISTICAL_NAME,
    YAML_NAME,
    Manifest,
    Package,
    is_litter,
    pack,
)

_METHODS: Final = ("predict", "predict_proba", "finetune")
"""Those of them that the class has are offered."""
_MODEL: Final = '''"""What the learnware does. Skerry runs it in a sandbox without a network."""

import os

import numpy as np
from learnware.model import BaseModel

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Model(BaseModel):
    def __init__(self):
        # The shape of one row and of one answer; (1,) for labels and single numbers.
        super().__init__(input_shape=(COLUMNS,), output_shape=(1,))
        # Load the files that you put beside this one, by their path in FOLDER.

    def predict(self, X):
        # One answer a row. A classifier answers with numbers of classes, from 0.
        return np.zeros(len(X), dtype=int)
'''
_YAML: Final = """model:
  class_name: Model
  module_path: __init__.py
  kwargs: {}
stat_specifications:
- class_name: RKMETableSpecification
  file_name: stat_spec.json
  module_path: learnware.specification
  kwargs: {}
semantic_specification:
  file_name: semantic_specification.json
"""
_REQUIREMENTS: Final = "# The libraries that the model imports, one name==version a line.\nnumpy\n"
_COLUMNS: Final = ("first", "second", "third", "fourth")
"""Stand-ins for the names of a model's columns."""
_SEMANTIC: Final[dict[str, Any]] = {
    "Data": {"Values": ["Table"], "Type": "Class"},
    "Task": {"Values": ["Classification"], "Type": "Class"},
    "Library": {"Values": ["Others"], "Type": "Class"},
    "Scenario": {"Values": ["Others"], "Type": "Tag"},
    "License": {"Values": ["Apache-2.0"], "Type": "Class"},
    "Name": {"Values": "", "Type": "String"},
    "Description": {"Values": "", "Type": "String"},
    "Output": {"Dimension": 2, "Description": {"0": "no", "1": "yes"}},
}


def new_package(
    folder: Path, *, columns: Sequence[str] = _COLUMNS, specification_json: bytes | None = None
) -> list[Path]:
    """Write the first files of a package into a new folder and return their paths.

    Parameters
    ----------
    columns
        Names of the model's input columns.
    specification_json
        The statistical specification in the reference's JSON; without it ``stat_spec.json`` is to be added.

    Raises
    ------
    PackageError
        ``E-PACKAGE-FOLDER``: the folder is there and not empty, or cannot be written.
    """
    inputs = {"Dimension": len(columns), "Description": dict(enumerate(columns))}
    files = {
        "__init__.py": _MODEL.replace("(COLUMNS,)", f"({len(columns)},)"),
        YAML_NAME: _YAML,
        "requirements.txt": _REQUIREMENTS,
        SEMANTIC_NAME: json.dumps({**_SEMANTIC, "Input": inputs}, indent=4) + "\n",
    }
    if specification_json is not None:
        files[STATISTICAL_NAME] = specification_json.decode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise _folder_error(folder, "it is not empty", "Give the name of a new folder")
        for name, text in files.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise _folder_error(folder, str(error), "Choose a folder that you may write to") from error
    return [folder / name for name in files]


def pack_folder(folder: Path, path: Path) -> Package:
    """Pack a folder into a zip and return it as read back: with the manifest of the python lane.

    Parameters
    ----------
    folder
        Holds ``learnware.yaml`` and what it names; hidden files and what editors leave are left out.
    path
        The zip to write.

    Raises
    ------
    PackageError
        ``E-PACKAGE-FOLDER`` when the folder cannot be read, holds links or is too large; otherwise what
        :func:`skerry.package.format.read_package` finds.
    """
    try:
        files = [file for file in sorted(folder.rglob("*")) if _belongs(file.relative_to(folder).as_posix())]
        if links := [file for file in files if file.is_symlink()]:
            raise _folder_error(links[0], "it is a link", "Put the file itself there")
        files = [file for file in files if file.is_file()]
        if sum(file.stat().st_size for file in files) > limits.ARCHIVE_BYTES_MAX:
            raise _folder_error(folder, f"it has over {limits.ARCHIVE_BYTES_MAX} bytes", "Leave files out")
        contents = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    except OSError as error:
        raise _folder_error(folder, str(error), "Check that it is there and may be read") from error
    return pack(path, contents, Manifest(lane="python", task=_task(contents), methods=_METHODS))


def _belongs(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and not is_litter(name) and name not in {MANIFEST_NAME, SIGNATURE_NAME}


def _task(contents: dict[str, bytes]) -> str:
    """Return the task that the semantic specification names, in lower case, if it does."""
    try:
        return str(json.loads(contents[SEMANTIC_NAME])["Task"]["Values"][0]).lower()
    except (KeyError, IndexError, TypeError, ValueError):
        return ""


def _folder_error(where: Path, why: str, todo: str) -> PackageError:
    return PackageError(
        "The folder cannot be used as a package",
        where=str(where),
        why=why,
        todo=todo,
        code="E-PACKAGE-FOLDER",
    )
