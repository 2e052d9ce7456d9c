"""The sketches of all cards, on disk, and the one thread that may touch them.

The file is a cache of what the cards say: what a crash left out or left in is mended when the node starts,
and a file that cannot be read is made anew.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog

from skerry.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from skerry.protocol.card import Card
    from skerry.spec.index import SketchIndex
    from skerry.spec.metric import Scale
    from skerry.spec.sketch import Sketch

log: Final = structlog.get_logger()


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
        self._file: BinaryIO | None = None
        self._index: SketchIndex | None = None

    def submit(self, changes: Mapping[bytes, Card | None]) -> None:
        """Take in cards by hash, and take out those that are ``None``, after what was submitted before."""
        if changes:
            self._thread.submit(self._apply, dict(changes))

    def mend(self, live: Collection[bytes]) -> None:
        """Take out whatever is not among the hashes of live cards."""
        self._thread.submit(self._mend, set(live))

    async def nearest(
        self, requirement: Sketch, scale: Scale, island: bytes, count: int, among: Collection[bytes]
    ) -> list[bytes]:
        """Return the hashes of the most promising cards, best first; see ``SketchIndex.search``."""

        def search() -> list[bytes]:
            return self._opened().search(requirement, scale, island, count=count, among=among)

        return await asyncio.get_running_loop().run_in_executor(self._thread, search)

    def close(self) -> None:
        """Finish what was submitted, and have it on the disk."""
        self._thread.submit(self._end)
        self._thread.shutdown(wait=True)

    def _end(self) -> None:
        if self._index is not None and self._file is not None:
            self._index.flush()
            self._index = None
            self._file.close()

    def _opened(self) -> SketchIndex:
        if self._index is None:
            from skerry.spec.index import SketchIndex

            self._file = self._path.open("r+b" if self._path.exists() else "w+b")
            try:
                self._index = SketchIndex(self._file)
            except SpecificationError as error:
                log.warning("sketches made anew", path=str(self._path), why=error.why)
                self._file.truncate(0)
                self._index = SketchIndex(self._file)
        return self._index

    def _mend(self, live: set[bytes]) -> None:
        if self._path.exists():
            index = self._opened()
            index.remove(set(index.ids()) - live)

    def _apply(self, changes: dict[bytes, Card | None]) -> None:
        index = self._opened()
        index.remove([key for key, card in changes.items() if card is None])
        shelves: defaultdict[bytes, dict[bytes, Sketch]] = defaultdict(dict)
        for key, card in changes.items():
            if card is not None and key not in index and (sketch := _sketch_of(card)) is not None:
                shelves[card.island][key] = sketch
        for island, sketches in shelves.items():
            index.add(island, list(sketches), list(sketches.values()))


def _sketch_of(card: Card) -> Sketch | None:
    """Return the card's sketch, or None when this version cannot read it."""
    from skerry.spec.sketch import Sketch

    try:
        return Sketch.from_bytes(card.sketch_version, card.sketch, card.means, card.spreads)
    except SpecificationError as error:
        log.info("sketch not indexed", card=card.id.hex(), why=error.why)
        return None
