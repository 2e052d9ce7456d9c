"""Learnwares whose columns the searcher does not have, through real nodes: behind bridges, and imputed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skerry.client.hits import Hits
from skerry.client.network import Network
from skerry.client.notebook import hits_html
from skerry.reuse import AutoReuse
from skerry.spec import Match, bridge_of, fit_table
from tests.client.cli.running import called
from tests.client.conftest import Market, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.sandbox]

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
IRIS = load_iris()
THEIRS = pd.DataFrame(IRIS.data[::2], columns=NAMES)
INCHES = ["Petalbreite", "Petallänge", "Kelchbreite", "Kelchlänge"]
"""The searcher's columns, in inches and the other way round."""
MISLED = ["a", "b", "c", "d"]
"""The columns of a searcher to whom somebody published a bridge that is wrong."""
ROWS, LABELS = IRIS.data[1::2, ::-1] / 2.54, IRIS.target[1::2]
FEW = np.random.default_rng(0).permutation(len(ROWS))[:24]


def table(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=names)


def few_labels() -> Any:
    labels = np.full(len(ROWS), np.nan)
    labels[FEW] = LABELS[FEW]
    return labels


@pytest.fixture(scope="module")
def searcher(market: Market) -> Network:
    """Return the searcher's market: one learnware, and two bridges to it that its owner published."""
    market.clear()
    owner = market.owner.network
    model = LogisticRegression(C=10, max_iter=1000).fit(THEIRS, IRIS.target[::2])
    owner.publish(model, THEIRS, IRIS.target[::2], name="iris", license="MIT")
    theirs = owner.own("iris").specification().rkme
    for names, places in ((INCHES, (3, 2, 1, 0)), (MISLED, (1, 0, 3, 2))):
        ours = fit_table(table(names))
        matches = [Match(source, target, 2.54, 0.0, 0.8) for source, target in enumerate(places)]
        assert ours.columns is not None
        owner.publish_bridge(bridge_of(theirs, ours.columns, matches), ours, theirs)
        wait_until(lambda ours=ours: len(market.searcher.network.bridges(ours, theirs)) == 1)  # type: ignore[misc]
    wait_until(lambda: market.searcher.network.status().cards == 1)
    return market.searcher.network


@pytest.fixture
def hits(searcher: Network) -> Iterator[Hits]:
    with closing(searcher.search(table(INCHES))) as found:
        yield found


def test_a_search_that_finds_no_columns_offers_what_stands_behind_bridges(hits: Hits) -> None:
    assert [hit.card.name for hit in hits] == ["iris"]
    hit = hits[0]
    assert hit.bridge is not None
    assert sorted(hit.bridge.bridge.shared) == sorted(NAMES)
    assert hit.bridge.found_by.startswith("owner's lab (")
    assert hit.mmd2 is not None
    assert hit.mmd2 < 0.05
    assert hits.answer.mix is None, "what stands behind a bridge is never recommended"
    assert "1 stand behind bridges that others found" in repr(hits)
    assert "4 of its 4 columns, confidence 0.80, not tried for want of labels" in repr(hits)
    assert "confidence 0.80" in hits_html(hits)


def test_its_model_takes_the_searchers_own_columns(hits: Hits) -> None:
    model = hits[0].estimator()
    assert model.score(table(INCHES), LABELS) > 0.9
    shuffled = table(INCHES)[INCHES[::-1]]
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(table(INCHES)))
    reuser = AutoReuse(list(hits)).fit(table(INCHES).iloc[FEW], LABELS[FEW])
    assert reuser.score(table(INCHES), LABELS) > 0.9


def test_labels_let_a_bridge_stand_that_does_better_than_they_do_alone(searcher: Network) -> None:
    hit = searcher.search(table(INCHES), few_labels(), timeout=20)[0]
    assert hit.bridge is not None
    assert hit.bridge.unbridged_loss is not None
    assert hit.expected_loss is not None
    assert hit.expected_loss.loss < hit.bridge.unbridged_loss
    assert "not tried" not in repr(hit)


def test_labels_close_a_bridge_that_does_not(searcher: Network) -> None:
    assert len(searcher.search(table(MISLED))) == 1, "without labels nothing speaks against it"
    closed = searcher.search(table(MISLED), few_labels())
    assert len(closed) == 0
    assert "1 behind bridges were left out: your labelled rows alone do as well" in repr(closed)


def test_where_no_bridge_starts_there_is_nothing(searcher: Network) -> None:
    alone = searcher.search(table(["w", "x", "y", "z"]))
    assert (len(alone), alone.note) == (0, "")


def test_the_command_says_that_a_hit_stands_behind_a_bridge(
    searcher: Network, market: Market, tmp_path: Any
) -> None:
    table(INCHES).to_csv(tmp_path / "rows.csv", index=False)
    result = called(
        "search", str(tmp_path / "rows.csv"), environment=market.searcher.environment, cwd=tmp_path
    )
    assert "behind a bridge found by owner's lab" in result.stderr


def test_columns_that_the_searcher_lacks_are_imputed_from_the_owners_points(searcher: Network) -> None:
    mine = pd.DataFrame(IRIS.data[1::2], columns=NAMES)[NAMES[1:]]
    with closing(searcher.search(mine)) as hits:
        assert hits[0].answer.shared is not None
        assert hits[0].answer.shared.imputed == NAMES[:1]
        assert hits[0].estimator().score(mine, LABELS) > 0.9
