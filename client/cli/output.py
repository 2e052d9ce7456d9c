"""How results look on a terminal. Text from other nodes is escaped here, and never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from skerry.client.escape import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from skerry.errors import SkerryError

ERROR_LABELS = (("where", "where"), ("why", "why"), ("todo", "what to do"))


def console(*, color: bool) -> Console:
    """Return the console for standard output; plain where it is no terminal."""
    from rich.console import Console

    return Console(no_color=not color, highlight=False, markup=False, emoji=False)


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


def error_text(error: SkerryError, *, whole: bool = False) -> str:
    """Return an error as lines: code and what first, then what is known of where, why and what to do.

    A model's own error comes as a traceback; of such a text the last line says what happened, and the rest is
    shown when the `whole` is asked for.
    """
    lines = [f"error {error.code}: {visible(error.what)}"]
    parts = error.parts()
    for key, label in ERROR_LABELS:
        said = parts[key].strip().splitlines()
        lines += [f"  {label}: {visible(line)}" for line in (said if whole else said[-1:])]
    return "\n".join(lines)


def byte_size(size: int) -> str:
    """Return bytes for people, with decimal units."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
