"""Rows of ``bench.node``: a node that joins a network at rest, from its process on.

Six real daemons on loopback. Five hold the cards of all five, so that nobody but the sixth has to fetch; they
are connected, agree, have answered a search each and are idle when the sixth starts: cold is who joins. All
run from bytecode, as packages that are installed do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench._node_search import CARDS, OWNERS, cpu_seconds
from bench._synthetic import Market, cards_of, catalogue_of, write_blobs
from bench.report import Row
from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.node.storage.store import Store
from skerry.protocol.limits import LINKS_CHOSEN_MIN
from tests.node.processes import NodeProcess

SPECIFICATIONS_MAX = 500
JOIN_SECONDS_MAX = 300.0
WHOLE_POLL_SECONDS = 0.2
"""How often it is looked whether all is there: the question costs the node, too."""
REST_SECONDS_MAX = 600.0
REST_CPU_SECONDS = 0.1
"""What five nodes at rest may use together in a second."""


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of this part."""
    cards = min(int(os.environ.get(CARDS) or (5_000 if options.quick else 100_000)), 100_000)
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        return _cold_join(Path(name), np.random.default_rng(options.seed), cards)


def _cold_join(folder: Path, rng: np.random.Generator, cards: int) -> list[Row]:
    """Measure how long an empty node takes, from its process on, to answer and to hold what five nodes hold.

    The first answer counts when it holds hits: each was compared exactly, and its coverage says how many
    cards it rests on.
    """
    owners = [NodeProcess(folder / f"whole-{at}", f"Whole {at}") for at in range(OWNERS)]
    joining = NodeProcess(folder / "joining", "Joining")
    joining.init()
    for node in (*owners, joining):
        node.environment["PYTHONDONTWRITEBYTECODE"] = ""
    market = Market(rng)
    asked = market.rkme().to_bytes()
    try:
        _write_network(owners, market, cards)
        for at, owner in enumerate(owners):
            owner.start(bootstrap=(owners[0].bootstrap,) if at else ())
        _wait_for_rest(owners, asked, cards)
        bootstrap, spent = tuple(owner.bootstrap for owner in owners), sum(map(cpu_seconds, owners))
        begun = time.perf_counter()
        joining.start(bootstrap=bootstrap)
        first, held = None, 0
        while held < cards:
            if first is None and joining.search(requirement=asked, timeout_seconds=2.0).hits:
                first = time.perf_counter() - begun
                first_cpu = cpu_seconds(joining)
            held = joining.status().cards
            if time.perf_counter() - begun > JOIN_SECONDS_MAX:
                raise RuntimeError(f"{held} of {cards} cards after {JOIN_SECONDS_MAX} s")
            time.sleep(0.05 if first is None else WHOLE_POLL_SECONDS)
        whole, joining_cpu = time.perf_counter() - begun, cpu_seconds(joining)
        owners_cpu = sum(map(cpu_seconds, owners)) - spent
        params = {"cards": cards, "owners": OWNERS, "owners_at": "rest"}
        note = f"CPU s: {joining_cpu:.1f} of the joining node, {owners_cpu:.1f} of the owners meanwhile"
        name = "cold_join_100k_seconds" if cards == 100_000 else "cold_join_seconds"
        first_note = f"{first_cpu:.1f} CPU s of the joining node"
        return [
            Row("cold_join_first_search_seconds", first, "s", params, goal="<= 3", note=first_note),
            Row(name, whole, "s", params, goal="<= 20", note=note),
        ]
    finally:
        for node in (*owners, joining):
            node.kill()


def _wait_for_rest(owners: Sequence[NodeProcess], asked: bytes, cards: int) -> None:
    """Wait until all nodes are connected, hold all cards, agree, have answered a search, and idle."""
    deadline = time.monotonic() + REST_SECONDS_MAX
    while True:
        found = [owner.status() for owner in owners]
        agree = len({status.digest for status in found}) == 1
        whole = all(status.cards == cards for status in found)
        met = all(status.peers_connected >= LINKS_CHOSEN_MIN for status in found)
        if agree and whole and met:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"the owners do not come to rest: {found}")
        time.sleep(0.1)
    for owner in owners:
        while not owner.search(requirement=asked, timeout_seconds=60.0).hits:
            time.sleep(0.1)
    spent = -1.0
    while (now := sum(map(cpu_seconds, owners))) - spent > REST_CPU_SECONDS:
        spent = now
        time.sleep(1.0)


def _write_network(owners: Sequence[NodeProcess], market: Market, cards: int) -> None:
    """Write the folders of nodes that hold the cards of all of them."""
    keyrings = [initialise(Folder(owner.folder), owner.name) for owner in owners]
    first, *others = (Folder(owner.folder) for owner in owners)
    count = cards // len(owners)
    templates = [market.template() for _ in range(SPECIFICATIONS_MAX)]
    store = Store(first.database)
    for at, (owner, keyring) in enumerate(zip(owners, keyrings, strict=True)):
        numbers = range(at * count, (at + 1) * count)
        write_blobs(Folder(owner.folder).blobs, (template.blob_of(0) for template in templates))
        raws = tuple(cards_of(templates, keyring.owner, numbers, shared=True))
        store.write_now(catalogue_of(keyring, raws))
    store.take_in_all_words()
    store.close()
    for other in others:
        shutil.copyfile(first.database, other.database)
