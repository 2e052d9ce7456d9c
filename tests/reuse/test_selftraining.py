"""A student learns the searcher's own words, and learnwares are not judged by what they were trained on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from skerry.errors import SpecificationError
from skerry.reuse import AutoReuse, Average, Learnware, Routed, SelfTrained, as_estimator
from skerry.reuse.limits import UNLABELLED_TEXTS_MIN
from skerry.reuse.selftraining import Student, classes_with, combined
from skerry.spec import fit_text

SHARED = {"bread": "flour oven yeast crust dough", "sea": "tide harbour sail mast anchor"}
OWN = {"bread": "ciabatta focaccia levain miche", "sea": "sloop ketch yawl cutter"}
"""Words of every text of the searcher's, which no owner ever saw."""


def texts_of(count: int, seed: int, *, shared: int, own: int = 0) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(["bread", "sea"], count)
    noise = [f"noise{number}" for number in range(30)]
    texts = [
        " ".join(
            [
                *rng.choice(SHARED[label].split(), shared),
                *(rng.choice(OWN[label].split(), own) if own else ()),
                f"message{seed}x{place}",
                *rng.choice(noise, 4),
                *rng.choice(SHARED[rng.choice(["bread", "sea"])].split(), 1),
            ]
        )
        for place, label in enumerate(labels)
    ]
    return texts, labels


def market(*, specified: bool = True) -> list[Learnware]:
    """Two owners' models of few texts, none with a word of the searcher's own."""
    found: list[Learnware] = []
    for seed in (1, 2):
        X, y = texts_of(40, seed, shared=1)
        model = make_pipeline(TfidfVectorizer(), MultinomialNB(alpha=0.1)).fit(X, y)
        found.append(as_estimator(model, fit_text(X) if specified else None))
    return found


@pytest.mark.parametrize("specified", [True, False])
def test_words_that_no_learnware_knows_are_learned_without_a_label(specified: bool) -> None:
    X, y = texts_of(600, 3, shared=2, own=2)
    members = market(specified=specified)
    teacher = Routed(members) if specified else Average(members)
    alone = teacher.fit(X).score(X, y)
    taught = SelfTrained(members).fit(X)
    assert alone < 0.93
    assert taught.score(X, y) > alone + 0.02
    fresh, truth = texts_of(200, 4, shared=2, own=2)
    assert taught.score(fresh, truth) > alone + 0.02


def test_labels_say_how_often_the_texts_are_labelled() -> None:
    X, _ = texts_of(600, 3, shared=2, own=2)
    few, labels = texts_of(80, 5, shared=2, own=2)
    assert SelfTrained(market(), unlabelled=X).fit(few, labels).rounds_ == 5
    assert SelfTrained(market(), unlabelled=X).fit().rounds_ == 1
    random = np.random.default_rng(0).choice(["bread", "sea"], 80)
    assert SelfTrained(market(), unlabelled=X).fit(few, random).rounds_ == 1


def test_a_class_that_no_learnware_knows_is_learned_from_its_labels() -> None:
    X, _ = texts_of(600, 3, shared=2, own=2)
    few, labels = texts_of(60, 5, shared=2, own=2)
    stars = ["comet nebula quasar noise1 noise2"] * 40
    taught = SelfTrained(market(), unlabelled=[*X, *stars]).fit(
        [*few, *stars[:20]], [*labels.tolist(), *["stars"] * 20]
    )
    assert taught.classes_.tolist() == ["bread", "sea", "stars"]
    assert taught.predict(["a comet in a nebula beside a quasar"]).tolist() == ["stars"]


def test_a_text_without_a_known_word_gets_the_teachers_answer() -> None:
    X, _ = texts_of(600, 3, shared=2, own=2)
    taught = SelfTrained(market()).fit(X)
    told = taught.teacher_.predict_proba(["", "flour"])
    answers = taught.predict_proba(["", "flour"])
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    np.testing.assert_allclose(answers[0], (told[0] + 0.01) / 1.02)
    assert abs(answers[1] - (told[1] + 0.01) / 1.02).max() > 0.01


def test_texts_without_any_word_leave_the_teacher() -> None:
    taught = SelfTrained(market(specified=False)).fit(["!", "?"])
    assert taught.student_ is None
    assert taught.predict_proba(["flour"]).shape == (1, 2)


def test_only_classifiers_of_texts_are_taught() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    table = [as_estimator(LogisticRegression().fit(X, X[:, 0] > 0))]
    with pytest.raises(SpecificationError, match="texts without a label"):
        SelfTrained(table).fit(X)
    with pytest.raises(SpecificationError, match="texts without a label"):
        SelfTrained(market()).fit(["flour"], ["bread"])


def test_the_student_is_multinomial_naive_bayes() -> None:
    rows = np.array([[2.0, 0, 1], [0, 1, 1]])
    student = Student.taught(rows.T, np.array([1.0, 1.0]))
    reference = MultinomialNB(alpha=0.02).fit(rows, [0, 1])
    np.testing.assert_allclose(student.words, reference.feature_log_prob_.T)
    halves = reference.predict_joint_log_proba(rows) / 2
    np.testing.assert_allclose(np.diff(student.log_answers(rows)), np.diff(halves))


def test_a_product_of_experts_is_a_probability_and_symmetric_doubt_changes_nothing() -> None:
    teacher = np.log(np.array([[0.9, 0.1]]))
    np.testing.assert_allclose(combined(np.log(np.array([[0.5, 0.5]])), teacher), [[0.9, 0.1]])


def test_classes_are_joined_by_name() -> None:
    assert classes_with(np.array([1, 2]), np.array([2, 5])).tolist() == [1, 2, 5]
    assert classes_with(np.array(["a"]), np.array(["long name"], dtype=object)).tolist() == ["a", "long name"]
    assert classes_with(np.array([1]), np.array(["a"])).tolist() == ["1", "a"]


def test_auto_reuse_teaches_a_student_where_texts_are_many() -> None:
    X, y = texts_of(UNLABELLED_TEXTS_MIN, 3, shared=2, own=2)
    many = AutoReuse(market()).fit(X)
    assert many.report_["chosen"] == "SelfTrained"
    assert many.score(X, y) > 0.9
    assert AutoReuse(market()).fit(X[:100]).report_["chosen"] == "Routed"


def test_labels_that_the_learnwares_were_trained_on_do_not_decide() -> None:
    X, _ = texts_of(600, 3, shared=1)
    seen, labels = texts_of(40, 1, shared=1)
    auto = AutoReuse(market(), unlabelled=X).fit(seen, labels)
    assert auto.report_["chosen"] == "SelfTrained"
    assert "trained on the labelled rows" in auto.report_["why"]


def test_labels_of_the_searchers_own_texts_do() -> None:
    X, _ = texts_of(600, 3, shared=2, own=2)
    few, labels = texts_of(60, 7, shared=2, own=2)
    auto = AutoReuse(market(), unlabelled=X, budget_seconds=1e-9).fit(few, labels)
    assert [trial["name"] for trial in auto.report_["trials"]][:2] == ["SelfTrained", "Routed"]
