"""Blobs go to whoever knows the name of a published one, with ranges, and come back verified."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.errors import Unavailable
from skerry.node.api.problems import problems
from skerry.node.folder import Folder
from skerry.node.limits import BATCH_ROOTS_MAX
from skerry.node.network.listening import address_of, bind, serving
from skerry.node.network.tls import (
    PinnedClient,
    certificate_hash,
    client_context,
    make_certificate,
    server_context,
)
from skerry.node.transfer.blobs_http import BlobRoutes
from skerry.node.transfer.fetching import Fetcher
from skerry.package.blobs import BlobStore
from skerry.package.limits import LEAF_BYTES
from skerry.protocol.api import Source

CONTENT = bytes(range(256)) * 3000  # three leaves, the last one short


@asynccontextmanager
async def serving_blobs(
    folder: Path, store: BlobStore, may_have: Callable[[bytes, bytes], bool] = lambda _, __: True
) -> AsyncIterator[Source]:
    """Serve a store over TLS and give the source that a hit would name."""
    paths = Folder(folder)
    paths.keys.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths.tls_key.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    paths.tls_certificate.write_bytes(make_certificate(key, dt.datetime.now(dt.UTC)))
    application = web.Application(middlewares=[problems])
    BlobRoutes(store, may_have).add_to(application)
    listening = bind("127.0.0.1", 0)
    async with serving(application, listening, server_context(paths)):
        certificate = certificate_hash(paths.tls_certificate).hex()
        yield Source("00" * 32, [address_of(listening)], "pinned", certificate)


async def _get(source: Source, path: str, **headers: str) -> tuple[int, bytes, str]:
    pin = bytes.fromhex(source.certificate)
    client = PinnedClient(client_context(), pin, aiohttp.ClientTimeout(total=10))
    try:
        async with client.get(f"https://{source.addresses[0]}{path}", headers) as response:
            return response.status, await response.read(), response.headers.get("Content-Range", "")
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-", 200, 0, len(CONTENT)),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=100-199", 206, 100, 200),
        (f"bytes={LEAF_BYTES}-{2 * LEAF_BYTES - 1}", 206, LEAF_BYTES, 2 * LEAF_BYTES),
        ("bytes=-5", 206, len(CONTENT) - 5, len(CONTENT)),
        ("bytes=700000-99999999", 206, 700000, len(CONTENT)),
        ("bytes=-99999999", 200, 0, len(CONTENT)),
    ],
)
async def test_ranges(tmp_path: Path, asked: str, status: int, first: int, last: int) -> None:
    store = BlobStore(tmp_path / "blobs")
    root = store.put_bytes(CONTENT).root.hex()
    async with serving_blobs(tmp_path / "node", store) as source:
        found, body, content_range = await _get(source, f"/blob/{root}", Range=asked)
        assert (found, body) == (status, CONTENT[first:last])
        if status == 206:
            assert content_range == f"bytes {first}-{last - 1}/{len(CONTENT)}"


async def test_ranges_that_make_no_sense(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    root = store.put_bytes(CONTENT).root.hex()
    async with serving_blobs(tmp_path / "node", store) as source:
        for asked in ("bytes=99999999-", f"bytes={len(CONTENT)}-"):
            status, _, content_range = await _get(source, f"/blob/{root}", Range=asked)
            assert (status, content_range) == (416, f"bytes */{len(CONTENT)}")
        for asked in ("bytes=9-1", "bytes=a-b", "lines=1-2"):
            assert (await _get(source, f"/blob/{root}", Range=asked))[0] in (400, 416)


async def test_the_leaf_list_is_that_of_the_blob(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    tree = store.put_bytes(CONTENT)
    async with serving_blobs(tmp_path / "node", store) as source:
        assert await _get(source, f"/blob/{tree.root.hex()}/leaves") == (200, b"".join(tree.leaves), "")


async def test_what_nobody_published_is_not_there(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    public, private = store.put_bytes(b"public").root, store.put_bytes(b"private").root
    served = {public, b"0" * 32}
    async with serving_blobs(tmp_path / "node", store, lambda root, _: root in served) as source:
        assert (await _get(source, f"/blob/{public.hex()}"))[0] == 200
        hidden = await _get(source, f"/blob/{private.hex()}")
        absent = await _get(source, f"/blob/{'ab' * 32}")
        assert hidden[0] == absent[0] == 404
        assert hidden[1].replace(private.hex().encode(), b"") == absent[1].replace(b"ab" * 32, b"")
        assert (await _get(source, f"/blob/{(b'0' * 32).hex()}"))[0] == 404
        for name in ("..%2f..%2fkeys%2fnode.key", "A" * 64, "0" * 63):
            assert (await _get(source, f"/blob/{name}"))[0] == 400


@pytest.mark.parametrize("size", [0, 1, LEAF_BYTES, LEAF_BYTES + 1, len(CONTENT)])
async def test_what_is_fetched_is_what_was_named(tmp_path: Path, size: int) -> None:
    store = BlobStore(tmp_path / "blobs")
    tree = store.put_bytes(CONTENT[:size])
    fetcher = Fetcher()
    async with serving_blobs(tmp_path / "node", store) as source:
        assert await fetcher.fetch(tree.root, tree.size, [source]) == CONTENT[:size]
        await fetcher.close()


@pytest.mark.parametrize("size", [1000, len(CONTENT)])
async def test_one_flipped_byte_is_found_and_another_source_asked(tmp_path: Path, size: int) -> None:
    good, bad = BlobStore(tmp_path / "good"), BlobStore(tmp_path / "bad")
    tree = good.put_bytes(CONTENT[:size])
    bad.put_bytes(CONTENT[:size])
    spoilt = bytearray(CONTENT[:size])
    spoilt[-1] ^= 1
    bad.path(tree.root).write_bytes(spoilt)
    fetcher = Fetcher()
    async with serving_blobs(tmp_path / "a", bad) as first, serving_blobs(tmp_path / "b", good) as second:
        with pytest.raises(Unavailable, match="E-TRANSPORT-CORRUPT"):
            await fetcher.fetch(tree.root, tree.size, [first])
        assert await fetcher.fetch(tree.root, tree.size, [first, second]) == CONTENT[:size]
        await fetcher.close()


async def test_a_dead_address_is_left_alone_for_a_while(tmp_path: Path) -> None:
    closed = bind("127.0.0.1", 0)
    source = Source("00" * 32, [address_of(closed)], "pinned", "ab" * 32)
    closed.close()
    fetcher = Fetcher()
    with pytest.raises(Unavailable, match="onnect"):
        await fetcher.fetch(b"r" * 32, 10, [source])
    async with asyncio.timeout(0.05):
        with pytest.raises(Unavailable, match="a moment ago"):
            await fetcher.fetch(b"r" * 32, 10, [source])
    await fetcher.close()


# Many together.


async def _many(source: Source, sizes: dict[bytes, int]) -> dict[bytes, bytes]:
    fetcher = Fetcher()
    try:
        return {root: data async for root, data in fetcher.fetch_many(sizes, source)}
    finally:
        await fetcher.close()


async def test_many_small_blobs_come_together_and_what_may_not_be_had_is_left_out(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    blobs = {store.put_bytes(bytes([n]) * (1000 + n)).root: bytes([n]) * (1000 + n) for n in range(40)}
    large = store.put_bytes(CONTENT)
    withheld, missing = next(iter(blobs)), b"m" * 32
    sizes = {root: len(data) for root, data in blobs.items()} | {missing: 10, large.root: large.size}
    async with serving_blobs(tmp_path / "node", store, lambda root, _: root != withheld) as source:
        came = await _many(source, sizes)
        pin = bytes.fromhex(source.certificate)
        client = PinnedClient(client_context(), pin, aiohttp.ClientTimeout(total=10))
        statuses = []
        for body in (b"", b"x" * 33, b"x" * 32 * (BATCH_ROOTS_MAX + 1)):
            async with client.post(f"https://{source.addresses[0]}/blobs", body) as response:
                statuses.append(response.status)
        await client.aclose()
    del blobs[withheld]
    assert came == blobs
    assert statuses == [400, 400, 400]


async def test_a_wrong_blob_among_many_ends_the_answer_and_is_not_taken(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    roots = [store.put_bytes(bytes([n]) * 1000).root for n in range(3)]
    store.path(roots[1]).write_bytes(b"other bytes")
    async with serving_blobs(tmp_path / "node", store) as source:
        fetcher = Fetcher()
        sizes = dict.fromkeys(roots, 1000)
        came = [root async for root, _ in fetcher.fetch_many(sizes, source)]
        again = [root async for root, _ in fetcher.fetch_many(sizes, source)]
        await fetcher.close()
    assert (came, again) == (roots[:1], [])
