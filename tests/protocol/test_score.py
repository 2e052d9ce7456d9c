"""The peer score: silence is not golden, slowness is no crime, and thresholds that say otherwise do not
start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.protocol.errors import LocalProtocolError
from skerry.protocol.limits import SCORE_HALF_LIFE_SECONDS
from skerry.protocol.score import Score, ScoreConfig

deeds = st.lists(st.tuples(st.sampled_from(["useful", "broken"]), st.floats(0, 100)), max_size=200)


@given(deeds)
def test_a_silent_peer_never_keeps_a_good_score(history: list[tuple[str, float]]) -> None:
    score, now = Score(ScoreConfig(), 0.0), 0.0
    for _, pause in history:
        now += pause
        score.was_useful(now)
    assert score.value(now) <= ScoreConfig().useful_max
    assert score.value(now + 20 * SCORE_HALF_LIFE_SECONDS) < 0.01


@given(deeds)
def test_an_honest_slow_peer_is_never_cut_off(history: list[tuple[str, float]]) -> None:
    score, now = Score(ScoreConfig(), 0.0), 0.0
    for deed, pause in history:
        now += pause
        if deed == "useful":
            score.was_useful(now)
        else:
            score.broke_promise(now)
        assert not score.cut_off(now)


@given(st.integers(0, 100))
def test_usefulness_buys_no_more_than_a_few_invalid_records(useful: int) -> None:
    score = Score(ScoreConfig(), 0.0)
    for _ in range(useful):
        score.was_useful(0.0)
    for _ in range(4):
        score.was_invalid(0.0)
    assert score.cut_off(0.0)


def test_a_cut_off_peer_recovers_with_time() -> None:
    score = Score(ScoreConfig(), 0.0)
    for _ in range(10):
        score.was_invalid(0.0)
    assert score.cut_off(0.0)
    assert not score.cut_off(10 * SCORE_HALF_LIFE_SECONDS)


@pytest.mark.parametrize(
    "wrong",
    [{"broken_max": 30.0}, {"cut_off_below": -5.0}, {"invalid_weight": 0.0}, {"cut_off_below": -1000.0}],
)
def test_thresholds_that_break_a_rule_do_not_start(wrong: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError):
        ScoreConfig(**wrong)
