"""Why a hit is as near or as far as it is: column by column, beside the other hits, and as pictures.

The numbers are those of :mod:`skerry.spec.explaining`; pictures need the ``plots`` extra and are drawn when
they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.errors import NotFound

from .escape import html, visible
from .limits import EXPLAINED_COLUMNS_MAX
from .showing import missing_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from skerry.spec import ColumnShare, Explanation

    from .hits import Hit, Hits

_HEADER = ("column", "#share", "#MMD2 alone", "#shift", "#spread")


@dataclass(frozen=True, eq=False)
class Explained:
    """Why one hit of a search stands where it stands; made by :meth:`Hits.explain`.

    Attributes
    ----------
    hit
        The hit.
    hits
        The search that it belongs to.
    explanation
        Distances by column: each column's share of the sum of the columns' squared MMDs, its shift in spreads
        of the searcher's data, and the ratio of the spreads.
    """

    hit: Hit
    hits: Hits
    explanation: Explanation

    def __repr__(self) -> str:
        top = self.explanation.columns[0]
        distance = f"squared MMD {self.explanation.mmd2:.4g}"
        return visible(f"<{self.hit.title} {distance}, most by {top.name!r} ({top.share:.0%})>")

    def __rich__(self) -> Table:
        from .showing import table

        return table(_HEADER, map(_cells, self.explanation.columns[:EXPLAINED_COLUMNS_MAX]))

    def _repr_html_(self) -> str:
        shown = self.explanation.columns[:EXPLAINED_COLUMNS_MAX]
        head = "".join(f"<th>{name.removeprefix('#')}</th>" for name in _HEADER)
        rows = ["".join(f"<td>{html(cell)}</td>" for cell in _cells(column)) for column in shown]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        title = f"<p><b>{html(self.hit.title)}</b>: squared MMD {self.explanation.mmd2:.4g}</p>"
        return f"{title}<table><tr>{head}</tr>{body}</table>"

    def plot_distances(self) -> Figure:
        """Return a bar for each hit's squared MMD, with the noise of the searcher's own rows as a line.

        Raises
        ------
        Unavailable
            ``E-CLIENT-EXTRA`` when matplotlib is not installed.
        """
        from skerry.spec import plot_distances

        require_matplotlib()
        names = [visible(hit.title) for hit in self.hits]
        distances = [hit.mmd2 or 0.0 for hit in self.hits]
        return plot_distances(names, distances, self.hits.noise_mmd2)

    def plot_columns(self) -> Figure:
        """Return a bar for each column's share of the distance; errors as :meth:`plot_distances`."""
        from skerry.spec import plot_columns

        require_matplotlib()
        return plot_columns(self.explanation)

    def plot_islands(self) -> Figure:
        """Return a map on which near hits stand together, with the searcher's own data among them.

        Raises
        ------
        Unavailable
            ``E-CLIENT-EXTRA`` when matplotlib is not installed, or a specification cannot be had.
        """
        from skerry.spec import plot_islands

        require_matplotlib()
        assert self.hits.requirement is not None, "only a search by data is explained"
        rkmes = [self.hits.requirement, *(hit.specification().rkme for hit in self.hits)]
        return plot_islands(rkmes, ["your data", *(visible(hit.title) for hit in self.hits)])


def explained(hits: Hits, index: int) -> Explained:
    """Return why a hit stands where it stands; errors are those of :meth:`Hits.explain`."""
    from skerry.spec import align, explain

    if hits.requirement is None:
        raise NotFound(
            "There are no distances to explain",
            why="the search was by words",
            todo="Search with your rows: net.search(X)",
            code="E-SEARCH-EXPLAIN",
        )
    wanted, candidate = hits.requirement, hits[index].specification().rkme
    if wanted.island.id != candidate.island.id:
        wanted, candidate = align(wanted, candidate)
    return Explained(hits[index], hits, explain(wanted, candidate))


def require_matplotlib() -> None:
    """Raise ``E-CLIENT-EXTRA`` when matplotlib is not installed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise missing_extra("plots", "plots")


def _cells(column: ColumnShare) -> tuple[str, ...]:
    return (
        column.name,
        f"{column.share:.0%}",
        f"{column.mmd2:.4f}",
        f"{column.shift:+.2f}",
        f"x{column.spread_ratio:.2f}",
    )
