"""Packages for the tests of workers: one small hostile or honest model each, from its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skerry.package.format import Manifest, ModelEntry, Package, StatisticalFile, write_package

HEAD = """
import os, sys, time
import numpy as np
from learnware.model import BaseModel
"""


CLASS = """
class Model(BaseModel):
    def __init__(self):
        super().__init__((2,), (1,))
"""


def model_package(
    path: Path, body: str, *, classes: list[Any] | None = None, outputs: int = 1, statistical: bytes = b"{}"
) -> Package:
    """Write a package whose class ``Model`` goes on with `body`, first in its constructor."""
    source = f"{HEAD}{CLASS}{body}\n"
    return write_package(
        path,
        manifest=Manifest(
            lane="python",
            classes=classes,
            outputs=outputs,
            methods=("predict", "predict_proba", "finetune"),
        ),
        files={"__init__.py": source.encode()},
        semantic=None,
        statistics=[StatisticalFile("stat.json", "RKMETableSpecification", statistical)],
        model=ModelEntry(),
    )
