"""The reference engine's text and image files, and its distances of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import Rkme, fit_image, fit_text, mmd2, rank
from skerry.spec.reference_images import image_inner
from tests.tree import ROOT

GOLDEN = ROOT / "tests" / "data" / "reference_golden"


def recorded(name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Rkme]]:
    record = json.loads((GOLDEN / name).read_text())
    files = record["specs"]
    return (
        record,
        files,
        {key: Rkme.from_reference_json(json.dumps(file).encode()) for key, file in files.items()},
    )


def test_image_distances_of_the_engine_are_repeated() -> None:
    record, _, rkmes = recorded("images.json")
    for pair, distance in record["dist"].items():
        first, second = (rkmes[name] for name in pair.split())
        assert mmd2(first, second, "reference") == pytest.approx(distance, abs=1e-6)
        assert image_inner(first, second) == pytest.approx(record["inner"][pair], abs=1e-6)


def test_text_distances_of_the_engine_are_repeated() -> None:
    record, _, rkmes = recorded("texts.json")
    assert rkmes["p"].meta["languages"] == "en"
    for pair, distance in record["dist"].items():
        first, second = (rkmes[name] for name in pair.split())
        assert mmd2(first, second, "reference") == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize("name", ["images.json", "texts.json"])
def test_files_are_written_as_the_engine_writes_them(name: str) -> None:
    _, files, rkmes = recorded(name)
    for key, rkme in rkmes.items():
        assert msgspec.json.decode(rkme.to_reference_json()) == files[key]
        assert Rkme.from_bytes(rkme.to_bytes()) == rkme


def test_images_with_other_channels_are_another_island() -> None:
    _, _, rkmes = recorded("images.json")
    with pytest.raises(SpecificationError, match="dimension"):
        mmd2(rkmes["a"], rkmes["grey"], "reference")


def test_our_features_are_written_beside_the_engines_with_their_extractor() -> None:
    for rkme in (fit_text(["a text of ours"]), fit_image(np.zeros((2, 8, 8)))):
        file = msgspec.json.decode(rkme.to_reference_json())
        assert file["type"] in {"RKMETextSpecification", "RKMEImageSpecification"}
        read = Rkme.from_reference_json(rkme.to_reference_json())
        assert (read.island, read.gamma) == (rkme.island, None)
        np.testing.assert_array_equal(read.points, rkme.points.astype(np.float64))


def test_a_ranking_by_the_engines_image_metric_is_refused_with_advice() -> None:
    _, _, rkmes = recorded("images.json")
    with pytest.raises(SpecificationError, match="mmd2"):
        rank(rkmes["a"], [rkmes["b"]], "reference")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "RKMEVideoSpecification"}, "type"),
        ({"model_config": {"net_depth": 5}}, "net_depth"),
        ({"z": [[1.0, 2.0], [3.0, 4.0]]}, "z"),
        ({"beta": [0.5]}, "weights"),
        ({"language": 7, "type": "RKMETextSpecification"}, "bytes"),
    ],
)
def test_odd_files_are_refused(change: dict[str, Any], words: str) -> None:
    _, files, _ = recorded("images.json")
    with pytest.raises(SpecificationError, match=words):
        Rkme.from_reference_json(json.dumps({**files["grey"], **change}).encode())
