"""The demo from beginning to end.

Theory of operation. Four nodes are started and meet through the address of the first. Each hospital
trains on its own rows and publishes at its own node. When every node knows all four learnwares, each
hospital in turn searches with its rows (never its labels) on its own node, without its own learnware,
fetches what it found straight from the owners, runs it in processes of their own and combines it. At the
end the nodes are stopped and their taps are read.

Everything is undone at the end, on failure and on Ctrl-C: processes first, then the folder; unless the
nodes are to be kept.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from skerry.client.hits import Hit, Hits
from skerry.client.limits import CONVERGENCE_SECONDS_MAX, DEMO_WORKERS_STARTED_AT_ONCE_MAX, POLL_SECONDS
from skerry.client.network import Network
from skerry.errors import Unavailable

from .hospitals import COLUMNS, NAMES, Hospital, auc, load, pipeline, self_trained_auc
from .nodes import DemoNode, stop_all
from .report import Demo, DemoResult, HospitalResult
from .taps import Sent, read_tap, rows_found

if TYPE_CHECKING:
    from skerry.protocol.api import CardView

Note = Callable[[str], None]

LICENSE: Final = "CC-BY-4.0"


@dataclass(frozen=True)
class Site:
    """A hospital with its node and what it published."""

    hospital: Hospital
    node: DemoNode
    network: Network
    card: CardView


@dataclass(frozen=True)
class Scores:
    """What one hospital measured as a searcher."""

    self_auc: float
    top1_auc: float
    mix_auc: float
    average_auc: float


def run_demo(*, note: Note, keep: bool = False) -> Demo:
    """Run the demo.

    Parameters
    ----------
    note
        Told what happens, a line at a time.
    keep
        Leave nodes and folders, and say where they are.

    Raises
    ------
    Unavailable
        When a node did not start, or did not learn of the others in time.
    """
    started = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, root, ignore_errors=True)
        nodes = {name: DemoNode(root / name, load(name).title) for name in NAMES}
        cleanup.callback(stop_all, nodes.values())
        networks = _start(nodes, unsafe_models=not _sandboxed(note), note=note)
        sites = [_publish(load(name), nodes[name], networks[name], note) for name in NAMES]
        _wait_until_known(sites, note)
        scores = {site.hospital.name: _search(site, len(sites) - 1, note) for site in sites}
        if keep:
            cleanup.pop_all()
            _tell_addresses(sites, root, note)
        else:
            stop_all(nodes.values())
        note("looking for rows in what the nodes sent")
        return _result(sites, scores, started)


def _sandboxed(note: Note) -> bool:
    """Return whether models can be confined here; the demo's own may run without, no stranger's does."""
    from skerry.package.process import try_levels

    outcomes = try_levels()
    working = [level for level, reason in outcomes.items() if not reason]
    if working:
        note(f"models will run in a sandbox of level {working[0]}")
    else:
        note("no sandbox works here: the demo's own models will run in processes without one")
    return bool(working)


def _start(nodes: dict[str, DemoNode], *, unsafe_models: bool, note: Note) -> dict[str, Network]:
    """Start all nodes; all but the first know the first one's address and nothing else."""
    note(f"making {len(nodes)} nodes, each with its own folder and keys")
    for node in nodes.values():
        node.init()
    for node in nodes.values():
        node.wait_initialised()
    first, *others = nodes.values()
    first.start("")
    bootstrap = first.wait_serving().status().bootstrap
    note(f"starting them; they meet at {bootstrap.split('#')[0]}")
    for node in others:
        node.start(bootstrap)
    return {name: node.wait_serving(unsafe_models=unsafe_models) for name, node in nodes.items()}


def _publish(hospital: Hospital, node: DemoNode, network: Network, note: Note) -> Site:
    """Train on the hospital's own rows and publish."""
    note(f"{hospital.name}: trains on its own {len(hospital.rows)} rows and publishes")
    model = pipeline().fit(hospital.rows, hospital.labels)
    receipt = network.publish(
        model,
        hospital.rows,
        hospital.labels,
        name=f"Heart disease, {hospital.title}",
        license=LICENSE,
        scenario=("Health",),
        tags=("heart disease",),
        columns=COLUMNS,
    )
    return Site(hospital, node, network, receipt.card)


def _wait_until_known(sites: list[Site], note: Note) -> None:
    """Wait until every node knows all learnwares."""
    note("waiting until every node knows every specification")
    deadline = time.monotonic() + CONVERGENCE_SECONDS_MAX
    pending = list(sites)
    while pending:
        pending = [site for site in pending if site.network.status().cards < len(sites)]
        if pending and time.monotonic() > deadline:
            raise Unavailable(
                "The nodes did not learn of each other",
                where=", ".join(site.hospital.name for site in pending),
                why=f"they do not know all {len(sites)} learnwares after {CONVERGENCE_SECONDS_MAX:.0f} s",
                todo="Run the demo again; if it stays so, report it",
                code="E-DEMO-MEET",
            )
        time.sleep(POLL_SECONDS if pending else 0)


def _search(site: Site, expected: int, note: Note) -> Scores:
    """Play the searcher: find by unlabelled rows, fetch, run, combine; labels only measure."""
    hospital = site.hospital
    hits = _find(site, expected)
    note(f"{hospital.name}: found {len(hits)} learnwares, fetches them from their owners and runs them")
    try:
        hits.download()
        with ThreadPoolExecutor(DEMO_WORKERS_STARTED_AT_ONCE_MAX) as pool:
            list(pool.map(Hit.estimator, hits))
        return _measure(hospital, hits)
    finally:
        hits.close()


def _find(site: Site, expected: int) -> Hits:
    """Search until the other hospitals' full specifications could be compared."""
    deadline = time.monotonic() + CONVERGENCE_SECONDS_MAX
    while True:
        hits = site.network.search(
            site.hospital.rows, columns=COLUMNS, task="Classification", exclude_own=True
        )
        if len(hits) == expected and not hits.coverage.unreachable:
            return hits
        if time.monotonic() > deadline:
            raise Unavailable(
                "A hospital does not find the others' learnwares",
                where=site.hospital.name,
                why=repr(hits).split("\n")[0],
                todo="Run the demo again; if it stays so, report it",
                code="E-DEMO-MEET",
            )
        time.sleep(POLL_SECONDS)


def _measure(hospital: Hospital, hits: Hits) -> Scores:
    from skerry.reuse import Average

    return Scores(
        self_auc=self_trained_auc(hospital),
        top1_auc=auc(hospital, hits[0].estimator()),
        mix_auc=auc(hospital, hits.mix),
        average_auc=auc(hospital, Average(hits).fit()),
    )


def _result(sites: list[Site], scores: dict[str, Scores], started: float) -> Demo:
    sent = {site.hospital.name: read_tap(site.node.tap) for site in sites}
    hospitals = {
        site.hospital.name: _hospital_result(site, scores[site.hospital.name], sent[site.hospital.name])
        for site in sites
    }
    result = DemoResult(
        nodes=len(sites),
        rows_shared=len(_rows_shared(sites, list(sent.values()))),
        seconds=round(time.monotonic() - started, 1),
        hospitals=hospitals,
    )
    rows = sum(len(site.hospital.rows) for site in sites)
    return Demo(result, sum(one.size for one in sent.values()), rows)


def _rows_shared(sites: list[Site], sent: list[Sent]) -> set[int]:
    """Return the rows that were sent, as the models see them or as the files have them."""
    as_used = np.concatenate([site.hospital.rows for site in sites])
    as_recorded = np.concatenate([site.hospital.recorded for site in sites])
    return rows_found(sent, as_used) | rows_found(sent, as_recorded)


def _hospital_result(site: Site, scores: Scores, sent: Sent) -> HospitalResult:
    return HospitalResult(
        self_auc=scores.self_auc,
        top1_auc=scores.top1_auc,
        mix_auc=scores.mix_auc,
        average_auc=scores.average_auc,
        spec_bytes=sent.blobs.get(site.card.specification, 0),
        package_bytes=sent.blobs.get(site.card.package, 0),
    )


def _tell_addresses(sites: list[Site], root: Path, note: Note) -> None:
    for site in sites:
        status = site.network.status()
        note(f"{site.hospital.name}: {status.bootstrap}  folder {site.node.folder}")
    note(f"the nodes keep running; stop them with SIGTERM and remove {root}")
