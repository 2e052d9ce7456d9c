"""Pictures of specifications: HTML for notebooks, and matplotlib figures (the ``plots`` extra).

Figures are built on ``matplotlib.figure.Figure`` alone: no window, no global state.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import filled
from .limits import PICTURE_BARS_MAX, PICTURE_COLUMNS_MAX, PICTURE_ISLANDS_MAX, PICTURE_ROWS_MAX
from .metric import Scale, column_scale, inner_many
from .mixing import stack
from .rkme import Floats, Rkme
from .table import read_table, refusal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .explaining import Explanation


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


def plot_reduced_set(rkme: Rkme, X: Any) -> Figure:
    """Return a picture of rows (n, d) and the points that stand for them, area by weight.

    More than two columns are projected on the two main axes of the rows in their own scale.
    """
    values = read_table(X).values
    if values.shape[1] != rkme.dimension:
        raise refusal("X", f"{values.shape[1]} columns, the RKME has {rkme.dimension}")
    step = -(-len(values) // PICTURE_ROWS_MAX)
    scale = column_scale(rkme.marginals)
    rows, points = filled(scale, values[::step], np.float64), scale.embed_rkme(rkme)
    names = column_names(rkme)
    if rkme.dimension > 2:
        axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][:2]
        rows, points, names = rows @ axes.T, points @ axes.T, ["first main axis", "second main axis"]
    elif rkme.dimension == 1:
        rows, points = (np.column_stack([part[:, 0], np.zeros(len(part))]) for part in (rows, points))
        names = [*names, ""]
    figure, axis = _figure(6, 5)
    axis.scatter(rows[:, 0], rows[:, 1], s=4, color=_GREY, label=f"{len(values)} rows", rasterized=True)
    area = 15 + 250 * rkme.weights / rkme.weights.max()
    label = f"{len(rkme)} weighted points"
    axis.scatter(points[:, 0], points[:, 1], s=area, color=_BLUE, alpha=0.6, edgecolor="white", label=label)
    axis.set(xlabel=names[0], ylabel=names[1], title="Reduced set against the data, in their own scale")
    axis.legend(loc="best", frameon=False, markerscale=0.8)
    return figure


def plot_distances(names: Sequence[str], distances: Sequence[float], floor: float | None = None) -> Figure:
    """Return a bar for each candidate's squared MMD, nearest on top, with the noise floor as a line."""
    order = np.argsort(distances)[:PICTURE_BARS_MAX]
    figure, axis = _figure(6, 1 + 0.3 * len(order))
    values = np.asarray(distances, np.float64)[order]
    within = floor is not None and values <= floor
    colours = np.where(within, _ORANGE, _BLUE)
    axis.barh(np.arange(len(order)), values, color=colours.tolist() if colours.ndim else _BLUE)
    # Text of other nodes is shown as it is: without parse_math a dollar sign would start a formula.
    axis.set_yticks(np.arange(len(order)), [names[index] for index in order], parse_math=False)
    axis.invert_yaxis()
    axis.set(xlabel="squared MMD in the searcher's metric")
    if floor is not None:
        axis.axvline(floor, color=_ORANGE, linestyle="--", label="noise floor")
        axis.legend(loc="upper right", frameon=False)
    return figure


def plot_columns(explanation: Explanation) -> Figure:
    """Return a bar for each column's share of the distance, largest on top, at most ``PICTURE_BARS_MAX``."""
    shown = explanation.columns[:PICTURE_BARS_MAX]
    figure, axis = _figure(6, 1 + 0.3 * len(shown))
    axis.barh(np.arange(len(shown)), [column.share for column in shown], color=_BLUE)
    axis.set_yticks(np.arange(len(shown)), [column.name for column in shown], parse_math=False)
    axis.invert_yaxis()
    axis.set(xlabel="share of the columns' squared MMDs", xlim=(0, 1))
    return figure


def plot_islands(rkmes: Sequence[Rkme], names: Sequence[str]) -> Figure:
    """Return a map: one panel an island, its learnwares placed so that near ones stand together.

    Places are classical scaling (Torgerson, 1952) of the MMDs, measured in the scale of the island's first
    learnware, so that one panel has one metric.
    """
    islands: dict[bytes, list[int]] = {}
    for index, rkme in enumerate(rkmes):
        islands.setdefault(rkme.island.id, []).append(index)
    shown = sorted(islands.values(), key=len, reverse=True)[:PICTURE_ISLANDS_MAX]
    across = min(3, len(shown))
    figure, axes = _figure(4 * across, 4 * -(-len(shown) // across), across, -(-len(shown) // across))
    for axis, members in zip(np.ravel(axes), shown, strict=False):
        places = _places([rkmes[index] for index in members])
        axis.scatter(places[:, 0], places[:, 1], color=_BLUE)
        for place, index in zip(places, members, strict=True):
            axis.annotate(
                names[index], place, xytext=(4, 4), textcoords="offset points", fontsize=8, parse_math=False
            )
        first = rkmes[members[0]]
        axis.set(
            title=f"{first.kind}, {first.dimension} columns, {len(members)} learnwares", xticks=[], yticks=[]
        )
        axis.set_aspect("equal", adjustable="datalim")
        axis.margins(0.25)
    for axis in np.ravel(axes)[len(shown) :]:
        axis.set_visible(False)
    return figure


def _places(rkmes: list[Rkme]) -> Floats:
    """Return (m, 2) places whose distances are as close to the MMDs as two axes allow."""
    scale = Scale.of(rkmes[0])
    stacked, weights, starts = stack(rkmes, scale)
    ends = [*starts[1:], len(stacked)]
    gram = np.stack(
        [
            inner_many(stacked[start:end], weights[start:end], stacked, weights, starts, scale.gamma)
            for start, end in zip(starts, ends, strict=True)
        ]
    )
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    places = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    padded: Floats = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    return padded


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=columns == rows == 1)
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


_BLUE, _ORANGE, _GREY = "#20639b", "#d1603d", "#b8bec4"
