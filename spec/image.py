"""Specifications of images.

Images become rows by a feature extractor (``extractors/patches.py``), and rows an RKME on the unit sphere, as
those of texts do. The extractor's id is part of the island; size and number of channels are not, so small and
large, grey and coloured images can be compared.

What is an image: an array of height x width, or with one or three channels on its last or first axis.
Integers are values of 0 to 255, floats of 0 to 1, unless ``white`` says which value is white. Refused, naming
the first image: values that are not finite or out of that range, images without pixels, other numbers of
channels. One image makes one point, which *is* that image's row and must not be published
(see ``exposing.py``). An image of one colour is an image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skerry.errors import SpecificationError

from .backend import Device, open_rows
from .fit import fit_rows
from .island import Island
from .limits import IMAGE_SIDE_MAX, IMAGE_SIDE_MIN, IMAGE_VALUES_AT_ONCE_MAX, ROWS_MAX
from .responses import Answers, with_responses
from .rkme import Floats, Rkme

IMAGE_EXTRACTORS: Final = {"patches": "skerry/pixels-colours-edges/1"}
"""Short names of the extractors and their ids."""

CHANNELS: Final = (1, 3)


def fit_image(
    images: Any,
    size: int | None = None,
    *,
    extractor: str = "patches",
    white: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    responses: Answers | None = None,
) -> Rkme:
    """Return the RKME of images.

    Parameters
    ----------
    images
        (n, height, width), (n, height, width, channels) or (n, channels, height, width) with 1 or 3 channels;
        or a list of images of any sizes, each of two or three such axes.
    size
        The number of points; min(100, n // 10), and at least 1, when None.
    extractor
        A short name, ``"patches"``, or an extractor's id.
    white
        The value of white; 255 for integers and 1 for floats when None. It is kept in ``meta["white"]``, so
        that images to predict are read alike.
    seed
        Seed of the sample and the first points.
    device
        As in ``fit_table``.
    responses
        A model's function from images, in an array or a list as they are given here, to answers; as in
        ``fit_text``.

    Raises
    ------
    SpecificationError
        When something is not an image; says which and why.
    """
    images = images if hasattr(images, "ndim") or not isinstance(images, Iterable) else list(images)
    rows = image_features(images, extractor, white=white)
    island = Island("image", None, rows.shape[1], _extractor(extractor).id)
    rkme = fit_rows(open_rows(rows, device), island, size, seed=seed)
    if white is not None:
        rkme = replace(rkme, meta={**rkme.meta, "white": float(white)})
    if responses is None:
        return rkme

    def ask(chosen: npt.NDArray[np.intp]) -> Any:
        return responses(images[chosen] if hasattr(images, "ndim") else [images[at] for at in chosen])

    return with_responses(rkme, rows, ask, seed)


def image_features(images: Any, extractor: str = "patches", *, white: float | None = None) -> Floats:
    """Return the rows of images, (n, d) float32 of length one.

    Parameters and errors are those of ``fit_image``.
    """
    model = _extractor(extractor)
    read = _read(images)
    rows = np.empty((len(read), model.dimension), np.float32)
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, image in enumerate(read):
        by_shape[image.shape].append(place)
    for shape, places in by_shape.items():
        step = max(1, IMAGE_VALUES_AT_ONCE_MAX // (3 * shape[0] * shape[1]))
        for start in range(0, len(places), step):
            part = places[start : start + step]
            rows[part] = model(_values(np.stack([read[place] for place in part]), part, white))
    return rows


@lru_cache(maxsize=4)
def _extractor(name: str) -> Any:
    if IMAGE_EXTRACTORS.get(name, name) == IMAGE_EXTRACTORS["patches"]:
        from .extractors.patches import Patches

        return Patches()
    raise SpecificationError(
        "The image extractor is unknown",
        where="extractor",
        why=f"{name!r} is none of {', '.join([*IMAGE_EXTRACTORS, *IMAGE_EXTRACTORS.values()])}",
        todo="Update skerry, or search with another extractor",
        code="E-SPEC-EXTRACTOR",
    )


def _read(images: Any) -> list[npt.NDArray[Any]]:
    """Return each image as (height, width, channels), in its own type."""
    axes = getattr(images, "ndim", None)
    if axes in (2, 3) and (axes == 2 or images.shape[-1] in CHANNELS):
        raise _refusal("images", f"its shape is {images.shape}: one image", todo="Pass several, or [image]")
    if axes is not None and axes not in (3, 4):
        raise _refusal(
            "images", f"its shape is {images.shape}; images, height, width and channels are needed"
        )
    try:
        read = list(images)
    except TypeError as error:
        raise _refusal("images", f"images are needed, not {type(images).__name__}") from error
    if not 1 <= len(read) <= ROWS_MAX:
        raise _refusal("images", f"{len(read)} images; at least 1 and at most {ROWS_MAX} are allowed")
    return [_image(image, place) for place, image in enumerate(read)]


def _image(image: Any, place: int) -> npt.NDArray[Any]:
    """Return one image as (height, width, channels)."""
    try:
        array = np.asarray(image)
    except (ValueError, TypeError) as error:
        raise _refusal(f"image {place}", "it is no array") from error
    if array.dtype.kind not in "biuf":
        raise _refusal(f"image {place}", f"its values are of type {array.dtype}, numbers are needed")
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and array.shape[2] not in CHANNELS and array.shape[0] in CHANNELS:
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 3 or array.shape[2] not in CHANNELS:
        todo = "Leave out the channel of transparency" if array.ndim == 3 and 4 in array.shape else ""
        why = f"its shape is {np.shape(image)}; height, width, and 1 or 3 channels are needed"
        raise _refusal(f"image {place}", why, todo=todo)
    if min(array.shape[:2]) < IMAGE_SIDE_MIN or max(array.shape[:2]) > IMAGE_SIDE_MAX:
        size = f"{array.shape[0]} x {array.shape[1]} pixels"
        raise _refusal(f"image {place}", f"{size}; {IMAGE_SIDE_MIN} to {IMAGE_SIDE_MAX} a side are needed")
    return array


def _values(images: npt.NDArray[Any], places: list[int], white: float | None) -> Floats:
    """Return images (n, h, w, 1 or 3) as (n, h, w, 3) float32 in [0, 1]."""
    kind = images.dtype.kind
    largest = {"b": 1.0, "f": 1.0}.get(kind, 255.0) if white is None else white
    if not (np.isfinite(largest) and largest > 0):
        raise _refusal("white", f"{white} is not a positive number")
    values = images.astype(np.float32) / np.float32(largest)
    lowest, highest = values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3))
    # A comparison with a value that is not a number is false, so this finds those too.
    fine = (lowest >= -_ROUNDING) & (highest <= 1 + _ROUNDING)
    if not fine.all():
        worst = int(np.argmin(fine))
        found = f"{lowest[worst] * largest:g} to {highest[worst] * largest:g}"
        why = f"its values are {found}; 0 to {largest:g} are needed"
        todo = "Say which value is white with white=, or leave broken images out"
        raise _refusal(f"image {places[worst]}", why, todo=todo)
    clipped: Floats = np.clip(values, 0, 1)
    return np.broadcast_to(clipped, (*clipped.shape[:3], 3))


_ROUNDING: Final = 1e-3
"""How far values may leave [0, 1]: resizing with smooth filters overshoots a little."""


def _refusal(where: str, why: str, *, todo: str = "") -> SpecificationError:
    return SpecificationError(
        "The images cannot be used", where=where, why=why, todo=todo, code="E-SPEC-DATA"
    )
