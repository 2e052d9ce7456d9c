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


def model_package(path: Path, body: str, *, classes: list[Any] | None = None, outputs: int = 1) -> Package:
    """Write a package whose class ``Model`` has `body` (indented by four) and ends with no constructor arguments."""
    source = f"{HEAD}\nclass Model(BaseModel):\n    def __init__(self):\n        super().__init__((2,), (1,))\n{body}\n"
    return write_package(
        path,
        manifest=Manifest(lane="python", classes=classes, outputs=outputs),
        files={"__init__.py": source.encode()},
        semantic=None,
        statistics=[StatisticalFile("stat.json", "RKMETableSpecification", b"{}")],
        model=ModelEntry(),
    )
