"""Which cards pass the filters and words of a search, as an array over all cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .index import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skerry.node.directory import Directory
    from skerry.protocol.api import SearchRequest

    from .columns import Mask, Rows
    from .index import CardIndex


def passing(request: SearchRequest, index: CardIndex, directory: Directory, own: bytes) -> Mask:
    """Return which rows pass all filters but the words; ``own`` is the node's own owner."""
    mask = index.shown()
    for name in WORDS:
        if wanted := getattr(request, name):
            mask &= index.with_word(name, wanted)
    if request.scenario:
        mask &= index.with_scenario(request.scenario)
    if request.owner:
        mask &= index.of_owners(directory.owners_called(request.owner))
    if request.island:
        mask &= index.on_island(bytes.fromhex(request.island))[: len(mask)]
    if request.exclude_own:
        mask &= ~index.of_owners([own])
    return mask


def with_words(mask: Mask, index: CardIndex, found: Mapping[bytes, float]) -> tuple[Mask, Rows]:
    """Return the rows of a mask that words were found in, as a mask and best first."""
    rows = index.rows_of(found)
    ranks = np.fromiter(found.values(), np.float64, len(found))
    # A row that came after the mask was made does not count, and -1 is no row.
    passing = (rows >= 0) & (rows < len(mask))
    passing[passing] = mask[rows[passing]]
    kept = rows[passing][np.lexsort((rows[passing], ranks[passing]))]
    narrowed = np.zeros_like(mask)
    narrowed[kept] = True
    return narrowed, kept


def newest_first(mask: Mask, index: CardIndex, count: int) -> Rows:
    """Return the first ``count`` rows of a mask, those published last first."""
    rows = np.flatnonzero(mask)
    published = index.columns["published"][rows]
    if len(rows) > count:
        limit = np.partition(published, len(rows) - count)[len(rows) - count]
        rows, published = rows[published >= limit], published[published >= limit]
    first = index.columns["hash"].view(">u8")[::4][rows]
    newest: Rows = rows[np.lexsort((first, -published.astype(np.int64)))][:count]
    return newest
