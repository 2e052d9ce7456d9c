"""Publishing: from two uploaded blobs to a card in a signed, durable head.

Theory of operation. The card is made here, from the specification itself, so that what it claims (sketch,
means, spreads, island, texts) follows from the blob that others will check it against. The state machine
signs the new catalogue; the answer goes out when the head is on the disk, and then holds through any crash.

Rules of this file:

1. A blob is durable before a card can name it.
2. Changes of the own catalogue happen one after the other: what a slug stands for is read and replaced in
   one go.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from skerry.errors import NotFound
from skerry.package.format import LANES
from skerry.package.limits import BLOB_BYTES_MAX
from skerry.protocol.api import BlobReceipt, CheckReport, PublishReceipt, PublishRequest
from skerry.protocol.card import Blob, Card, card_hash, card_id
from skerry.protocol.errors import LocalProtocolError
from skerry.protocol.limits import (
    CARD_WORDS_MAX,
    NAME_CHARACTERS_MAX,
    SUMMARY_CHARACTERS_MAX,
    WORD_CHARACTERS_MAX,
)
from skerry.spec.limits import SPECIFICATION_BYTES_MAX

from .api.problems import BadRequest, Conflict, TooLarge, TooSlow
from .folder import folder_error
from .groups.visibility import Shown
from .limits import (
    BLOB_CHUNK_BYTES,
    UPLOAD_BYTES_PER_SECOND_MIN,
    UPLOAD_GRACE_SECONDS,
    UPLOAD_SECONDS_BETWEEN_CHUNKS_MAX,
)
from .search.index import Entry
from .transfer.blobs_http import parse_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp

    from skerry.package.blobs import BlobStore
    from skerry.package.hashtree import HashTree
    from skerry.protocol.effects import Published
    from skerry.spec import Specification

    from .driver import Driver
    from .groups.visibility import Visibility
    from .progress import Progress
    from .search.index import CardIndex
    from .storage.store import Store
    from .view import NodeView


UPLOAD_PREFIX: Final = "tmp-upload-"
"""A name that the blob store sweeps when a killed process has left it behind."""

PUBLISH_STEPS: Final = 2
"""Specified, and durable in a signed head that is on its way to the peers."""

CLASSIFICATION: Final = "Classification"
"""The task as the vocabulary of semantic specifications spells it."""


class Publisher:
    """Changes this node's own catalogues.

    Parameters
    ----------
    owner
        The owner's id.
    blobs
        Where uploads go.
    driver
        Has the state machine sign.
    index, view
        What is live now, and how it is shown.
    store
        Keeps what the checks of the learnwares found.
    progress
        Told of every step.
    visibility
        To whom learnwares are shown.
    """

    def __init__(
        self,
        owner: bytes,
        blobs: BlobStore,
        driver: Driver,
        index: CardIndex,
        view: NodeView,
        store: Store,
        progress: Progress,
        visibility: Visibility,
    ) -> None:
        self._visibility = visibility
        self._progress = progress
        self._owner = owner
        self._blobs = blobs
        self._driver = driver
        self._index = index
        self._view = view
        self._store = store
        self._changing = asyncio.Lock()

    async def upload(self, body: aiohttp.StreamReader, size: int | None) -> BlobReceipt:
        """Store an uploaded blob durably.

        Raises
        ------
        TooLarge
            ``E-API-SIZE`` when it has over ``BLOB_BYTES_MAX`` bytes.
        BadRequest
            ``E-API-UPLOAD`` when nothing came for too long, or less than was announced.
        StorageError
            It cannot be written, for instance because the disk is full.
        """
        _require_size(size or 0)
        with self._temporary() as file:
            received = 0
            began = time.monotonic()
            while chunk := await _next_chunk(body):
                received += len(chunk)
                _require_size(received)
                _require_pace(received, time.monotonic() - began)
                with _storage_errors(self._blobs.folder):
                    await asyncio.to_thread(file.write, chunk)
            if size is not None and received != size:
                raise BadRequest("The upload is not whole", where="body", code="E-API-UPLOAD")
            with _storage_errors(self._blobs.folder):
                file.flush()
            tree: HashTree = await asyncio.to_thread(self._blobs.put_file, Path(file.name))
        return BlobReceipt(tree.root.hex(), tree.size)

    async def publish(self, request: PublishRequest) -> PublishReceipt:
        """Put a learnware into the catalogue; returns when the head that holds it is durable.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-BLOB``: a blob was not uploaded before.
        Conflict
            ``E-PUBLISH-EXISTS``: the slug is live and ``update`` is not set.
        BadRequest
            ``E-API-CARD``: slug, lane or a text is not acceptable.
        SpecificationError
            The specification is not acceptable.
        Refused
            ``E-REFUSED-POLICY``, ``E-GROUP-ROLE``: a group does not take it.
        """
        if request.lane not in LANES:
            raise _bad_card("lane", f"{request.lane!r} is not one of {', '.join(LANES)}")
        specification = self._blob(request.specification, "specification", SPECIFICATION_BYTES_MAX)
        package = self._blob(request.package, "package", BLOB_BYTES_MAX)
        draft = await asyncio.to_thread(_draft, self._blobs, self._owner, request, specification, package)
        self._progress.tell("publish", draft.slug, "specified", 1, PUBLISH_STEPS)
        async with self._changing:
            live = self._live(draft.slug)
            if live is not None and not request.update:
                raise Conflict(
                    "A learnware with this slug is live",
                    where=draft.slug,
                    todo="Publish it as an update, or choose another slug.",
                    code="E-PUBLISH-EXISTS",
                )
            card = replace(draft, version=1 if live is None else live.card.version + 1)
            raw = _encoded(card)
            shown = self._visibility.wanted(request, card.id)
            self._visibility.require_admitted(shown, card)
            await self._keep_checks(card_hash(raw), request)
            await self._visibility.keep(draft.slug, shown)
            published = await self._show(card.id, raw, shown.scopes)
            await self._store.drop_checks(draft.slug, but=card_hash(raw))
        self._progress.tell("publish", draft.slug, "durable", PUBLISH_STEPS, PUBLISH_STEPS)
        return self._receipt(self._visibility.entry(card_hash(raw), card, shown), published)

    async def withdraw(self, slug: str) -> PublishReceipt:
        """Take a learnware out of the catalogue; returns when the head without it is durable.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-SLUG``: no learnware of this node with that slug is live.
        """
        async with self._changing:
            live = self._live(slug)
            if live is None:
                raise _unknown(slug)
            scopes = self._visibility.scopes_of(live.card.id)
            if not scopes:
                raise _unknown(slug)
            gone = self._visibility.entry(live.hash, live.card, Shown(scopes, None))
            for scope in scopes:
                published = await self._driver.publish(removed=(live.card.id,), scope=scope)
            await self._visibility.keep(slug, Shown((), None))
            await self._store.drop_checks(slug)
        self._progress.tell("publish", slug, "withdrawn", 1, 1)
        return self._receipt(gone, published)

    async def checks(self, slug: str) -> CheckReport:
        """Return what was found when a learnware was checked before it was published.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-SLUG``: no such learnware is live. ``E-NOTFOUND-CHECKS``: it came without.
        """
        live = self._live(slug)
        if live is None:
            raise _unknown(slug)
        report = await self._store.checks_of(live.hash)
        if report is None:
            raise NotFound(
                "Nothing is known of this learnware's checks",
                where=slug,
                why="it was published without",
                todo="Publish it as an update with `skerry publish`.",
                code="E-NOTFOUND-CHECKS",
            )
        return msgspec.json.decode(report, type=CheckReport)

    async def _show(self, card: bytes, raw: bytes, scopes: tuple[bytes, ...]) -> Published:
        """Put a card into some of this node's catalogues, and out of all others."""
        for scope in scopes:
            published = await self._driver.publish(cards=(raw,), scope=scope)
        for scope in self._visibility.scopes_of(card):
            if scope not in scopes:
                await self._driver.publish(removed=(card,), scope=scope)
        return published

    async def _keep_checks(self, card: bytes, request: PublishRequest) -> None:
        """Store the checks before a head can name the card, so that no crash leaves a card without."""
        if request.checks is not None:
            await self._store.put_checks(card, request.slug, msgspec.json.encode(request.checks))

    @contextmanager
    def _temporary(self) -> Iterator[tempfile._TemporaryFileWrapper[bytes]]:
        with _storage_errors(self._blobs.folder):
            file = tempfile.NamedTemporaryFile(dir=self._blobs.folder, prefix=UPLOAD_PREFIX)  # noqa: SIM115 - closed below
        try:
            yield file
        finally:
            with suppress(OSError):  # closing flushes: on a full disk it fails once more
                file.close()

    def _live(self, slug: str) -> Entry | None:
        if not slug.isascii():
            raise _bad_card("slug", f"{slug!r} holds other characters than a-z, 0-9 and -")
        return self._index.newest(card_id(self._owner, slug))

    def _blob(self, name: str, where: str, bytes_max: int) -> Blob:
        root = parse_root(name)
        if not self._blobs.exists(root):
            raise NotFound(
                f"The {where} was not uploaded to this node",
                where=name,
                todo="Upload it first (POST /blobs).",
                code="E-NOTFOUND-BLOB",
            )
        size = self._blobs.path(root).stat().st_size
        if size > bytes_max:
            raise _bad_card(where, f"{size} bytes, at most {bytes_max} are allowed")
        return Blob(root, size)

    def _receipt(self, entry: Entry, published: Published) -> PublishReceipt:
        return PublishReceipt(self._view.card(entry), published.seq, published.peers)


def _draft(
    blobs: BlobStore, owner: bytes, request: PublishRequest, specification: Blob, package: Blob
) -> Card:
    """Return the card that follows from the specification, as version 1."""
    from skerry.spec import Specification
    from skerry.spec.sketch import sketch_of

    with blobs.open(specification.root) as file:
        content = Specification.from_bytes(file.read())
    semantic, rkme = content.semantic, content.rkme
    version, vector, means, spreads = sketch_of(rkme).to_bytes()
    return Card(
        owner=owner,
        slug=request.slug,
        version=1,
        name=semantic.name[:NAME_CHARACTERS_MAX],
        summary=(request.summary or semantic.description)[:SUMMARY_CHARACTERS_MAX],
        data=semantic.data,
        task=semantic.task,
        library=semantic.library,
        scenarios=semantic.scenario[:CARD_WORDS_MAX],
        license=semantic.license[:WORD_CHARACTERS_MAX],
        tags=semantic.tags[:CARD_WORDS_MAX],
        language=semantic.language,
        classes=_classes(content),
        island=rkme.island.id,
        dimension=rkme.dimension,
        sketch_version=version,
        sketch=vector,
        means=means,
        spreads=spreads,
        specification=specification,
        package=package,
        lane=request.lane,
        published=int(time.time()),
    )


def _classes(content: Specification) -> int:
    """Return the number of classes that the learnware tells apart; 0 when it is no classifier."""
    semantic = content.semantic
    if semantic.classes or semantic.task != CLASSIFICATION:
        return len(semantic.classes)
    return semantic.output.dimension if semantic.output is not None else 0


def _encoded(card: Card) -> bytes:
    try:
        return card.to_bytes()
    except LocalProtocolError as error:
        raise _bad_card(error.where, error.why) from error


async def _next_chunk(body: aiohttp.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(UPLOAD_SECONDS_BETWEEN_CHUNKS_MAX):
            return await body.read(BLOB_CHUNK_BYTES)
    except TimeoutError as error:
        raise BadRequest("The upload stopped", where="body", code="E-API-UPLOAD") from error


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise folder_error(folder, error) from error


def _require_size(size: int) -> None:
    if size > BLOB_BYTES_MAX:
        raise TooLarge("The blob is too large", where="body", why=f"at most {BLOB_BYTES_MAX} bytes are taken")


def _require_pace(received: int, seconds: float) -> None:
    if seconds > UPLOAD_GRACE_SECONDS + received / UPLOAD_BYTES_PER_SECOND_MIN:
        raise TooSlow(
            "The upload is too slow",
            where="body",
            why=f"{received} bytes in {seconds:.0f} s",
            todo="Upload from a machine nearer to the node.",
        )


def _unknown(slug: str) -> NotFound:
    return NotFound(
        "No learnware of this node has this slug",
        where=slug,
        todo="Look at `skerry list`.",
        code="E-NOTFOUND-SLUG",
    )


def _bad_card(where: str, why: str) -> BadRequest:
    return BadRequest("The learnware cannot be published like this", where=where, why=why, code="E-API-CARD")
