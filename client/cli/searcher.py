"""Verbs of a searcher: search, get, run, reuse.

Rules of this file:

1. What was fetched is used without a node and without its owner; only a search needs a node.
2. Predictions go to standard output or to a file, never both.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from skerry.errors import NotFound

from .session import Session
from .state import recall, remember, renamings, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skerry.client.data import Table
    from skerry.client.hits import Hit, Hits
    from skerry.client.requirements import Requirement

    from .results import Predictions, Written

MIX: Final = "mix"
MEMBERS_MAX: Final = 5
"""Learnwares that ``reuse`` combines by default: each runs in a process of its own."""
BUDGET_SECONDS: Final = 30.0

RATE: Final = re.compile(r"([1-9]\d{0,11})([kM]?)")
RATE_UNITS: Final = {"": 1, "k": 1000, "m": 1_000_000}

HitArgument = Annotated[str, typer.Argument(help="Number in the last search, or a learnware's id.")]
TargetOption = Annotated[str | None, typer.Option(help="Column to leave out: the labels, if there are any.")]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="Column of the data that others call otherwise, old=new.")
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="CSV file for the predictions.")]
UnsafeOption = Annotated[
    bool, typer.Option("--unsafe-models", help="Run the model without a sandbox, with all your rights.")
]


def search(
    session: Session,
    data: Annotated[Path | None, typer.Argument(help="Rows like those to predict, CSV or Parquet.")] = None,
    *,
    target: Annotated[
        str | None, typer.Option(help="Column with labels, which stay here; empty where none is known.")
    ] = None,
    text: Annotated[str, typer.Option(help="Words in name or summary.")] = "",
    task: Annotated[str, typer.Option(help="Classification, Regression, ...")] = "",
    library: Annotated[str, typer.Option(help="Scikit-learn, PyTorch, ...")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence.")] = "",
    scenario: Annotated[str, typer.Option(help="Field of use.")] = "",
    owner: Annotated[str, typer.Option(help="Owner's id or name.")] = "",
    exclude_own: Annotated[bool, typer.Option("--exclude-own", help="Without this node's own.")] = False,
    renamed: MapOption = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Hits wanted.")] = 10,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the search may take.")] = 5.0,
) -> None:
    """Find learnwares by data, by words, or by both."""
    network = session.network()
    wanted = None if data is None else _requirement(session, data, target, renamings(renamed))
    with session.working("searching"):
        hits = network.search(
            wanted,
            text=text,
            task=task,
            where={"library": library, "license": license_, "scenario": scenario, "owner": owner},
            exclude_own=exclude_own,
            k=k,
            timeout=timeout,
        )
    remember(hits.answer)
    if hits.note:
        session.note(hits.note)
    _require_some(hits)
    from skerry.client.escape import visible
    from skerry.client.showing import hits_table

    session.show(hits.answer, hits_table(hits), "\n".join(hit.card.id for hit in hits))
    session.note(_coverage(hits))
    for hit in hits:
        if hit.bridge is not None:
            session.note(visible(f"{hit.title}: {hit.bridge}; to use it: net.search in Python"))
    near = sum(bool(hit.within_noise) for hit in hits)
    if near:
        session.note(f"within the noise of your own rows: {near}")
    if hits.answer.mix is not None:
        session.note(_mix_line(hits))


def get(
    session: Session,
    hit: HitArgument,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be fetched.")] = False,
    limit: Annotated[str, typer.Option(help="Bytes a second at most, such as 500k or 2M.")] = "",
) -> None:
    """Fetch a learnware's package from its owner, verified, into the cache."""
    from skerry.client.escape import visible

    from .output import byte_size
    from .results import Fetched

    rate = _bytes_per_second(limit)
    found = resolve(session.network(offline=True), hit)
    size, cached = found.card.package_bytes, found.is_cached
    addresses = [address for source in found.sources for address in source.addresses]
    place = "in the cache already" if cached else f"from {', '.join(addresses)}"
    session.note(visible(f"{found.title} by {found.owner}: {byte_size(size)} {place}"))
    path = "" if dry_run else str(download(session, found, rate))
    result = Fetched(found.card.id, size, found.card.lane, path, cached, addresses)
    session.show(result, path or "nothing was fetched", path)


def run(
    session: Session,
    hit: Annotated[str, typer.Argument(help="Number in the last search, a learnware's id, or `mix`.")],
    data: Annotated[Path, typer.Argument(help="Rows to predict, CSV or Parquet.")],
    *,
    output: OutputOption = None,
    target: TargetOption = None,
    renamed: MapOption = None,
    unsafe_models: UnsafeOption = False,
) -> None:
    """Predict rows with a learnware, or with the mix that the last search recommended."""
    from skerry.client.data import read_file
    from skerry.client.requirements import requirement

    table, _ = read_file(data, target)
    columns_map = renamings(renamed)
    network = session.network(unsafe_models=unsafe_models, offline=True)
    if hit == MIX:
        hits = network.hits(recall(), requirement(table, columns_map=columns_map), columns_map)
        _fetch_members(session, hits)
        estimator: Any = hits.mix
    else:
        found = resolve(network, hit, columns_map)
        download(session, found)
        estimator = found.estimator()
    with session.working("predicting"):
        answers = _predictions(estimator, _rows(table, estimator))
    if output is not None:
        written = _write_file(output, answers)
        session.show(written, f"{written.rows} rows in {output}", str(output))
    elif session.json:
        session.show(answers, "")
    else:
        _write_csv(sys.stdout, answers)


def reuse(
    session: Session,
    data: Annotated[Path, typer.Argument(help="Your rows, CSV or Parquet; some or none with a label.")],
    *,
    target: Annotated[
        str | None, typer.Option(help="Column with the labels that are known; empty where none is.")
    ] = None,
    output: OutputOption = None,
    rows: Annotated[
        Path | None, typer.Option(help="Other rows to predict, instead of the file's own.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="Classification or Regression; by default the nearest hit's.")
    ] = "",
    exclude_own: Annotated[bool, typer.Option("--exclude-own", help="Without this node's own.")] = False,
    renamed: MapOption = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Learnwares to combine.")] = MEMBERS_MAX,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the search may take.")] = 5.0,
    budget: Annotated[float, typer.Option(help="Seconds for trying combinations.")] = BUDGET_SECONDS,
    unsafe_models: UnsafeOption = False,
) -> None:
    """Search, fetch, choose the combination that your labels speak for, and predict: all in one."""
    from skerry.client.data import known_labels, read_file
    from skerry.reuse import AutoReuse

    table, labels = read_file(data, target)
    columns_map = renamings(renamed)
    wanted = _requirement(session, data, target, columns_map)
    network = session.network(unsafe_models=unsafe_models)
    with session.working("searching"):
        hits = network.search(
            wanted, task=task, exclude_own=exclude_own, k=k, timeout=timeout, columns_map=columns_map
        )
    _require_some(hits)
    session.note(_coverage(hits))
    members = [hit for hit in hits[:k] if hit.card.task == hits[0].card.task]
    _fetch(session, members)
    try:
        chosen = AutoReuse(members, requirement=wanted.rkme, budget_seconds=budget)
        few = None if labels is None else known_labels(labels)
        own = _own_columns(table, members)
        with session.working("trying combinations"):
            chosen.fit(own, None) if few is None else chosen.fit(own[few.rows], few.labels)
        for line in _trial_lines(chosen.report_):
            session.note(line)
        table = table if rows is None else read_file(rows, target)[0]
        with session.working("predicting"):
            answers = _predictions(chosen, _rows(table, chosen))
    finally:
        hits.close()
    _show_reuse(session, chosen.report_, members, answers, output)


def _show_reuse(
    session: Session,
    report: dict[str, Any],
    members: Sequence[Hit],
    answers: Predictions,
    output: Path | None,
) -> None:
    from .results import ReuseReport

    written = None if output is None else _write_file(output, answers)
    if output is None and not session.json:
        _write_csv(sys.stdout, answers)
        return
    result = ReuseReport(
        chosen=report["chosen"],
        why=report["why"],
        trials=report["trials"],
        members=[hit.card.id for hit in members],
        predictions=answers if written is None else None,
        written=written,
    )
    session.show(result, f"{len(answers.rows)} rows in {output}", str(output))


def download(session: Session, hit: Hit, bytes_per_second: int = 0) -> Path:
    """Fetch a package, with a progress bar where somebody watches."""
    if hit.is_cached or not session.watched():
        return hit.download(bytes_per_second=bytes_per_second)
    from skerry.client.showing import progress_bar

    with progress_bar(f"fetching {hit.title}", hit.card.package_bytes, color=session.color) as shown:
        return hit.download(progress=shown, bytes_per_second=bytes_per_second)


def _bytes_per_second(text: str) -> int:
    if not text:
        return 0
    if (match := RATE.fullmatch(text)) is None:
        raise typer.BadParameter(f"{text!r} is not bytes a second, such as 500k or 2M", param_hint="--limit")
    return int(match[1]) * RATE_UNITS[match[2].lower()]


def _fetch_members(session: Session, hits: Hits) -> None:
    mix = hits.answer.mix
    _fetch(session, [] if mix is None else [hits[at] for at in mix.members])


def _fetch(session: Session, hits: Sequence[Hit]) -> None:
    """Fetch the packages of several hits, one bar each."""
    for hit in hits:
        download(session, hit)


def _requirement(
    session: Session, path: Path, target: str | None, columns_map: dict[str, str]
) -> Requirement:
    """Return the rows' specification, and say what of the file was used."""
    from skerry.client.data import read_file
    from skerry.client.requirements import requirement

    with session.working(f"specifying {path}"):
        table, labels = read_file(path, target)
        made = requirement(table, labels, columns_map=columns_map)
    ignored = f", without {', '.join(table.ignored)} (no numbers)" if table.ignored else ""
    size = len(made.rkme.to_bytes())
    session.note(
        f"specified {len(table)} rows of {len(table.columns)} columns{ignored}: {size} bytes go to the node"
    )
    return made


def _require_some(hits: Hits) -> None:
    if not hits:
        raise NotFound(
            "No learnware was found",
            why=_coverage(hits),
            todo="Use fewer filters, or columns named as others name them (--map old=new); --target leaves "
            "labels out",
            code="E-SEARCH-NOTHING",
        )


def _rows(table: Table, estimator: Any) -> Any:
    """Return the columns that an estimator asks for by name; all in their order where it knows no names."""
    names = getattr(estimator, "feature_names_in_", None)
    return table.values if names is None else table.select(list(names))


def _own_columns(table: Table, members: Sequence[Hit]) -> Any:
    """Return the columns that any of the learnwares needs, in the order in which a reuser expects them."""
    models = [hit.estimator() for hit in members]
    names = list(dict.fromkeys(name for model in models for name in model.columns_ or ()))
    return table.select(names) if names else table.values


def _predictions(estimator: Any, rows: Any) -> Predictions:
    """Return a header and one line a row: the prediction, then the probability of each class."""
    from .results import Predictions

    answers = estimator.predict(rows)
    if not hasattr(estimator, "predict_proba"):
        columns = answers.reshape(len(answers), -1)
        names = (
            ["prediction"] if columns.shape[1] == 1 else [f"prediction_{i}" for i in range(columns.shape[1])]
        )
        return Predictions(names, columns.tolist())
    header = ["prediction", *(f"probability_{label}" for label in estimator.classes_.tolist())]
    pairs = zip(answers.tolist(), estimator.predict_proba(rows).tolist(), strict=True)
    return Predictions(header, [[answer, *shares] for answer, shares in pairs])


def _write_file(path: Path, answers: Predictions) -> Written:
    from .results import Written

    with path.open("w", newline="", encoding="utf-8") as file:
        _write_csv(file, answers)
    return Written(len(answers.rows), str(path))


def _write_csv(file: IO[str], answers: Predictions) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(answers.columns)
    writer.writerows(answers.rows)


def _coverage(hits: Hits) -> str:
    from skerry.client.hits import summary

    return summary(hits.coverage)


def _mix_line(hits: Hits) -> str:
    mix = hits.answer.mix
    assert mix is not None
    parts = zip(mix.members, mix.weights, strict=True)
    shares = " + ".join(f"{weight:.2f} x {member + 1}" for member, weight in parts)
    return f"recommended mix: {shares}, squared MMD {mix.mmd2:.4f} (nearest alone {mix.single_mmd2:.4f})"


def _trial_lines(report: dict[str, Any]) -> list[str]:
    """Return what was tried, and what was chosen for which reason."""
    losses = [f"{one['name']} {one['loss']:.4f}" for one in report["trials"] if one["loss"] is not None]
    lines = [f"tried (loss): {', '.join(losses)}"] if losses else []
    return [*lines, f"chosen: {report['chosen']}; {report['why']}"]
