"""The one cache of a user: what was fetched, by content, and the cards it was fetched for.

Theory of operation. Packages and full specifications lie in one content-addressed store
(:mod:`skerry.package.blobs`), so a file that two learnwares share is here once. Beside it stands one small
file for each learnware whose package was fetched: its card, and where it came from. So the cache can be
listed, and a fetched model can be used when no node runs and no owner can be reached.

Rules of this file:

1. The cache may be deleted at any time, whole or in part; it costs a download.
2. A blob is removed when no card in the cache names it any more, and only then.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from skerry.errors import NotFound
from skerry.package.blobs import BlobStore
from skerry.protocol import api

from .folders import cache_folder
from .limits import CACHE_ENTRY_BYTES_MAX

_CARDS: Final = "learnwares"


@dataclass(frozen=True)
class CachedLearnware:
    """A learnware whose package is here.

    Attributes
    ----------
    hit
        Card and sources as they were when it was fetched.
    bytes
        Size of the package and, where it is here, of the full specification.
    fetched
        When it was fetched, in seconds since 1970 UTC.
    """

    hit: api.Hit
    bytes: int
    fetched: float


class Cache:
    """The cache in one folder.

    Parameters
    ----------
    folder
        By default ``SKERRY_CACHE`` or the platform's place; made when missing.

    Attributes
    ----------
    blobs
        The store of packages and specifications.
    folder
        Where everything lies.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder: Path = cache_folder(folder)
        self.blobs: BlobStore = BlobStore(self.folder / "blobs")

    def secret(self) -> bytes:
        """Return 32 bytes that stay here, made when they are first needed."""
        path = self.folder / "secret"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Only its owner can read a temporary file; another process may link its own first.
            with tempfile.NamedTemporaryFile(dir=self.folder) as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
        return path.read_bytes()

    def remember(self, hit: api.Hit) -> None:
        """Note that this learnware's package is here."""
        folder = self.folder / _CARDS
        folder.mkdir(exist_ok=True)
        path = folder / f"{hit.card.hash}.json"
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(msgspec.json.encode(hit))
        partial.replace(path)

    def learnwares(self) -> list[CachedLearnware]:
        """Return the learnwares whose packages are here, the one fetched last first."""
        found = [
            CachedLearnware(hit, sum(self._size(root) for root in _roots(hit)), path.stat().st_mtime)
            for path, hit in self._entries()
            if self.blobs.exists(bytes.fromhex(hit.card.package))
        ]
        return sorted(found, key=lambda one: -one.fetched)

    def find(self, card_id: str) -> api.Hit:
        """Return the newest version of a learnware that is here.

        Raises
        ------
        NotFound
            ``E-CACHE-ABSENT`` when it is not.
        """
        hits = [one.hit for one in self.learnwares() if one.hit.card.id == card_id]
        if not hits:
            raise NotFound(
                "This learnware is not in the cache",
                where=str(self.folder),
                todo="Look at `skerry cache ls`, or fetch it while its owner can be reached: `skerry get`",
                code="E-CACHE-ABSENT",
            )
        return max(hits, key=lambda hit: hit.card.version)

    def remove(self, card_id: str | None = None) -> int:
        """Remove a learnware, or everything, and return how many bytes that freed.

        Raises
        ------
        NotFound
            ``E-CACHE-ABSENT`` when no such learnware is here.
        """
        if card_id is not None:
            self.find(card_id)
        before = self.total_bytes()
        kept: set[bytes] = set()
        for path, hit in self._entries():
            if card_id in (None, hit.card.id):
                path.unlink(missing_ok=True)
            else:
                kept.update(_roots(hit))
        partial = [tree.root for tree in self.blobs.resumable()] if card_id is None else []
        for root in [*self.blobs.roots(), *partial]:
            if root not in kept:
                self.blobs.remove(root)
        return before - self.total_bytes()

    def verify(self) -> list[api.Hit]:
        """Hash every blob again, remove damaged ones, and return the learnwares they belonged to."""
        damaged = set(self.blobs.verify())
        for root in damaged:
            self.blobs.remove(root)
        return [hit for _, hit in self._entries() if damaged & set(_roots(hit))]

    def total_bytes(self) -> int:
        """Return the size of all whole blobs."""
        return sum(self._size(root) for root in self.blobs.roots())

    def _size(self, root: bytes) -> int:
        try:
            return self.blobs.path(root).stat().st_size
        except FileNotFoundError:
            return 0

    def _entries(self) -> Iterator[tuple[Path, api.Hit]]:
        """Yield the noted cards; a note that cannot be read is none."""
        for path in sorted((self.folder / _CARDS).glob("*.json")):
            try:
                with path.open("rb") as file:
                    yield path, msgspec.json.decode(file.read(CACHE_ENTRY_BYTES_MAX), type=api.Hit)
            except (OSError, msgspec.DecodeError):
                continue


def _roots(hit: api.Hit) -> tuple[bytes, ...]:
    return bytes.fromhex(hit.card.package), bytes.fromhex(hit.card.specification)
