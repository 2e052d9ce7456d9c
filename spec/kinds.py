"""Data of any kind as the rows that a specification of that kind is made of.

Tables are their own rows; texts and images become rows by the extractor that the specification's island
names. Whoever has a specification and data of its kind needs to know no more.
"""

from __future__ import annotations

from typing import Any

from .fit import fit_table
from .image import IMAGE_EXTRACTORS, fit_image, image_features
from .rkme import Floats, Rkme
from .table import read_table
from .text import TEXT_EXTRACTORS, fit_text, text_features


def rows_of(X: Any, like: Rkme) -> Floats:
    """Return data as rows (n, d) in the space of a specification.

    Parameters
    ----------
    X
        A table in the specification's columns, texts, or images.
    like
        A specification of that kind; it names the extractor and, for images, the value of white.

    Raises
    ------
    SpecificationError
        When the data are not of that kind, or the extractor is not known here.
    """
    if like.kind == "text":
        return text_features(X, like.island.extractor)
    if like.kind == "image":
        return image_features(X, like.island.extractor, white=_white(like))
    return read_table(X).values


def fit_like(X: Any, like: Rkme) -> Rkme:
    """Return the specification of data of the kind of another one; parameters and errors as ``rows_of``."""
    if like.kind == "text":
        return fit_text(X, extractor=like.island.extractor)
    if like.kind == "image":
        return fit_image(X, extractor=like.island.extractor, white=_white(like))
    return fit_table(X)


def known_extractor(rkme: Rkme) -> bool:
    """Return whether data can be made rows of a specification's space here; the engine's own cannot."""
    known = {"table": [""], "text": TEXT_EXTRACTORS.values(), "image": IMAGE_EXTRACTORS.values()}[rkme.kind]
    return rkme.island.extractor in known


def _white(like: Rkme) -> float | None:
    white = like.meta.get("white")
    return None if white is None else float(white)
