"""A learnware behind a bridge answers the searcher's rows, and bridges have something to beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from skerry.reuse import across, as_estimator, unbridged_loss
from skerry.spec import Bridge, Match, bridge_of, fit_table

RNG = np.random.default_rng(0)
THEIRS = RNG.normal([10.0, 20.0, 30.0], size=(300, 3))
MINE = (THEIRS[:, [2, 0, 1]] - 32) / 1.8
NAMES = ["drei", "eins", "zwei"]


def crossed() -> Bridge:
    matches = [Match(source, target, 1.8, 32.0, 0.9) for source, target in enumerate((2, 0, 1))]
    searcher = fit_table(MINE, columns=NAMES)
    assert searcher.columns is not None
    return bridge_of(fit_table(THEIRS, columns=["one", "two", "three"]), searcher.columns, matches)


def test_numbers_come_from_the_other_end() -> None:
    model = LinearRegression().fit(THEIRS, THEIRS @ [1.0, 2.0, 3.0])
    there = as_estimator(model, columns=["one", "two", "three"])
    here = across(there, crossed(), NAMES)
    np.testing.assert_allclose(here.predict(MINE), model.predict(THEIRS))
    frame = pd.DataFrame(MINE, columns=NAMES)[["zwei", "drei", "eins"]]
    np.testing.assert_allclose(here.predict(frame), model.predict(THEIRS))


@pytest.mark.parametrize("kind", [LogisticRegression, LinearSVC])
def test_classes_and_probabilities_do_too(kind: type) -> None:
    labels = np.where(THEIRS[:, 0] > 10, "high", "low")
    there = as_estimator(kind().fit(THEIRS - THEIRS.mean(axis=0), labels))
    shifted = bridge_of(
        fit_table(THEIRS - THEIRS.mean(axis=0)),
        fit_table(MINE).columns or fit_table(MINE, columns=NAMES).columns or (),
        [
            Match(source, target, 1.8, 32.0 - float(THEIRS[:, target].mean()), 0.9)
            for source, target in enumerate((2, 0, 1))
        ],
    )
    here = across(there, shifted, None)
    np.testing.assert_allclose(here.predict_proba(MINE), there.predict_proba(THEIRS - THEIRS.mean(axis=0)))
    assert here.score(MINE, labels) > 0.9


def test_what_needs_no_bridge_is_judged_on_rows_that_it_did_not_learn_from() -> None:
    noise = RNG.integers(0, 2, 120)
    assert unbridged_loss(MINE[:120], noise, classifies=True) == pytest.approx(np.log(2), abs=0.15)
    easy = (MINE[:120, 0] > MINE[:120, 0].mean()).astype(int)
    better = unbridged_loss(MINE[:120], easy, classifies=True)
    assert better is not None
    assert better < 0.3
    linear = unbridged_loss(MINE, MINE @ [1.0, 2.0, 3.0], classifies=False)
    assert linear is not None
    assert linear < 0.01 * np.var(MINE @ [1.0, 2.0, 3.0])


def test_too_few_labels_say_nothing() -> None:
    assert unbridged_loss(MINE[:4], np.array([0, 0, 0, 1]), classifies=True) is None
