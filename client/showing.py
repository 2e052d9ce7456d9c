"""How results look: tables for terminals and notebooks, progress bars, columns of a data frame.

Rules of this file:

1. Text from other nodes is escaped here, and never read as markup (see :mod:`skerry.client.escape`).
2. A table fits the terminal: texts are cut, numbers are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skerry.errors import Unavailable

from .escape import visible

if TYPE_CHECKING:
    from rich.table import Table

    from .hits import Hit, Hits

HIT_COLUMNS = ("#no", "learnware", "owner", "lane", "#package", "#MMD2", "#cosine")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of texts.

    Columns whose name begins with ``#`` hold numbers: they stand to the right and are never cut. Where a line
    is too long for the terminal, the texts are.
    """
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        number = name.startswith("#")
        # rich narrows columns that may wrap, and only then the others; the cells themselves never do.
        result.add_column(name.removeprefix("#"), justify="right" if number else "left", no_wrap=number)
    for row in rows:
        result.add_row(*(Text(visible(str(cell)), no_wrap=True, overflow="ellipsis") for cell in row))
    return result


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Return names and values, one a line; long values are wrapped, not cut."""
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(style="bold", no_wrap=True)
    result.add_column(overflow="fold")
    for name, value in pairs:
        result.add_row(name, Text(visible(str(value))))
    return result


def byte_size(size: int) -> str:
    """Return bytes for people, with decimal units."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def hits_table(hits: Hits) -> Table:
    """Return the hits as a table for a terminal.

    Where labels were given, the expected loss takes the place of the cosine: both do not fit in 80 columns.
    """
    labelled = any(hit.expected_loss is not None for hit in hits)
    rows = (_hit_row(number, hit, labelled=labelled) for number, hit in enumerate(hits, start=1))
    return table((*HIT_COLUMNS[:-1], "#loss") if labelled else HIT_COLUMNS, rows)


def frame_columns(hits: Sequence[Hit]) -> dict[str, list[Any]]:
    """Return the columns of a data frame of hits."""
    return {
        "name": [hit.card.name or hit.card.slug for hit in hits],
        "version": [hit.card.version for hit in hits],
        "owner": [hit.card.owner_name for hit in hits],
        "owner_id": [hit.card.owner for hit in hits],
        "task": [hit.card.task for hit in hits],
        "lane": [hit.card.lane for hit in hits],
        "license": [hit.card.license for hit in hits],
        "package_bytes": [hit.card.package_bytes for hit in hits],
        "mmd2": [hit.mmd2 for hit in hits],
        "cosine": [hit.cosine for hit in hits],
        "within_noise": [hit.within_noise for hit in hits],
        "expected_loss": [None if hit.expected_loss is None else hit.expected_loss.loss for hit in hits],
        "id": [hit.card.id for hit in hits],
    }


@contextmanager
def progress_bar(what: str, total: int, *, color: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with bytes, rate and time left on standard error, and give the function that moves it.

    In a notebook rich draws it into the cell.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, no_color=not color)) as progress:
        task = progress.add_task(visible(what, 40), total=total)
        yield lambda have, _: progress.update(task, completed=have)


@contextmanager
def spinner(what: str, *, color: bool = True) -> Iterator[None]:
    """Show what goes on and for how long, for work of which nobody knows how much is left."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = Console(stderr=True, no_color=not color)
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(visible(what, 60), total=None)
        yield


def missing_extra(what: str, extra: str) -> Unavailable:
    """Return the error for a library that is not installed."""
    return Unavailable(
        f"There is no library for {what}",
        why="it is not installed, since not everybody needs it",
        todo=f"pip install 'skerry[{extra}]'",
        code="E-CLIENT-EXTRA",
    )


def _hit_row(number: int, hit: Hit, *, labelled: bool) -> tuple[object, ...]:
    distance = "" if hit.mmd2 is None else f"{hit.mmd2:.4f}"
    last = hit.cosine
    if labelled:
        last = None if hit.expected_loss is None else hit.expected_loss.loss
    size = byte_size(hit.card.package_bytes)
    return number, hit.title, hit.owner, hit.card.lane, size, distance, "" if last is None else f"{last:.3f}"
