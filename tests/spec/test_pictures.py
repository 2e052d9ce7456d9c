from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Column, Island, Rkme, fit_table, plot_distances, plot_islands, plot_reduced_set
from skerry.spec.pictures import _places

RNG = np.random.default_rng(0)


def png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_reduced_set_is_drawn_over_its_data(dimension: int) -> None:
    rows = RNG.normal(size=(200, dimension))
    rkme = fit_table(rows)
    figure = plot_reduced_set(rkme, rows)
    (axis,) = figure.axes
    assert [len(part.get_offsets()) for part in axis.collections] == [200, len(rkme)]
    assert png(figure).startswith(b"\x89PNG")


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(SpecificationError, match="X"):
        plot_reduced_set(fit_table(np.ones((20, 2))), np.ones((20, 3)))


def test_bars_stand_nearest_first_and_names_are_no_formulas() -> None:
    figure = plot_distances(["far $x$", "near", "mid"], [0.3, 0.01, 0.1], floor=0.05)
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [0.01, 0.1, 0.3]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["near", "mid", "far $x$"]
    assert png(figure).startswith(b"\x89PNG")
    assert png(plot_distances(["one"], [0.3])).startswith(b"\x89PNG")


def test_the_map_has_a_panel_an_island() -> None:
    first = [fit_table(RNG.normal(shift, 1, (60, 2))) for shift in (0, 0.1, 5)]
    island = Island("table", (Column("a"),), 1)
    other = Rkme(np.ones((1, 1)), np.ones(1), island)
    figure = plot_islands([*first, other], ["a $1", "b", "c", "d"])
    visible = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert visible == ["table, 2 columns, 3 learnwares", "table, 1 columns, 1 learnwares"]
    assert png(figure).startswith(b"\x89PNG")


def test_near_learnwares_stand_together() -> None:
    places = _places([fit_table(RNG.normal(shift, 1, (200, 2))) for shift in (0, 0.05, 5)])
    assert np.linalg.norm(places[0] - places[1]) < 0.3 * np.linalg.norm(places[0] - places[2])


def test_one_learnware_has_a_place_too() -> None:
    assert _places([fit_table(RNG.normal(size=(30, 2)))]).shape == (1, 2)
