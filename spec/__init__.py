"""What a learnware is good for, as numbers: specifications, the metric between them, search and mixes.

This component is pure: no files, sockets, clocks, threads or global random state; arrays, bytes and seeds
are arguments. Public names are resolved when they are first used, so that importing the component costs
no more than numpy.

The way through it: ``fit_table``, ``fit_text`` and ``fit_image`` make an :class:`Rkme`; ``mmd2`` compares two
in the searcher's metric; ``SketchIndex`` finds candidates and ``rank`` orders them exactly; ``mix`` combines
the best; ``responsibility`` says row by row who should answer. ``docs/specification.md`` has the mathematics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bridging import Bridge, align, align_across, bridge, bridge_of, fit_bridge
    from .explaining import ColumnShare, Explanation, NoiseFloor, explain, noise_floor
    from .exposing import Exposure, exposure, require_no_copies, without_copies
    from .fit import fit_table, unreduced
    from .gaussian import GaussianDistance
    from .image import fit_image, image_features
    from .index import SketchIndex
    from .island import Column, Island
    from .kinds import fit_like, rows_of
    from .labels import ExpectedLoss, Labelled, expected_loss, weigh_labels
    from .matching import Match, match_columns
    from .merging import fit_chunks, merge
    from .metric import Scale, kernel_cosine, mmd2
    from .mixing import Mix, mix, responsibility
    from .pictures import plot_columns, plot_distances, plot_islands, plot_reduced_set
    from .ranking import Ranking, rank
    from .reference_market import ReferenceResult, reference_search
    from .rkme import Marginals, Rkme
    from .semantic import Features, SemanticSpec, TypedColumn
    from .sketch import Sketch, check_sketch, noisy_sketch, sketch_of
    from .specification import Specification
    from .text import fit_text, text_features
    from .transformer import RkmeTransformer

_HOMES = {
    "Bridge": "bridging",
    "Column": "island",
    "ColumnShare": "explaining",
    "ExpectedLoss": "labels",
    "Explanation": "explaining",
    "Exposure": "exposing",
    "Features": "semantic",
    "GaussianDistance": "gaussian",
    "Island": "island",
    "Labelled": "labels",
    "Marginals": "rkme",
    "Match": "matching",
    "Mix": "mixing",
    "NoiseFloor": "explaining",
    "Ranking": "ranking",
    "ReferenceResult": "reference_market",
    "Rkme": "rkme",
    "RkmeTransformer": "transformer",
    "Scale": "metric",
    "SemanticSpec": "semantic",
    "Sketch": "sketch",
    "SketchIndex": "index",
    "Specification": "specification",
    "TypedColumn": "semantic",
    "align": "bridging",
    "align_across": "bridging",
    "bridge": "bridging",
    "bridge_of": "bridging",
    "check_sketch": "sketch",
    "expected_loss": "labels",
    "explain": "explaining",
    "exposure": "exposing",
    "fit_bridge": "bridging",
    "fit_chunks": "merging",
    "fit_image": "image",
    "fit_like": "kinds",
    "fit_table": "fit",
    "fit_text": "text",
    "image_features": "image",
    "kernel_cosine": "metric",
    "match_columns": "matching",
    "merge": "merging",
    "mix": "mixing",
    "mmd2": "metric",
    "noise_floor": "explaining",
    "plot_columns": "pictures",
    "plot_distances": "pictures",
    "plot_islands": "pictures",
    "plot_reduced_set": "pictures",
    "rank": "ranking",
    "reference_search": "reference_market",
    "require_no_copies": "exposing",
    "responsibility": "mixing",
    "rows_of": "kinds",
    "noisy_sketch": "sketch",
    "sketch_of": "sketch",
    "text_features": "text",
    "unreduced": "fit",
    "weigh_labels": "labels",
    "without_copies": "exposing",
}

__all__ = [
    "Bridge",
    "Column",
    "ColumnShare",
    "ExpectedLoss",
    "Explanation",
    "Exposure",
    "Features",
    "GaussianDistance",
    "Island",
    "Labelled",
    "Marginals",
    "Match",
    "Mix",
    "NoiseFloor",
    "Ranking",
    "ReferenceResult",
    "Rkme",
    "RkmeTransformer",
    "Scale",
    "SemanticSpec",
    "Sketch",
    "SketchIndex",
    "Specification",
    "TypedColumn",
    "align",
    "align_across",
    "bridge",
    "bridge_of",
    "check_sketch",
    "expected_loss",
    "explain",
    "exposure",
    "fit_bridge",
    "fit_chunks",
    "fit_image",
    "fit_like",
    "fit_table",
    "fit_text",
    "image_features",
    "kernel_cosine",
    "match_columns",
    "merge",
    "mix",
    "mmd2",
    "noise_floor",
    "noisy_sketch",
    "plot_columns",
    "plot_distances",
    "plot_islands",
    "plot_reduced_set",
    "rank",
    "reference_search",
    "require_no_copies",
    "responsibility",
    "rows_of",
    "sketch_of",
    "text_features",
    "unreduced",
    "weigh_labels",
    "without_copies",
]


def __getattr__(name: str) -> object:
    """Import the module that defines a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
