"""The sketches of all cards, on disk, and the one thread that may touch them.

Theory of operation. The file is a cache of what the cards say: what a crash left out or left in is mended
when the node starts, and a file that cannot be read is made anew. Rows of the card index are the labels of
the sketches, so that a filter over a million cards is an array. Where there are many, the two scans of a
search run beside each other, while the one thread waits.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np
import structlog

from skerry.errors import SpecificationError
from skerry.node.limits import SCANS_BESIDE_CARDS_MIN, SKETCHES_PORTION
from skerry.protocol.card import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from skerry.protocol.card import Card
    from skerry.spec.bridging import Sharing
    from skerry.spec.index import SketchIndex
    from skerry.spec.metric import Scale
    from skerry.spec.sketch import Sketch

    from .columns import Columns, Mask, Rows

log: Final = structlog.get_logger()


class Change(NamedTuple):
    """What happened to the sketch of one card."""

    row: int
    card: Card | None
    """The card; None when it is gone."""


class Sketches:
    """The sketch index of one node.

    Parameters
    ----------
    path
        Its file; made when there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sketches")
        self._scans = ThreadPoolExecutor(max_workers=2, thread_name_prefix="scan")
        self._file: BinaryIO | None = None
        self._index: SketchIndex | None = None

    def submit(self, changes: Mapping[bytes, Change]) -> None:
        """Take in cards by hash, and take out those that are ``None``, after what was submitted before."""
        if changes:
            self._thread.submit(self._apply, dict(changes))

    def mend(self, columns: Columns, read: Callable[[Sequence[bytes]], Mapping[bytes, bytes]]) -> None:
        """Take out what is not live, and take in what a crash left out.

        Parameters
        ----------
        columns
            The live cards and their rows, as they are now.
        read
            Returns cards by hash; called in the thread of the sketches.
        """
        live = np.flatnonzero(columns.live)
        hashes = columns["hash"][live].copy()
        self._thread.submit(self._mend, hashes, live, read)

    async def nearest(
        self,
        asked: Callable[[], tuple[Sketch, Scale]],
        island: bytes,
        count: int,
        among: Mask,
        sharing: Sharing | None = None,
    ) -> list[bytes]:
        """Return the hashes of the most promising cards, best first; see ``SketchIndex.search``.

        Parameters
        ----------
        asked
            Returns the requirement's sketch and metric; called in the thread of the sketches.
        sharing
            What an island that is not the requirement's shares with it; see ``SketchIndex.search_shared``.
        """

        def search() -> list[bytes]:
            index, (sketch, scale) = self._opened(), asked()
            if sharing is None:
                run = map if len(index) < SCANS_BESIDE_CARDS_MIN else self._scans.map
                return index.search(sketch, scale, island, count=count, among=among, run=run)
            return index.search_shared(sketch, scale, island, sharing, count=count, among=among)

        return await asyncio.get_running_loop().run_in_executor(self._thread, search)

    def close(self) -> None:
        """Finish what was submitted, and have it on the disk."""
        self._thread.submit(self._end)
        self._thread.shutdown(wait=True)
        self._scans.shutdown()

    def _end(self) -> None:
        if self._index is not None and self._file is not None:
            self._index.flush()
            self._index = None
            self._file.close()

    def _opened(self) -> SketchIndex:
        if self._index is None:
            from skerry.spec.index import SketchIndex

            _import_for_searches()
            self._file = self._path.open("r+b" if self._path.exists() else "w+b")
            try:
                self._index = SketchIndex(self._file)
            except SpecificationError as error:
                log.warning("sketches made anew", path=str(self._path), why=error.why)
                self._file.truncate(0)
                self._index = SketchIndex(self._file)
        return self._index

    def _mend(
        self,
        hashes: npt.NDArray[Any],
        rows: Rows,
        read: Callable[[Sequence[bytes]], Mapping[bytes, bytes]],
    ) -> None:
        """Compare with the live cards; with none there is no file to open."""
        if not len(hashes) and not self._path.exists():
            return
        index = self._opened()
        order = np.argsort(hashes.view("<u8")[::4], kind="stable")
        codes, rows, hashes = hashes.view("<u8")[::4][order], rows[order], hashes[order]
        found = np.zeros(len(rows), np.bool_)

        def label_of(ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
            places = np.searchsorted(codes, ids.view("<u8")[:, 0])
            places = np.minimum(places, max(len(codes) - 1, 0))
            same = codes[places] == ids.view("<u8")[:, 0] if len(codes) else np.zeros(len(ids), np.bool_)
            found[places[same]] = True
            labels: npt.NDArray[np.int64] = np.where(same, rows[places] if len(rows) else -1, -1)
            return labels

        index.relabel(label_of)
        missing = np.flatnonzero(~found)
        for part in _parts(missing):
            wanted = {hashes[at].tobytes(): int(rows[at]) for at in part.tolist()}
            cards = read(list(wanted))
            self._apply({key: Change(wanted[key], CARD.decode(raw)) for key, raw in cards.items()})

    def _apply(self, changes: Mapping[bytes, Change]) -> None:
        index = self._opened()
        index.remove([key for key, change in changes.items() if change.card is None])
        shelves: defaultdict[tuple[int, bytes, int], dict[bytes, Card]] = defaultdict(dict)
        for key, change in changes.items():
            if (card := change.card) is not None:
                shelves[card.sketch_version, card.island, len(card.means)][key] = card
        for (version, island, _), cards in shelves.items():
            labels = [changes[key].row for key in cards]
            _add(index, version, island, cards, labels)


def _import_for_searches() -> None:
    """Import what the first search needs once there is something to find: in this thread nobody waits."""
    import skerry.spec.bridging
    import skerry.spec.mixing
    import skerry.spec.ranking  # noqa: F401


def _parts(positions: Rows) -> Iterator[Rows]:
    for start in range(0, len(positions), SKETCHES_PORTION):
        yield positions[start : start + SKETCHES_PORTION]


def _add(
    index: SketchIndex, version: int, island: bytes, cards: Mapping[bytes, Card], labels: Sequence[int]
) -> None:
    """Add cards of one island with sketches of one form, unless this version cannot read them."""
    from skerry.spec.sketch import SKETCH_VERSION, SketchBlock

    if version != SKETCH_VERSION:
        log.info("sketches not indexed", cards=len(cards), version=version)
        return
    fields = ("sketch", "means", "spreads")
    try:
        blobs = ([getattr(card, name) for card in cards.values()] for name in fields)
        block = SketchBlock.from_bytes(*blobs)
    except SpecificationError as error:
        if len(cards) == 1:
            log.info("sketch not indexed", card=next(iter(cards)).hex(), why=error.why)
            return
        for (key, card), label in zip(cards.items(), labels, strict=True):
            _add(index, version, island, {key: card}, [label])
    else:
        index.add_block(island, list(cards), block, labels)
