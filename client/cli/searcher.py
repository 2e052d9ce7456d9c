"""Verbs of a searcher: search, get, run.

The last search is remembered beside the cache, so that ``skerry get 1`` and ``skerry run mix`` know what
is meant.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from skerry.errors import NotFound, SpecificationError

from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table as TextTable

    from skerry.client.hits import Hit, Hits
    from skerry.client.network import Network
    from skerry.protocol.api import SearchAnswer

MIX = "mix"
_STATE_FILE = "last-search.json"
_CARD_ID_CHARACTERS = 64

HitArgument = Annotated[str, typer.Argument(help="Number in the last search, or a learnware's id.")]
UnsafeOption = Annotated[
    bool, typer.Option("--unsafe-models", help="Run the model without a sandbox, with all your rights.")
]


def search(
    session: Session,
    data: Annotated[Path | None, typer.Argument(help="Rows like those to predict, CSV or Parquet.")] = None,
    *,
    target: Annotated[
        str | None, typer.Option(help="Column to leave out: the labels, if there are any.")
    ] = None,
    text: Annotated[str, typer.Option(help="Words in name or summary.")] = "",
    task: Annotated[str, typer.Option(help="Classification, Regression, ...")] = "",
    library: Annotated[str, typer.Option(help="Scikit-learn, PyTorch, ...")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence.")] = "",
    scenario: Annotated[str, typer.Option(help="Field of use.")] = "",
    owner: Annotated[str, typer.Option(help="Owner's id.")] = "",
    exclude_own: Annotated[bool, typer.Option("--exclude-own", help="Without this node's own.")] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Hits wanted.")] = 10,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the search may take.")] = 5.0,
) -> None:
    """Find learnwares by data, by words, or by both."""
    network = session.network()
    hits = network.search(
        None if data is None else _requirement(session, data, target),
        text=text,
        task=task,
        where={"library": library, "license": license_, "scenario": scenario, "owner": owner},
        exclude_own=exclude_own,
        k=k,
        timeout=timeout,
    )
    _remember(hits.answer)
    if not hits:
        raise NotFound(
            "No learnware was found",
            why=_coverage(hits),
            todo="Use fewer filters, or columns named as others name them; --target leaves labels out",
            code="E-SEARCH-NOTHING",
        )
    session.show(hits.answer, _hits_table(hits), "\n".join(hit.card.id for hit in hits))
    session.note(_coverage(hits))
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
) -> None:
    """Fetch a learnware's package from its owner, verified, into the cache."""
    from skerry.client.escape import visible

    from .output import byte_size

    found = _resolve(session.network(), hit)
    size = found.card.package_bytes
    addresses = ", ".join(address for source in found.sources for address in source.addresses)
    session.note(visible(f"{found.title} by {found.owner}: {byte_size(size)} from {addresses}"))
    path = "" if dry_run else str(_download(session, found))
    result = {"id": found.card.id, "bytes": size, "lane": found.card.lane, "path": path}
    session.show(result, path or "nothing was fetched", path)


def run(
    session: Session,
    hit: Annotated[str, typer.Argument(help="Number in the last search, a learnware's id, or `mix`.")],
    data: Annotated[Path, typer.Argument(help="Rows to predict, CSV or Parquet.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV file for the predictions.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to leave out: the labels.")] = None,
    unsafe_models: UnsafeOption = False,
) -> None:
    """Predict rows with a learnware, or with the mix that the last search recommended."""
    from skerry.client.data import read_file
    from skerry.client.requirements import requirement

    table, _ = read_file(data, target)
    network = session.network(unsafe_models=unsafe_models)
    if hit == MIX:
        estimator: Any = network.hits(_recall(), requirement(table)).mix
    else:
        estimator = _resolve(network, hit).estimator()
    names = getattr(estimator, "feature_names_in_", None)
    rows = table.values if names is None else table.select(list(names))
    header, lines = _predictions(estimator, rows)
    if output is not None:
        with output.open("w", newline="", encoding="utf-8") as file:
            _write_csv(file, header, lines)
        session.show({"rows": len(lines), "path": str(output)}, f"{len(lines)} rows in {output}", str(output))
    elif session.json:
        session.show({"columns": header, "rows": lines}, "")
    else:
        _write_csv(sys.stdout, header, lines)


def _requirement(session: Session, path: Path, target: str | None) -> Any:
    """Return the rows' specification, and say what of the file was used."""
    from skerry.client.data import read_file
    from skerry.client.requirements import requirement

    table, _ = read_file(path, target)
    made = requirement(table)
    ignored = f", without {', '.join(table.ignored)} (no numbers)" if table.ignored else ""
    size = len(made.rkme.to_bytes())
    session.note(
        f"specified {len(table)} rows of {len(table.columns)} columns{ignored}: {size} bytes go to the node"
    )
    return made


def _download(session: Session, hit: Hit) -> Path:
    """Fetch a package, with a progress bar where somebody watches."""
    if session.quiet or session.json or not sys.stderr.isatty():
        return hit.download()
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("fetching"), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, no_color=not session.color)) as progress:
        task = progress.add_task("", total=hit.card.package_bytes)
        return hit.download(progress=lambda have, _: progress.update(task, completed=have))


def _predictions(estimator: Any, rows: Any) -> tuple[list[str], list[list[Any]]]:
    """Return a header and one line a row: the prediction, then the probability of each class."""
    answers = estimator.predict(rows)
    if not hasattr(estimator, "predict_proba"):
        columns = answers.reshape(len(answers), -1)
        names = (
            ["prediction"] if columns.shape[1] == 1 else [f"prediction_{i}" for i in range(columns.shape[1])]
        )
        return names, columns.tolist()
    header = ["prediction", *(f"probability_{label}" for label in estimator.classes_.tolist())]
    pairs = zip(answers.tolist(), estimator.predict_proba(rows).tolist(), strict=True)
    return header, [[answer, *shares] for answer, shares in pairs]


def _write_csv(file: IO[str], header: list[str], lines: list[list[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)


def _resolve(network: Network, name: str) -> Hit:
    """Return the learnware that a number of the last search, or an id, stands for."""
    if len(name) == _CARD_ID_CHARACTERS:
        return network.hit(name)
    hits = network.hits(_recall())
    if name.isdecimal() and 1 <= int(name) <= len(hits):
        return hits[int(name) - 1]
    raise SpecificationError(
        "That is no hit of the last search",
        where=name,
        why=f"it found {len(hits)} learnwares",
        todo="Name a number that `skerry search` showed, or the 64 hexadecimal digits of an id",
        code="E-CLI-HIT",
    )


def _state_path() -> Path:
    from skerry.client.folders import cache_folder

    return cache_folder() / _STATE_FILE


def _remember(answer: SearchAnswer) -> None:
    import msgspec

    _state_path().write_bytes(msgspec.json.encode(answer))


def _recall() -> SearchAnswer:
    import msgspec

    from skerry.client.limits import SEARCH_STATE_BYTES_MAX
    from skerry.protocol.api import SearchAnswer

    try:
        with _state_path().open("rb") as file:
            return msgspec.json.decode(file.read(SEARCH_STATE_BYTES_MAX), type=SearchAnswer)
    except (OSError, msgspec.DecodeError) as error:
        raise NotFound(
            "There is no last search",
            where=str(_state_path()),
            why=str(error),
            todo="Search first: `skerry search DATA`",
            code="E-CLI-NO-SEARCH",
        ) from error


def _hits_table(hits: Hits) -> TextTable:
    from .output import byte_size, table

    columns = ("#no", "learnware", "owner", "lane", "#package", "#MMD2", "#cosine")
    return table(columns, (_hit_row(number, hit, byte_size) for number, hit in enumerate(hits, start=1)))


def _hit_row(number: int, hit: Hit, byte_size: Callable[[int], str]) -> tuple[object, ...]:
    distance = "" if hit.mmd2 is None else f"{hit.mmd2:.4f}"
    cosine = "" if hit.cosine is None else f"{hit.cosine:.3f}"
    return number, hit.title, hit.owner, hit.card.lane, byte_size(hit.card.package_bytes), distance, cosine


def _coverage(hits: Hits) -> str:
    from skerry.client.hits import summary

    return summary(hits.coverage)


def _mix_line(hits: Hits) -> str:
    mix = hits.answer.mix
    assert mix is not None
    parts = zip(mix.members, mix.weights, strict=True)
    shares = " + ".join(f"{weight:.2f} x {member + 1}" for member, weight in parts)
    return f"recommended mix: {shares}, squared MMD {mix.mmd2:.4f} (nearest alone {mix.single_mmd2:.4f})"
