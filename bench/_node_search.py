"""Rows of ``bench.node``: start, memory and search over many cards, with and without owners to ask.

One real daemon over a synthetic store (``_synthetic.py``); every figure is seen from outside, through its
local API and ``/proc``. Specifications of the candidates lie in the cache, but for the row with five owners.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench._synthetic import Market, Template, cards_of, catalogue_of, write_blobs, write_market
from bench.report import Row
from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.node.storage.store import Store
from skerry.protocol.api import SearchAnswer
from skerry.spec import Rkme
from tests.node.processes import NodeProcess

QUERIES = 20
CARDS = "SKERRY_BENCH_CARDS"
"""Environment variable that sets another number of cards, for one who works on these figures."""
OWNERS = 5
OWNER_CARDS = 60
IDLE_SECONDS = 3.0
SKETCHES_SECONDS_MAX = 600.0


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of this part."""
    cards = int(os.environ.get(CARDS) or (20_000 if options.quick else 1_000_000))
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as name:
        folder = Path(name)
        made = [_idle(folder), *_large(folder, rng, cards)]
        return [*made, _five_owners(folder, rng)]


def _idle(folder: Path) -> Row:
    node = NodeProcess(folder / "idle", "Idle")
    node.init()
    try:
        node.start()
        time.sleep(IDLE_SECONDS)
        return Row("idle_rss_mb", _resident_mb(node), "MB", goal="<= 120")
    finally:
        node.kill()


def _large(folder: Path, rng: np.random.Generator, cards: int) -> list[Row]:
    root = folder / "large"
    begun = time.process_time()
    owners = folder / "owners"
    _, asked = write_market(Folder(root), rng, cards, owners_folder=owners, queries=QUERIES + 1)
    print(f"{cards} cards made in {time.process_time() - begun:.0f} CPU s", file=sys.stderr)
    node, params = NodeProcess(root, "Searcher"), {"cards": cards}
    name = "1m" if cards == 1_000_000 else str(cards)
    try:
        _start(node)  # makes the file of sketches, as a node does while cards come in
        _wait_for_sketches(node, asked[0])
        node.stop()
        seconds = _start(node)
        start_cpu = cpu_seconds(node)
        first = _search_seconds(node, asked[0])
        spent = cpu_seconds(node)
        times = [_search_seconds(node, one) for one in asked[1:]]
        cpu = (cpu_seconds(node) - spent) / QUERIES
        words = [_words_seconds(node, text) for text in ("kidney traffic", "kidnye trafic")]
        note = f"first {1000 * first:.0f} ms, {1000 * cpu:.0f} CPU ms each"
        return [
            Row(f"start_seconds_{name}", seconds, "s", params, goal="<= 10", note=f"{start_cpu:.1f} CPU s"),
            Row(f"search_ms_{name}", 1000 * statistics.median(times), "ms", params, goal="<= 400", note=note),
            Row("search_words_ms", 1000 * max(words), "ms", params),
            Row(f"rss_mb_{name}", _resident_mb(node), "MB", params, goal="<= 2500"),
        ]
    finally:
        node.kill()


def _wait_for_sketches(node: NodeProcess, asked: Rkme) -> None:
    """Search until an answer comes: before it, the node makes the sketches of all cards."""
    deadline = time.monotonic() + SKETCHES_SECONDS_MAX
    while True:
        try:
            node.search(requirement=asked.to_bytes(), timeout_seconds=60.0)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _five_owners(folder: Path, rng: np.random.Generator) -> Row:
    """Measure a search whose candidates' specifications have to be fetched from five daemons."""
    owners = [NodeProcess(folder / f"live-{at}", f"Live {at}") for at in range(OWNERS)]
    searcher = NodeProcess(folder / "asking", "Asking")
    searcher.init()
    market = Market(rng, spread=0.3)
    templates = [market.template() for _ in range(OWNERS * OWNER_CARDS)]
    try:
        for at, owner in enumerate(owners):
            _write_owner(owner, templates, range(at * OWNER_CARDS, (at + 1) * OWNER_CARDS))
            owner.start(bootstrap=(owners[0].bootstrap,) if at else ())
        searcher.start(bootstrap=tuple(owner.bootstrap for owner in owners))
        deadline = time.monotonic() + 60
        while searcher.status().cards < OWNERS * OWNER_CARDS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {searcher.status().cards} cards came")
            time.sleep(0.1)
        begun = time.perf_counter()
        answer = searcher.search(requirement=market.rkme().to_bytes(), timeout_seconds=10.0)
        milliseconds = 1000 * (time.perf_counter() - begun)
        if answer.coverage.compared < OWNERS * OWNER_CARDS:
            raise RuntimeError(f"not all were compared: {answer.coverage}")
        params = {"owners": OWNERS, "fetched": answer.coverage.compared}
        return Row("search_fetching_ms", milliseconds, "ms", params, goal="<= 1000")
    finally:
        for node in (*owners, searcher):
            node.kill()


def _write_owner(owner: NodeProcess, templates: Sequence[Template], numbers: range) -> None:
    folder = Folder(owner.folder)
    keyring = initialise(folder, owner.name)
    write_blobs(folder.blobs, (templates[number].blob_of(number) for number in numbers))
    store = Store(folder.database)
    store.write_now(catalogue_of(keyring, tuple(cards_of(templates, keyring.owner, numbers))))
    store.close()


def _start(node: NodeProcess) -> float:
    """Start a daemon and return how long it took to serve."""
    begun = time.perf_counter()
    node.begin()
    node.wait_ready(600.0)
    node.status()
    return time.perf_counter() - begun


def _search_seconds(node: NodeProcess, asked: Rkme) -> float:
    requirement = asked.to_bytes()
    begun = time.perf_counter()
    answer: SearchAnswer = node.search(requirement=requirement, timeout_seconds=60.0)
    seconds = time.perf_counter() - begun
    if not answer.hits or answer.coverage.unreachable:
        raise RuntimeError(f"not a whole answer: {answer.coverage}")
    return seconds


def _words_seconds(node: NodeProcess, text: str) -> float:
    begun = time.perf_counter()
    answer = node.search(text=text)
    seconds = time.perf_counter() - begun
    if not answer.hits:
        raise RuntimeError(f"no hits for {text}")
    return seconds


def _resident_mb(node: NodeProcess) -> float:
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) / 1024


def cpu_seconds(node: NodeProcess) -> float:
    assert node.process is not None
    fields = Path(f"/proc/{node.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
