"""The whole way through two real nodes: publish, search, fetch, run, combine, withdraw."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psutil
import pytest
from msgspec.structs import replace
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skerry.client import AsyncNetwork, WithdrawnWarning, connect
from skerry.client.cache import Cache
from skerry.client.hits import Hit, Hits
from skerry.client.network import Network
from skerry.client.requirements import requirement
from skerry.errors import NotFound, Refused, SpecificationError, Unavailable
from tests.client.cli.running import called
from tests.client.conftest import Market, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.sandbox]

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
IRIS = load_iris()
FRAME = pd.DataFrame(IRIS.data, columns=NAMES)
HALVES = {"setosa half": IRIS.target != 2, "virginica half": IRIS.target != 0}


@pytest.fixture(scope="module")
def searcher(market: Market) -> Network:
    """Return the searcher's market, in which the owner has published two halves of iris."""
    market.clear()
    for name, chosen in HALVES.items():
        model = LogisticRegression(max_iter=1000).fit(IRIS.data[chosen], IRIS.target[chosen])
        market.owner.network.publish(
            model, IRIS.data[chosen], IRIS.target[chosen], name=name, license="MIT", columns=NAMES
        )
    wait_until(lambda: market.searcher.network.status().cards == 2)
    return market.searcher.network


@pytest.fixture(scope="module")
def hits(searcher: Network) -> Iterator[Hits]:
    found = searcher.search(FRAME[IRIS.target == 0], task="classification")
    yield found
    found.close()


def test_the_nearest_learnware_comes_first_with_its_raw_distance(hits: Hits) -> None:
    assert [hit.card.name for hit in hits] == list(HALVES)
    distances = [hit.mmd2 for hit in hits]
    assert distances == sorted(distances, key=float)  # type: ignore[arg-type]
    assert all(0 <= hit.cosine <= 1 for hit in hits if hit.cosine is not None)
    assert (hits.coverage.cards, hits.coverage.compared, hits.coverage.unreachable) == (2, 2, [])
    assert hits[0].sources[0].mode == "pinned"


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "array", "list", "rkme", "csv", "parquet"])
def test_rows_may_come_in_any_form(searcher: Network, tmp_path: Path, kind: str) -> None:
    rows: dict[str, Any] = {
        "pandas": FRAME,
        "polars": pl.from_pandas(FRAME),
        "pyarrow": pl.from_pandas(FRAME).to_arrow(),
        "array": IRIS.data,
        "list": IRIS.data.tolist(),
        "rkme": requirement(FRAME).rkme,
        "csv": tmp_path / "rows.csv",
        "parquet": str(tmp_path / "rows.parquet"),
    }
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    FRAME.to_parquet(tmp_path / "rows.parquet")
    columns = NAMES if kind in {"array", "list"} else None
    assert len(searcher.search(rows[kind], columns=columns)) == 2


def test_words_and_filters_search_without_rows(searcher: Network) -> None:
    assert [hit.card.name for hit in searcher.search(text="virginica")] == ["virginica half"]
    assert len(searcher.search(where={"license": "MIT", "library": "Scikit-learn"})) == 2
    assert len(searcher.search(task="Regression")) == 0
    assert searcher.search(text="virginica")[0].mmd2 is None
    assert [hit.card.name for hit in searcher.search("half virginica")] == ["virginica half"]


def test_what_is_like_a_learnware_is_found_by_its_id(searcher: Network) -> None:
    first = searcher.search("virginica")[0]
    for given in (first, first.card.id):
        found = searcher.search(given)
        assert [hit.card.name for hit in found] == ["virginica half", "setosa half"]
        assert found[0].mmd2 == pytest.approx(0, abs=1e-6)
    with pytest.raises(NotFound):
        searcher.search("0" * 64)


def test_a_few_labels_overrule_distances_before_anything_is_fetched(market: Market, tmp_path: Path) -> None:
    """Two models of the same rows, one of them always wrong: only labels can tell."""
    chosen = IRIS.target != 0
    X, y = IRIS.data[chosen], IRIS.target[chosen]
    names = [f"{name} again" for name in NAMES]
    for name, labels in (("right", y), ("wrong", 3 - y)):
        model = LogisticRegression(max_iter=1000).fit(X, labels)
        market.owner.network.publish(model, X, labels, name=f"{name} labels", license="MIT", columns=names)
    net = connect(folder=market.searcher.node.folder, cache=tmp_path)
    wait_until(lambda: len(net.search("labels")) == 2)
    few = np.where(np.arange(len(y)) % 5 == 0, y, np.nan)
    found = net.search(X, few, columns=names)
    assert [hit.card.name for hit in found] == ["right labels", "wrong labels"]
    right, wrong = (hit.expected_loss for hit in found)
    assert right is not None
    assert wrong is not None
    assert right.interval[1] < wrong.loss
    assert found.answer.mix is not None
    assert [found[at].card.name for at in found.answer.mix.members] == ["right labels"]
    assert not found[0].is_cached
    assert "loss" in repr(found.to_frame().columns)
    assert net.search(X, np.full(len(y), np.nan), columns=names)[0].expected_loss is None
    with pytest.raises(SpecificationError) as caught:
        net.search(X, y[:3], columns=names)
    assert caught.value.code == "E-DATA-LABELS"
    for slug in ("right-labels", "wrong-labels"):
        market.owner.network.withdraw(slug)
    wait_until(lambda: len(net.search("labels")) == 0)


def test_columns_with_other_names_are_mapped(searcher: Network) -> None:
    theirs = FRAME.rename(columns={"petal width": "pw", "petal length": "pl"})
    renamed = {"pw": "petal width", "pl": "petal length"}
    assert len(searcher.search(theirs)) == 0
    found = searcher.search(theirs, columns_map=renamed)
    try:
        assert len(found) == 2
        model = found[0].estimator()
        assert list(model.feature_names_in_) == ["sepal length", "sepal width", "pl", "pw"]
        np.testing.assert_array_equal(model.predict(theirs[theirs.columns[::-1]]), model.predict(theirs))
        assert len(found.mix.predict(theirs)) == len(theirs)
    finally:
        found.close()
    for wrong in ({"nothing": "x"}, {"pw": "pl"}):
        with pytest.raises(SpecificationError) as caught:
            searcher.search(theirs, columns_map=wrong)
        assert caught.value.code == "E-DATA-MAP"


def test_hits_are_a_frame_of_any_library(hits: Hits) -> None:
    for library, kind in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        frame = hits.to_frame(library)  # type: ignore[arg-type]
        assert isinstance(frame, kind)
        assert list(frame["name"]) == [hit.card.name for hit in hits]
        assert list(frame["mmd2"]) == [hit.mmd2 for hit in hits]
    assert isinstance(hits.to_frame(), pd.DataFrame)


def test_a_hit_is_explained_in_numbers_and_pictures(hits: Hits, searcher: Network) -> None:
    said = hits.explain(1)
    assert said.explanation.mmd2 == pytest.approx(hits[1].mmd2, abs=1e-6)
    assert {column.name for column in said.explanation.columns} == set(NAMES)
    assert "petal" in said._repr_html_()
    assert "petal" in repr(said)
    bars, shares, islands = said.plot_distances(), said.plot_columns(), said.plot_islands()
    assert [text.get_text() for text in bars.axes[0].get_yticklabels()] == [hit.title for hit in hits]
    widths = [patch.get_width() for patch in shares.axes[0].patches]
    assert sum(widths) == pytest.approx(1)
    assert {text.get_text() for text in islands.axes[0].texts} == {"your data", *(hit.title for hit in hits)}
    with pytest.raises(NotFound) as caught:
        searcher.search("virginica").explain(0)
    assert caught.value.code == "E-SEARCH-EXPLAIN"


def test_programs_with_an_event_loop_await_the_same(market: Market, searcher: Network) -> None:
    async def whole_way() -> tuple[int, list[int]]:
        net = await AsyncNetwork.connect(folder=market.searcher.node.folder, cache=searcher.cache.folder)
        first, second = await asyncio.gather(net.search(FRAME), net.search("virginica"))
        model = await net.estimator(second[0])
        try:
            return len(first), model.predict(FRAME[-3:]).tolist()
        finally:
            second.close()

    assert asyncio.run(whole_way()) == (2, [2, 2, 2])
    own = {name for name in vars(Network) if not name.startswith("_")} - {"hits", "upload"}
    assert own <= set(vars(AsyncNetwork)), "an asynchronous program misses something"


def test_a_model_in_the_cache_warns_when_its_owner_took_it_back(market: Market, tmp_path: Path) -> None:
    owner = market.owner.network
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target)
    words = {"name": "taken back", "license": "MIT", "columns": NAMES}
    card = owner.publish(model, IRIS.data, **words).card  # type: ignore[arg-type]
    net = connect(folder=market.searcher.node.folder, cache=tmp_path)
    wait_until(lambda: len(net.search("taken back")) == 1)
    hit = net.search("taken back")[0]
    hit.download()
    hit.specification()
    assert hit.is_cached
    hit.estimator()
    hit.close()
    owner.publish(model, IRIS.data, update=True, **words)  # type: ignore[arg-type]
    wait_until(lambda: net.hit(card.id).card.version == 2)
    with pytest.warns(WithdrawnWarning, match="version 2"):
        hit.estimator()
    hit.close()
    owner.withdraw("taken-back")
    wait_until(lambda: len(net.search("taken back")) == 0)
    with pytest.warns(WithdrawnWarning, match="withdrawn or recalled"):
        assert hit.estimator().predict(FRAME[:1]).tolist() == [0]
    hit.close()


def test_what_is_in_the_cache_works_without_a_node(searcher: Network, tmp_path: Path) -> None:
    hit = searcher.search("virginica")[0]
    hit.specification()
    hit.download()
    with pytest.raises(Unavailable):
        connect(folder=tmp_path, cache=searcher.cache.folder)
    alone = connect(folder=tmp_path, cache=searcher.cache.folder, offline=True)
    assert hit.card.id in [one.card.id for one in alone.cached()]
    again = alone.hit(hit.card.id)
    try:
        assert again.estimator().predict(FRAME[-1:]).tolist() == [2]
    finally:
        again.close()
    for call in (alone.status, lambda: alone.search("words"), lambda: alone.hit("0" * 64)):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.code == "E-NODE-ABSENT"


def test_odd_rows_are_answered_or_refused_by_name(searcher: Network) -> None:
    holes = FRAME.copy()
    holes.iloc[::3, 0] = np.nan
    assert len(searcher.search(holes)) == 2
    assert len(searcher.search(FRAME[:1])) == 2
    fewer = searcher.search(FRAME[NAMES[:3]])
    assert [hit.answer.shared and hit.answer.shared.columns for hit in fewer] == [NAMES[:3]] * 2
    assert len(searcher.search(["a", "b"])) == 0, "texts are of another island"
    for rows, words in [
        (FRAME[:0], "0 rows"),
        (FRAME.assign(id="x"), "id"),
        (FRAME.replace(FRAME.iloc[0, 0], np.inf), "sepal length"),
        (np.zeros(4), "shape"),
    ]:
        with pytest.raises(SpecificationError, match=words):
            searcher.search(rows)


def test_a_model_answers_from_another_process_as_it_did_at_home(hits: Hits) -> None:
    children = len(psutil.Process().children(recursive=True))
    model = hits[0].estimator()
    assert model is hits[0].estimator()
    assert len(psutil.Process().children(recursive=True)) > children
    chosen = HALVES["setosa half"]
    home = LogisticRegression(max_iter=1000).fit(IRIS.data[chosen], IRIS.target[chosen])
    np.testing.assert_allclose(model.predict_proba(FRAME), home.predict_proba(IRIS.data), atol=1e-6)
    np.testing.assert_array_equal(model.predict(FRAME[NAMES[::-1]]), home.predict(IRIS.data))
    with pytest.raises(SpecificationError, match="petal width"):
        model.predict(FRAME[NAMES[:3]])


def test_the_mix_knows_what_no_single_learnware_knows(searcher: Network) -> None:
    found = searcher.search(FRAME)
    try:
        assert found.mix.classes_.tolist() == [0, 1, 2]
        accuracy = float(np.mean(found.mix.predict(FRAME) == IRIS.target))
        assert accuracy > 0.8, "each half alone reaches 0.67"
    finally:
        found.close()


def test_a_slug_is_taken_until_it_is_updated(searcher: Network, market: Market) -> None:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target)
    with pytest.raises(Refused) as caught:
        market.owner.network.publish(
            model, FRAME.to_numpy(), name="setosa half", license="MIT", columns=NAMES
        )
    assert "update" in caught.value.todo
    receipt = market.owner.network.publish(
        model, FRAME.to_numpy(), name="setosa half", license="MIT", columns=NAMES, update=True
    )
    assert receipt.card.version == 2
    wait_until(lambda: searcher.hit(receipt.card.id).card.version == 2)


def test_what_was_withdrawn_is_neither_found_nor_fetched(
    searcher: Network, market: Market, tmp_path: Path
) -> None:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target)
    market.owner.network.publish(model, IRIS.data, name="short lived", license="MIT", columns=NAMES)
    fresh = connect(folder=market.searcher.node.folder, cache=tmp_path)
    wait_until(lambda: len(fresh.search(text="short lived")) == 1)
    hit = fresh.search(text="short lived")[0]
    market.owner.network.withdraw("short-lived")
    wait_until(lambda: len(fresh.search(text="short lived")) == 0)
    with pytest.raises(NotFound):
        hit.download()
    with pytest.raises(NotFound):
        market.owner.network.withdraw("short-lived")
    with pytest.raises(NotFound):
        fresh.hit(hit.card.id)


def test_a_wrong_token_is_refused(market: Market) -> None:
    with pytest.raises(Refused) as caught:
        connect(market.owner.network._connection.url, "wrong").status()
    assert caught.value.code == "E-API-TOKEN"


def test_peers_and_status_know_the_other_side(market: Market) -> None:
    owner, searcher = market.owner.network.status(), market.searcher.network.status()
    assert [peer.owner for peer in market.searcher.network.peers() if peer.connected] == [owner.owner]
    assert searcher.name == "searcher's lab"
    assert [peer.owner for peer in market.searcher.network.dial(owner.bootstrap)] == [owner.owner]
    with pytest.raises(Refused):
        market.searcher.network.dial("nonsense")


def test_a_node_that_is_gone_is_unavailable(tmp_path: Path, market: Market) -> None:
    endpoint = (market.owner.node.folder / "api.json").read_text()
    port = endpoint.split("127.0.0.1:")[1].split('"')[0]
    (tmp_path / "api.json").write_text(endpoint.replace(port, "9"))
    with pytest.raises(Unavailable):
        connect(folder=tmp_path).status()


def test_an_error_has_the_same_five_parts_on_all_three_surfaces(market: Market, tmp_path: Path) -> None:
    """In HTTP as the node answers, in Python as the client raises, on the command line in both forms."""
    lab = market.searcher
    url = lab.network._connection.url
    request = urllib.request.Request(
        f"{url}/api/v1/learnwares/nothing",
        method="DELETE",
        headers={"Authorization": f"Bearer {lab.network._connection._token}"},
    )
    with pytest.raises(urllib.error.HTTPError) as answered:
        urllib.request.urlopen(request)
    with answered.value as problem:
        assert problem.headers["Content-Type"].startswith("application/problem+json")
        http = json.loads(problem.read())
    with pytest.raises(NotFound) as raised:
        lab.network.withdraw("nothing")
    parts = raised.value.parts()
    line = called("withdraw", "nothing", "--json", environment=lab.environment, cwd=tmp_path)
    assert json.loads(line.stderr)["error"] == parts
    assert {**http, "what": http["title"]} == {**http, **parts}
    text = called("withdraw", "nothing", environment=lab.environment, cwd=tmp_path).stderr
    for part in parts.values():
        assert part in text


def test_an_owner_that_cannot_be_reached_is_named_with_address_reason_and_remedy(
    searcher: Network, tmp_path: Path
) -> None:
    hit = searcher.search("virginica")[0]
    nobody = replace(hit.sources[0], addresses=["127.0.0.1:9"])
    alone = Hit(replace(hit.answer, sources=[nobody]), searcher._connection, Cache(tmp_path))
    with pytest.raises(Unavailable) as caught:
        alone.download()
    assert caught.value.code == "E-FETCH-SOURCES"
    assert "127.0.0.1:9" in caught.value.why
    assert "refused" in caught.value.why
    assert caught.value.todo
