"""A node elsewhere: what it is told, and that the searcher loses nothing by it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skerry.client import connect
from skerry.client.network import Network
from skerry.client.requirements import requirement
from skerry.errors import Refused, SpecificationError
from tests.client.conftest import Market, wait_until
from tests.client.recording import Recording, recorded

pytestmark = [pytest.mark.processes, pytest.mark.sandbox]

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
IRIS = load_iris()
FRAME = pd.DataFrame(IRIS.data + np.random.default_rng(3).normal(0, 0.01, IRIS.data.shape), columns=NAMES)


@pytest.fixture(scope="module")
def here(market: Market) -> Network:
    market.clear()
    for name, chosen in (("low", IRIS.target != 2), ("high", IRIS.target != 0), ("mid", IRIS.target == 1)):
        labels = IRIS.target[chosen] if name != "mid" else np.arange(chosen.sum()) % 2
        model = LogisticRegression(max_iter=1000).fit(IRIS.data[chosen], labels)
        market.owner.network.publish(model, IRIS.data[chosen], name=name, license="MIT", columns=NAMES)
    wait_until(lambda: market.searcher.network.status().cards == 3)
    return market.searcher.network


@pytest.fixture
def elsewhere(here: Network, market: Market) -> Iterator[tuple[Network, Recording]]:
    with recorded(here._connection.url) as recording:
        token = here._connection._token
        yield connect(recording.url, token, cache=market.searcher.node.folder.parent / "elsewhere"), recording


def test_noise_blurs_the_sketch_alike_each_time_and_the_nearest_stay(
    elsewhere: tuple[Network, Recording],
) -> None:
    network, recording = elsewhere
    plain = network.search(FRAME)
    for _ in range(2):
        noisy = network.search(FRAME, noise=0.05)
        assert [hit.card.slug for hit in noisy] == [hit.card.slug for hit in plain]
        assert [hit.mmd2 for hit in noisy] == [hit.mmd2 for hit in plain], "compared here, without the noise"
    exact, first, second = (json.loads(body)["sketch"] for body in recording.bodies())
    assert first == second != exact
    vectors = [np.frombuffer(base64.b64decode(one["vector"]), np.int8) / 127 for one in (first, exact)]
    assert 0.03 < np.subtract(*vectors).std() < 0.07
    with pytest.raises(SpecificationError, match="noise"):
        network.search(FRAME, noise=2.0)


def test_a_node_elsewhere_gets_sketch_island_and_filters_only(
    elsewhere: tuple[Network, Recording],
) -> None:
    network, recording = elsewhere
    assert not network.is_local
    network.search(FRAME, task="Classification", where={"license": "MIT"})
    bodies = recording.bodies()
    assert len(bodies) == 1, "the other requests fetch specifications, and have no body"
    said = json.loads(bodies[0])
    sketch = said.pop("sketch")
    assert set(sketch) == {"island", "version", "vector", "means", "spreads"}
    assert len(base64.b64decode(sketch["vector"])) == 256
    assert (said.pop("requirement"), said.pop("noise_mmd2")) == ("", None)
    assert said == {
        "text": "", "data": "", "task": "Classification", "library": "", "license": "MIT", "scenario": "",
        "owner": "", "island": "", "exclude_own": False, "k": 100, "mix_size": 0, "timeout_seconds": 5.0,
    }  # fmt: skip
    sent = bytes(recording.sent)
    decoded = b"".join(base64.b64decode(sketch[name]) for name in ("vector", "means", "spreads"))
    rkme = requirement(FRAME).rkme
    for value in [*FRAME.to_numpy().ravel(), *np.asarray(rkme.points).ravel()]:
        for dtype in ("<f4", "<f8", ">f4", ">f8"):
            assert np.array(value, dtype).tobytes() not in sent + decoded
    assert rkme.to_bytes()[:40] not in sent
    assert base64.b64encode(rkme.to_bytes())[:40] not in sent


def test_the_answer_is_that_of_the_own_node(here: Network, elsewhere: tuple[Network, Recording]) -> None:
    rows = FRAME[IRIS.target != 2]
    own, other = here.search(rows, k=2), elsewhere[0].search(rows, k=2)
    assert [hit.card.name for hit in own] == [hit.card.name for hit in other] == ["low", "mid"]
    np.testing.assert_allclose([hit.mmd2 for hit in own], [hit.mmd2 for hit in other], atol=1e-6)
    assert [hit.within_noise for hit in own] == [hit.within_noise for hit in other]
    assert own.answer.mix is not None
    assert other.answer.mix is not None
    assert own.answer.mix.members == other.answer.mix.members
    np.testing.assert_allclose(own.answer.mix.weights, other.answer.mix.weights, atol=1e-4)
    assert (other.coverage.compared, other.coverage.candidates) == (3, 3)
    assert "answered" not in repr(other)


def test_few_rows_are_described_elsewhere_by_intent_only(elsewhere: tuple[Network, Recording]) -> None:
    network, recording = elsewhere
    with pytest.raises(Refused) as caught:
        network.search(FRAME[:49])
    assert caught.value.code == "E-SEARCH-SMALL"
    assert not recording.sent
    assert len(network.search(FRAME[:49], allow_small=True)) == 3
    assert len(network.search(FRAME[:50])) == 3


def test_the_nearest_by_sketch_are_chosen_where_there_are_many(here: Network, market: Market) -> None:
    """The node keeps all but the nearest to itself; asked for one, it gives the one that is nearest."""
    from skerry.protocol import api

    rows = FRAME[IRIS.target == 1]
    sketch = requirement(rows).sketch()
    request = api.SearchRequest(sketch=sketch, k=1)
    answer = here._connection.post("/search", request, api.SearchAnswer)
    assert [hit.card.name for hit in answer.hits] == ["mid"]
    assert (answer.hits[0].mmd2, answer.mix, answer.coverage.candidates) == (None, None, 3)


@pytest.mark.parametrize("island", ["zz", "ff"])
def test_an_island_that_is_none_finds_nothing_or_is_refused(here: Network, island: str) -> None:
    from msgspec.structs import replace

    from skerry.protocol import api

    sketch = replace(requirement(FRAME).sketch(), island=island)
    request = api.SearchRequest(sketch=sketch)
    if island == "ff":
        assert here._connection.post("/search", request, api.SearchAnswer).hits == []
        return
    with pytest.raises(Refused) as caught:
        here._connection.post("/search", request, api.SearchAnswer)
    assert caught.value.code == "E-API-SEARCH"
