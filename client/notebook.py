"""Hits as HTML for notebooks: plain tables and bars, no script, every foreign text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .escape import html
from .hits import summary

if TYPE_CHECKING:
    from .hits import Hit, Hits

_HEADER: Final = ("", "learnware", "owner", "task", "lane", "squared MMD", "")
_BAR_PIXELS: Final = 120


def hits_html(hits: Hits) -> str:
    """Return a table of the hits with a bar for each distance, relative to the largest shown."""
    largest = max((hit.mmd2 for hit in hits if hit.mmd2), default=0.0)
    head = "".join(f"<th>{title}</th>" for title in _HEADER)
    rows = "".join(_row(number, hit, largest) for number, hit in enumerate(hits, start=1))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    behind = "".join(f"<p>{html(f'{hit.title}: {hit.bridge}')}</p>" for hit in hits if hit.bridge is not None)
    return f"{table}<p>{html('; '.join(filter(None, (hits.note, summary(hits.coverage)))))}</p>{behind}"


def _row(number: int, hit: Hit, largest: float) -> str:
    distance = "" if hit.mmd2 is None else f"{hit.mmd2:.4g}"
    texts = (str(number), hit.title, hit.owner, hit.card.task, hit.card.lane, distance)
    cells = "".join(f"<td>{html(text)}</td>" for text in texts)
    return f"<tr>{cells}<td>{_bar(hit.mmd2, largest)}</td></tr>"


def _bar(mmd2: float | None, largest: float) -> str:
    if mmd2 is None or largest <= 0:
        return ""
    pixels = round(_BAR_PIXELS * max(0.0, mmd2) / largest)
    return f'<div style="width:{pixels}px;height:0.7em;background:#4878a8"></div>'
