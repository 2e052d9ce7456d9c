"""What every benchmark prints: a table for people, or one JSON object a line for machines.

A figure means little alone, so a row carries the peer it is compared with, measured in the same run,
and the goal it should reach. ``met`` is computed here and nowhere else, so that a benchmark
cannot call its own result good.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure.

    ``goal`` reads like ``"<= 0.72"`` or ``">= 15"`` and is held against ``ratio`` when
    ``goal_of == "ratio"``, otherwise against ``value``. A row without a goal is information.
    """

    measure: str
    value: float | None
    unit: str
    params: dict[str, Any] = field(default_factory=dict)
    peer: str | None = None
    peer_value: float | None = None
    goal: str | None = None
    goal_of: str = "value"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Return our value over the peer's, or None without a peer."""
        if self.value is None or not self.peer_value:
            return None
        return self.value / self.peer_value

    @property
    def met(self) -> bool | None:
        """Return whether the goal is reached; None without a goal or without a figure."""
        figure = self.ratio if self.goal_of == "ratio" else self.value
        if self.goal is None or figure is None:
            return None
        sign, bound = self.goal.split()
        return figure <= float(bound) if sign == "<=" else figure >= float(bound)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as printed by ``--json``."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--json", action="store_true", help="one object a line on standard output")
    parser.add_argument("--seed", type=int, default=0, help="seed of every random draw (default 0)")
    return parser


def show(rows: list[Row], *, as_json: bool) -> None:
    """Print the rows."""
    if as_json:
        for row in rows:
            print(json.dumps(row.as_dict(), sort_keys=False))
        return
    print(_table([_HEADINGS, *(_cells(row) for row in rows)]))


def show_each(rows: Iterable[Row], *, as_json: bool) -> list[Row]:
    """Print each row as soon as it is known, and return them all.

    A table whose rows come over minutes cannot wait for its widest cell: columns have fixed widths here, and
    what is longer pushes the rest of its line.
    """
    shown = []
    if not as_json:
        print(_line(_HEADINGS, _WIDTHS), flush=True)
    for row in rows:
        text = json.dumps(row.as_dict(), sort_keys=False) if as_json else _line(_cells(row), _WIDTHS)
        print(text, flush=True)
        shown.append(row)
    return shown


_HEADINGS = ["measure", "params", "value", "unit", "peer", "peer value", "ratio", "goal", "met"]
_WIDTHS = [38, 46, 9, 16, 4, 10, 5, 14, 0]
_MET_WORDS = {True: "yes", False: "NO", None: ""}


def _cells(row: Row) -> list[str]:
    params = " ".join(f"{key}={value}" for key, value in row.params.items())
    goal = "" if row.goal is None else f"{row.goal_of} {row.goal}"
    return [
        row.measure,
        params,
        _number(row.value),
        row.unit,
        row.peer or "",
        _number(row.peer_value),
        _number(row.ratio),
        goal,
        _MET_WORDS[row.met] + (f"  {row.note}" if row.note else ""),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
