from __future__ import annotations

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Rkme, fit_text, merge, mix, mmd2, rank, sketch_of, text_features
from skerry.spec import text as module

# Sentences of our own, two topics that share no word but frequent ones.
_SEA = ["tide", "harbour", "sail", "mast", "gull", "wave", "anchor", "salt", "reef", "ferry", "keel", "storm"]
_BREAD = [
    "flour",
    "oven",
    "yeast",
    "crust",
    "loaf",
    "dough",
    "rye",
    "baker",
    "knead",
    "butter",
    "sieve",
    "salt",
]


def sentences(words: list[str], count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"the {' and the '.join(rng.choice(words, 4, replace=False))} of today" for _ in range(count)]


def test_texts_of_one_topic_are_nearer_than_those_of_another() -> None:
    sea, bread = fit_text(sentences(_SEA, 150, 0)), fit_text(sentences(_BREAD, 150, 1))
    wanted = fit_text(sentences(_SEA, 60, 2))
    found = rank(wanted, [bread, sea])
    assert found.indices.tolist() == [1, 0]
    assert found.mmd2[0] < 0.5 * found.mmd2[1]


def test_a_mix_finds_both_topics_of_a_searcher() -> None:
    market = [fit_text(sentences(words, 150, seed)) for seed, words in enumerate([_SEA, _BREAD])]
    market.append(fit_text([f"page {n} of {n * 7}" for n in range(100)]))
    found = mix(fit_text(sentences(_SEA, 60, 5) + sentences(_BREAD, 60, 6)), market)
    assert set(found.indices.tolist()) == {0, 1}
    assert found.mmd2 < 0.5 * found.single_mmd2


def test_points_lie_on_the_unit_sphere_and_the_island_names_the_extractor() -> None:
    rkme = fit_text(sentences(_SEA, 150, 0))
    assert (rkme.kind, rkme.island.extractor, rkme.columns) == ("text", "skerry/hashed-ngrams/1", None)
    assert len(rkme) == 15
    np.testing.assert_allclose(np.linalg.norm(rkme.points, axis=1), 1, atol=1e-5)
    assert rkme == fit_text(sentences(_SEA, 150, 0))
    assert Rkme.from_bytes(rkme.to_bytes()) == rkme
    assert sketch_of(rkme).columns == 0


def test_merging_keeps_the_sphere() -> None:
    whole = fit_text(sentences(_SEA, 200, 0) + sentences(_BREAD, 200, 1), 20)
    merged = merge(
        [fit_text(sentences(words, 200, seed), 20) for seed, words in enumerate([_SEA, _BREAD])], [1, 1]
    )
    np.testing.assert_allclose(np.linalg.norm(merged.points, axis=1), 1, atol=1e-5)
    assert mmd2(whole, merged) < 0.2 * mmd2(whole, fit_text(sentences(_SEA, 200, 2), 20))


def test_empty_texts_are_left_out_and_counted() -> None:
    texts = sentences(_SEA, 50, 0)
    rkme = fit_text([*texts, "", "  \n", "?!"], 5)
    assert rkme.meta["empty_texts"] == 3
    np.testing.assert_array_equal(rkme.points, fit_text(texts, 5).points)
    assert not text_features(["", " ", "?!"]).any()


def test_one_text_is_one_point() -> None:
    rkme = fit_text(["a single text about a single thing"])
    assert len(rkme) == 1
    np.testing.assert_allclose(rkme.points, text_features(["a single text about a single thing"]), atol=1e-5)


def test_languages_are_named_the_most_frequent_first() -> None:
    english = ["The committee will meet again on Thursday morning to discuss the budget."] * 6
    german = ["Der Ausschuss tagt am Donnerstag wieder und berät über den Haushalt."] * 3
    chinese = ["委员会将于周四上午再次开会讨论预算，届时将公布最终的结果和安排。"] * 3
    assert fit_text(english).meta["languages"] == "en"
    assert str(fit_text(english + german + chinese).meta["languages"]).split() == ["en", "de", "zh"]
    assert fit_text(["2 3 5 7", "11"]).meta["languages"] == ""


def test_writing_without_spaces_has_words_too() -> None:
    cat, dog, rain = text_features(["那只猫坐在垫子上", "那只狗坐在垫子上", "今天下午的会议取消了"])
    assert cat @ dog > 0.5 > cat @ rain


def test_a_row_does_not_depend_on_its_batch_or_on_what_was_remembered() -> None:
    texts = sentences(_SEA, 30, 0)
    together = text_features(texts)
    module._memory_of.cache_clear()
    apart = np.concatenate([text_features([text]) for text in texts])
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(text_features(texts), apart)


def test_what_the_default_extractor_computes_is_fixed_by_its_id() -> None:
    """A change here splits the network: it takes a new id."""
    row = text_features(["Learnwares of the northern islands, found again."])[0]
    assert row.shape == (256,)
    frozen = [0.085882, -0.021175, 0.035148, -0.089534]
    np.testing.assert_allclose(row[:4], frozen, atol=2e-6)


def test_the_memory_is_bounded() -> None:
    memory = module.TextMemory(3)
    for number in range(5):
        memory.put(bytes([number]), np.zeros(1))
    assert [memory.get(bytes([number])) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "0 texts"),
        (["", "  "], "none of the 2 texts"),
        ("one text", "a list of texts"),
        (["fine", None], "text 1"),
        (["fine", float("nan")], "text 1"),
        (["fine", b"bytes"], "text 1"),
        ([["nested"]], "text 0"),
        (7, "not int"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts: object, words: str) -> None:
    with pytest.raises(SpecificationError, match=words) as caught:
        fit_text(texts)  # type: ignore[arg-type]
    assert caught.value.code == "E-SPEC-DATA"


def test_odd_characters_and_long_texts_are_taken() -> None:
    odd = ["a\x00b \ud800 text", "word " * 100_000, "e\u0301te\u0301 d'abord"]
    assert np.isfinite(text_features(odd)).all()
    assert len(fit_text(odd)) == 1


def test_an_unknown_extractor_is_refused_by_name() -> None:
    with pytest.raises(SpecificationError, match="oracle") as caught:
        fit_text(["a text"], extractor="oracle")
    assert caught.value.code == "E-SPEC-EXTRACTOR"


def test_two_extractors_are_two_islands() -> None:
    rkme = fit_text(sentences(_SEA, 30, 0))
    other = Rkme(rkme.points, rkme.weights, type(rkme.island)("text", None, 256, "somebody/else/1"))
    with pytest.raises(SpecificationError, match="extractor"):
        mmd2(rkme, other)
