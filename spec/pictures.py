"""Pictures of specifications: HTML for notebooks, and matplotlib figures (the ``plots`` extra).

Figures are built on ``matplotlib.figure.Figure`` alone: no window, no global state.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from .limits import PICTURE_COLUMNS_MAX
from .rkme import Rkme

if TYPE_CHECKING:
    pass


def rkme_html(rkme: Rkme) -> str:
    """Return a table of the columns with what would be published of each; all text is escaped."""
    names = column_names(rkme)
    lines = [
        f"<p><b>RKME</b> of a {rkme.kind}: {len(rkme)} points, {rkme.dimension} columns, "
        f"island <code>{rkme.island.id.hex()[:12]}</code></p>",
        "<table><tr><th>column</th><th>location</th><th>spread</th><th>missing</th></tr>",
    ]
    lines += [
        f"<tr><td>{html.escape(name)}</td><td>{location:.4g}</td><td>{spread:.4g}</td><td>{missing:.0%}</td></tr>"
        for name, location, spread, missing in zip(
            names[:PICTURE_COLUMNS_MAX],
            rkme.marginals.location,
            rkme.marginals.spread,
            rkme.marginals.missing_rate,
            strict=False,
        )
    ]
    if rkme.dimension > PICTURE_COLUMNS_MAX:
        lines.append(f"<tr><td>and {rkme.dimension - PICTURE_COLUMNS_MAX} more</td></tr>")
    return "".join([*lines, "</table>"])


def column_names(rkme: Rkme) -> list[str]:
    """Return the columns' names with units, or their numbers where they have none."""
    if rkme.columns is None:
        return [str(index) for index in range(rkme.dimension)]
    return [f"{column.name} [{column.unit}]" if column.unit else column.name for column in rkme.columns]
