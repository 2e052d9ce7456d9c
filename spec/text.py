"""Specifications of texts.

Texts become rows by a feature extractor (``extractors/``), and rows become an RKME as those of tables do, but
on the unit sphere: the angle between texts is what extractors express. The extractor's id is part of the
island. Rows are remembered by the hash of their text, so that a fit, a check for copies and a prediction on
the same texts extract them once.

What is defined for odd data:

- a text without a word (empty, spaces, signs) has no direction: its row is zeros, and ``fit_text`` leaves it
  out and notes how many there were; texts that are all empty are refused;
- one text makes one point, which *is* that text's row and must not be published (see ``exposing.py``);
- mixed languages are fine; those with a share of at least a tenth are named in ``meta["languages"]``;
- of a text of more than ``TEXT_CHARS_MAX`` characters the beginning counts;
- anything that is not a text is refused, naming its position.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np

from skerry.errors import SpecificationError

from .backend import Device, open_rows
from .fit import fit_rows
from .island import Island
from .limits import BATCH_TEXTS_MAX, ROWS_MAX, TEXT_CACHE_ROWS_MAX, TEXT_CHARS_MAX
from .responses import Answers, with_responses
from .rkme import Floats, Rkme, Scalar

TEXT_EXTRACTORS: Final = {
    "hashed": "skerry/hashed-ngrams/1",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2/128",
}
"""Short names of the extractors and their ids."""


class Extractor(Protocol):
    """Turns texts into rows; see ``extractors/__init__.py`` for what it promises."""

    @property
    def id(self) -> str:
        """Return the id that names the island."""

    @property
    def dimension(self) -> int:
        """Return the number of columns."""

    def __call__(self, texts: Sequence[str], /) -> Floats:
        """Return rows (n, dimension) float32 of length one."""


def fit_text(
    texts: Iterable[str],
    size: int | None = None,
    *,
    extractor: str = "hashed",
    seed: int = 0,
    device: Device = "auto",
    responses: Answers | None = None,
) -> Rkme:
    """Return the RKME of texts.

    Parameters
    ----------
    texts
        Texts, (n,): a list, an array or a series of str.
    size
        The number of points; min(100, n // 10), and at least 1, when None.
    extractor
        ``"hashed"``, or ``"minilm"``, which must be installed apart (see ``extractors/minilm.py``); or an
        extractor's id.
    seed
        Seed of the sample and the first points.
    device
        As in ``fit_table``.
    responses
        A model's function from texts to answers (n,) or (n, m); what it answers to the texts nearest to each
        point becomes the RKME's responses (:mod:`.responses`).

    Returns
    -------
    Rkme
        Its ``meta`` names the ``languages`` (codes, the most frequent first) and, where there were any, the
        number of ``empty_texts``.

    Raises
    ------
    SpecificationError
        When there is no text, something is not a text, all are empty, or the extractor is not there.
    """
    from .extractors.languages import languages_of

    read = read_texts(texts)
    model = text_extractor(extractor)
    rows = text_features(read, extractor)
    there = rows.any(axis=1)
    if not there.any():
        raise _refusal("texts", f"none of the {len(read)} texts has a word")
    island = Island("text", None, model.dimension, model.id)
    rkme = fit_rows(open_rows(rows[there], device), island, size, seed=seed)
    meta: dict[str, Scalar] = {**rkme.meta, "languages": " ".join(languages_of(read))}
    if not there.all():
        meta["empty_texts"] = int((~there).sum())
    rkme = replace(rkme, meta=meta)
    if responses is None:
        return rkme
    kept = np.array(read, dtype=object)[there]
    return with_responses(rkme, rows[there], lambda chosen: responses(kept[chosen].tolist()), seed)


def text_features(texts: Iterable[str], extractor: str = "hashed") -> Floats:
    """Return the rows of texts, (n, d) float32 of length one; zeros for a text without a word.

    Parameters
    ----------
    texts
        Texts, (n,).
    extractor
        A short name, or an extractor's id as it stands in an island.

    Raises
    ------
    SpecificationError
        As ``fit_text``; texts may all be empty.
    """
    read = read_texts(texts)
    model, memory = text_extractor(extractor), text_memory(extractor)
    keys = [text_key(text) for text in read]
    rows = np.empty((len(read), model.dimension), np.float32)
    unknown: dict[bytes, list[int]] = {}
    for place, key in enumerate(keys):
        row = memory.get(key)
        if row is None:
            unknown.setdefault(key, []).append(place)
        else:
            rows[place] = row
    firsts = list(unknown.items())
    for start in range(0, len(firsts), BATCH_TEXTS_MAX):
        batch = firsts[start : start + BATCH_TEXTS_MAX]
        for (key, places), row in zip(batch, model([read[places[0]] for _, places in batch]), strict=True):
            rows[places] = row
            memory.put(key, row)
    return rows


def read_texts(texts: Any) -> list[str]:
    """Return texts as a list of str that an extractor can take, cut off at ``TEXT_CHARS_MAX`` characters.

    Raises
    ------
    SpecificationError
        When it is one text instead of several, empty, too long, or holds something that is no text.
    """
    if isinstance(texts, str | bytes):
        raise _refusal("texts", "it is one text; a list of texts is needed", todo="Pass [text]")
    try:
        read = list(texts)
    except TypeError as error:
        raise _refusal("texts", f"a list of texts is needed, not {type(texts).__name__}") from error
    if not 1 <= len(read) <= ROWS_MAX:
        raise _refusal("texts", f"{len(read)} texts; at least 1 and at most {ROWS_MAX} are allowed")
    for place, text in enumerate(read):
        if not isinstance(text, str):
            todo = 'Replace missing texts by ""' if text is None or text != text else ""
            raise _refusal(f"text {place}", f"it is no text but {type(text).__name__}", todo=todo)
    return [_clean(text) for text in read]


def _clean(text: str) -> str:
    """Return the beginning of a text in normalization form C; half a surrogate pair becomes ``?``."""
    start = text[:TEXT_CHARS_MAX].encode(errors="replace").decode()
    return unicodedata.normalize("NFC", start)


@lru_cache(maxsize=4)
def text_extractor(name: str) -> Extractor:
    """Return the extractor of a short name or id.

    Raises
    ------
    SpecificationError
        ``E-SPEC-EXTRACTOR`` when it is unknown, or what it needs is not installed.
    """
    known = TEXT_EXTRACTORS.get(name, name)
    if known == TEXT_EXTRACTORS["hashed"]:
        from .extractors.hashed import HashedNgrams

        return HashedNgrams()
    if known == TEXT_EXTRACTORS["minilm"]:
        from .extractors.minilm import MiniLm

        return MiniLm()
    raise SpecificationError(
        "The text extractor is unknown",
        where="extractor",
        why=f"{name!r} is none of {', '.join([*TEXT_EXTRACTORS, *TEXT_EXTRACTORS.values()])}",
        todo="Update skerry, or search with another extractor",
        code="E-SPEC-EXTRACTOR",
    )


class TextMemory:
    """The rows of the texts seen last, by the hash of the text; bounded, the oldest go first."""

    def __init__(self, rows_max: int) -> None:
        self._rows: dict[bytes, Floats] = {}
        self._rows_max = rows_max

    def get(self, key: bytes) -> Floats | None:
        """Return the row of a text by its key, or None."""
        return self._rows.get(key)

    def put(self, key: bytes, row: Floats) -> None:
        """Remember a row; the oldest goes where there are too many."""
        self._rows[key] = row
        while len(self._rows) > self._rows_max:
            self._rows.pop(next(iter(self._rows)), None)


@lru_cache(maxsize=4)
def _memory_of(extractor_id: str) -> TextMemory:  # noqa: ARG001 - one memory an extractor
    return TextMemory(TEXT_CACHE_ROWS_MAX)


def text_memory(extractor: str) -> TextMemory:
    """Return the memory of an extractor's rows, for who wants to keep them longer than the process lives."""
    return _memory_of(TEXT_EXTRACTORS.get(extractor, extractor))


def text_key(text: str) -> bytes:
    """Return the hash that a text, as ``read_texts`` returns it, is remembered by."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _refusal(where: str, why: str, *, todo: str = "") -> SpecificationError:
    return SpecificationError("The texts cannot be used", where=where, why=why, todo=todo, code="E-SPEC-DATA")
