"""Texts, images, labels, bridges and copies: what specifications cost, find, combine and give away.

    python -m bench.kinds [--quick] [--json] [--only PART] [--newsgroups FOLDER] [--images FILE]

``--newsgroups`` is a folder with the 20 newsgroups in the split by date as ``train.parquet`` and
``test.parquet`` (columns ``group``, ``label``, ``text``), ``--images`` an npz file with ``x`` (n, ...) and
``y`` (n,), ``--air`` the Parquet file of twelve air-quality stations. With ``--features FOLDER`` rows of
texts, specifications and figures are kept there: a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.report import Row, arguments, show

PARTS = {
    "text": "_kinds_text",
    "images": "_kinds_images",
    "newsgroups": "_kinds_newsgroups",
    "labels": "_kinds_labels",
    "bridges": "_kinds_bridges",
    "copies": "_kinds_copies",
}
"""Each part is a module with a function ``rows(options) -> list[Row]``."""


def part(name: str) -> Callable[[argparse.Namespace], list[Row]]:
    """Return what computes the rows of a part."""
    rows: Callable[[argparse.Namespace], list[Row]] = import_module(f"bench.{PARTS[name]}").rows
    return rows


def main() -> None:
    """Run every part and print its rows."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", action="append", choices=PARTS, help="run one part; may be repeated")
    parser.add_argument("--newsgroups", type=Path, help="folder of the 20 newsgroups")
    parser.add_argument("--images", type=Path, help="npz file of labelled images")
    parser.add_argument("--air", type=Path, help="Parquet file of twelve air-quality stations")
    parser.add_argument("--features", type=Path, help="folder where what was computed is kept")
    parser.add_argument("--draws", type=int, default=3, help="markets that are drawn (default 3)")
    options = parser.parse_args()
    for name in options.only or PARTS:
        print(f"bench.kinds: {name}", file=sys.stderr, flush=True)
        show(part(name)(options), as_json=options.json)


if __name__ == "__main__":
    main()
