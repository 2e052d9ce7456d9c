"""Lanes: how a package's model is checked and loaded inside its worker, by the format it lies in.

Each module of a safe lane knows the name of its file, refuses what the format could do beyond
computing, and gives a model whose ``predict`` answers with positions in the list of classes, or with
numbers. The python lane executes the package's own code; :mod:`skerry.package.serve` does that itself.

These modules run inside the sandbox: they import numpy and the library of their format, lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from . import lightgbm_lane, onnx_lane, skops_lane

FILE_NAMES: Final = {
    "onnx": onnx_lane.FILE_NAME,
    "skops": skops_lane.FILE_NAME,
    "lightgbm": lightgbm_lane.FILE_NAME,
}


def load(lane: str, data: bytes, classes: Sequence[Any] | None) -> Any:
    """Check and load the bytes of a model file.

    Parameters
    ----------
    lane
        ``onnx``, ``skops`` or ``lightgbm``.
    data
        The model file.
    classes
        The labels of a classifier, in order; None for other models.

    Raises
    ------
    ValueError
        The file holds what its lane refuses.
    """
    loaders = {"onnx": onnx_lane.load, "skops": skops_lane.load, "lightgbm": lightgbm_lane.load}
    return loaders[lane](data, classes)
