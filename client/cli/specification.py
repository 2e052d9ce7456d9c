"""The verb that shows what would leave: spec show.

The points are all there, however many columns they have: where a line would be too long for the terminal,
they go on in another table below, as a data frame does.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .owner import TargetOption, ignored
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from skerry.spec import Rkme

    from .results import ShownSpecification

HISTOGRAM_BINS: Final = 16
BARS: Final = " ▁▂▃▄▅▆▇█"
WEIGHT_CHARACTERS: Final = 6
VALUE_CHARACTERS_MIN: Final = 12
"""Six digits, a sign, a point and an exponent."""
NAME_CHARACTERS_MAX: Final = 24
GAP_CHARACTERS: Final = 2


def show_specification(
    session: Session,
    data: Annotated[Path, typer.Argument(help="CSV or Parquet file.")],
    *,
    target: TargetOption = None,
) -> None:
    """Print exactly what would leave this machine if a model of these rows were published."""
    from rich.console import Group

    from skerry.client.data import read_file
    from skerry.spec import fit_table, without_copies

    with session.working(f"specifying {data}"):
        rows, _ = read_file(data, target)
        rkme = without_copies(fit_table(rows.values, columns=rows.columns), rows.values)
    shown = _shown(rkme)
    session.note(
        f"{len(rows)} rows{ignored(rows)} become {len(rkme)} weighted points, {shown.bytes} bytes; "
        "a model's answers at the points would come beside them"
    )
    parts: list[Table | str] = [_columns_table(shown)]
    for part in _points_tables(shown, shutil.get_terminal_size().columns):
        parts += ["", part]
    session.show(shown, Group(*parts), shown.island)


def _columns_table(shown: ShownSpecification) -> Table:
    from .output import table

    values = zip(*shown.points, strict=True)
    facts = zip(shown.columns, shown.location, shown.spread, shown.missing_rate, values, strict=True)
    rows = [
        [
            name,
            f"{location:.6g}",
            f"{spread:.6g}",
            f"{missing:.2%}",
            _histogram(of_column, shown.weights),
        ]
        for name, location, spread, missing, of_column in facts
    ]
    return table(("column", "#location", "#spread", "#missing", "points, least to most"), rows)


def _points_tables(shown: ShownSpecification, width: int) -> Iterator[Table]:
    """Yield tables of the points, each with as many columns as a line of `width` characters holds."""
    from skerry.client.escape import visible

    from .output import table

    names = [visible(name, NAME_CHARACTERS_MAX) for name in shown.columns]
    first = 0
    while first < len(names):
        last, used = first, WEIGHT_CHARACTERS
        while last < len(names):
            used += GAP_CHARACTERS + max(len(names[last]), VALUE_CHARACTERS_MIN)
            if used > width and last > first:
                break
            last += 1
        rows = [
            [f"{weight:.4f}", *(f"{value:.6g}" for value in point[first:last])]
            for weight, point in zip(shown.weights, shown.points, strict=True)
        ]
        yield table(("#weight", *(f"#{name}" for name in names[first:last])), rows)
        first = last


def _histogram(values: Sequence[float], weights: Sequence[float]) -> str:
    """Draw where the weight of a column's points lies between the least and the greatest of them."""
    least, most = min(values), max(values)
    bins = [0.0] * HISTOGRAM_BINS
    for value, weight in zip(values, weights, strict=True):
        place = (value - least) / (most - least) * HISTOGRAM_BINS if most > least else 0
        bins[min(int(place), HISTOGRAM_BINS - 1)] += weight
    return "".join(BARS[math.ceil(weight / max(bins) * (len(BARS) - 1))] for weight in bins)


def _shown(rkme: Rkme) -> ShownSpecification:
    from .results import ShownSpecification

    return ShownSpecification(
        bytes=len(rkme.to_bytes()),
        island=rkme.island.id.hex(),
        columns=[column.name for column in rkme.columns or ()],
        weights=rkme.weights.tolist(),
        points=rkme.points.tolist(),
        location=rkme.marginals.location.tolist(),
        spread=rkme.marginals.spread.tolist(),
        missing_rate=rkme.marginals.missing_rate.tolist(),
    )
