"""Copies of public specifications come from other nodes when their owner is gone; those of a group do not."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from skerry.node.directory import PUBLIC
from skerry.node.network.listening import address_of, bind, serving
from skerry.node.transfer.batches import joined
from skerry.node.transfer.copies import CopyRoutes
from skerry.node.transfer.pace import UNLIMITED
from skerry.protocol.card import Blob, by_hash
from skerry.protocol.effects import CardsChanged, PutCatalogue
from tests.node.processes import eventually, nodes, rkme, specification
from tests.node.search.market import NODE, OWNER, Market, card_of, market_in, small_rkme, whole

GROUP = b"g" * 32


def add(market: Market, slug: str, scope: bytes) -> bytes:
    """Show a card in a scope, with its specification on the disk, and return that one's name."""
    model = small_rkme(np.random.default_rng(len(slug)), 0.0)
    tree = market.blobs.put_bytes(whole(model))
    cards = by_hash([card_of(slug, model, Blob(tree.root, tree.size)).to_bytes()])
    market.store.write_now([PutCatalogue(scope, NODE, b"head", cards, ())])
    market.index.apply(CardsChanged(scope, NODE, OWNER, b"h", cards, ()))
    return tree.root


async def test_what_a_public_card_names_is_there_and_nothing_else(tmp_path: Path) -> None:
    with market_in(tmp_path) as market:
        public = add(market, "public", PUBLIC)
        for_group = add(market, "of-a-group", GROUP)
        unnamed = market.blobs.put_bytes(b"withdrawn").root
        application = web.Application()
        CopyRoutes(market.blobs, market.index, UNLIMITED).add_to(application)
        listening = bind("127.0.0.1", 0)
        async with serving(application, listening), aiohttp.ClientSession() as session:
            names = b"".join([unnamed, for_group, public, b"n" * 32])
            async with session.post(f"http://{address_of(listening)}/copies", data=names) as response:
                assert await response.read() == joined([(public, market.blobs.read(public) or b"")])


@pytest.mark.processes
def test_a_search_finds_copies_when_the_owner_is_gone(tmp_path: Path) -> None:
    with nodes(tmp_path, "Owner", "Neighbour", "Searcher") as (owner, neighbour, searcher):
        owner.start()
        owner.publish("one", specification(1), b"package one")
        owner.publish("two", specification(2), b"package two")
        neighbour.start(bootstrap=(owner.bootstrap,))
        searcher.start(bootstrap=(owner.bootstrap, neighbour.bootstrap))
        for node in (neighbour, searcher):
            eventually("told", lambda node=node: node.status().cards == 2)
        eventually("connected", lambda: searcher.status().peers_connected == 2)
        wanted = rkme(3).to_bytes()
        compared = [hit.mmd2 for hit in neighbour.search(requirement=wanted).hits]
        assert len(compared) == 2
        owner.kill()
        assert [hit.mmd2 for hit in searcher.search(requirement=wanted).hits] == compared
        assert None not in compared
