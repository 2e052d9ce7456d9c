"""Lanes: how a package's model is loaded inside its worker, by the format it lies in.

The python lane executes the package's own code; :mod:`skerry.package.serve` does that itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(lane: str, folder: Path) -> Any:
    """Load the model of an unpacked package."""
    raise ValueError(f"lane {lane!r} is not known ({folder})")
