"""How results look on a terminal. Text from other nodes is escaped here, and never read as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.client.escape import visible
from skerry.client.showing import byte_size, facts, table

if TYPE_CHECKING:
    from rich.console import Console

    from skerry.errors import SkerryError

__all__ = ["byte_size", "console", "error_text", "facts", "table"]

ERROR_LABELS = (("where", "where"), ("why", "why"), ("todo", "what to do"))


def console(*, color: bool) -> Console:
    """Return the console for standard output; plain where it is no terminal."""
    from rich.console import Console

    return Console(no_color=not color, highlight=False, markup=False, emoji=False)


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
