from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Island, Rkme, mmd2
from skerry.spec.reference import REFERENCE_GAMMA

GOLDEN = Path(__file__).parent.parent / "data" / "reference_golden"
PAIRWISE = json.loads((GOLDEN / "pairwise.json").read_text())


def read(document: dict[str, Any]) -> Rkme:
    return Rkme.from_reference_json(json.dumps(document).encode())


SPECS = {name: read(document) for name, document in PAIRWISE["specs"].items()}


@pytest.mark.parametrize("name", SPECS)
def test_files_round_trip_in_every_digit(name: str) -> None:
    assert json.loads(SPECS[name].to_reference_json()) == PAIRWISE["specs"][name]


@pytest.mark.parametrize("pair", PAIRWISE["pairs"], ids=lambda pair: f"{pair['a']}-{pair['b']}")
def test_distances_are_the_engines(pair: dict[str, Any]) -> None:
    distance = mmd2(SPECS[pair["a"]], SPECS[pair["b"]], metric="reference")
    assert distance == pytest.approx(pair["dist"], rel=1e-6, abs=1e-9)


def test_the_legacy_form_without_a_type() -> None:
    document = dict(PAIRWISE["specs"]["wine__train"])
    del document["type"]
    legacy = read({**document, "cuda_idx": 0, "device": "cpu"})
    assert legacy == SPECS["wine__train"]
    assert read({**document, "type": "RKMEStatSpecification"}) == legacy


def test_rows_with_more_axes_keep_their_shape() -> None:
    z = np.arange(12.0).reshape(2, 2, 3)
    rkme = read({"z": z.tolist(), "beta": [0.5, 0.5], "gamma": 0.1})
    assert (rkme.dimension, rkme.shape) == (6, (2, 3))
    assert json.loads(rkme.to_reference_json())["z"] == z.tolist()


def test_one_point_and_whole_numbers_are_fine() -> None:
    rkme = read({"z": [[1, 2]], "beta": [1], "gamma": 0.1})
    assert rkme.weights.tolist() == [1.0]


def test_ours_is_written_with_the_engines_gamma_and_without_the_size_of_the_data() -> None:
    rkme = Rkme(np.array([[1.5, 2.5]], np.float32), np.ones(1), Island("table", None, 2))
    document = json.loads(rkme.to_reference_json())
    assert document == {
        "z": [[1.5, 2.5]],
        "beta": [1.0],
        "gamma": REFERENCE_GAMMA,
        "num_points": 0,
        "type": "RKMETableSpecification",
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "RKMEVideoSpecification"}, "type"),
        ({"type": "RKMEImageSpecification"}, "z"),
        ({"type": "subprocess.check_output"}, "type"),
        ({"z": [[1, 2], [3]]}, "z"),
        ({"z": [[1, "x"], [3, 4]]}, "z"),
        ({"z": [1, 2]}, "z"),
        ({"z": []}, "z"),
        ({"z": {}}, "bytes"),
        ({"z": [[1, 2], [3, 1e300]]}, "points"),
        ({"beta": [1]}, "weights"),
        ({"beta": [2, -1]}, "weights"),
        ({"beta": "x"}, "bytes"),
        ({"gamma": 0}, "gamma"),
    ],
)
def test_bad_files_are_refused_by_field(changes: dict[str, Any], field: str) -> None:
    document = {"z": [[1, 2], [3, 4]], "beta": [0.5, 0.5], "gamma": 0.1, **changes}
    with pytest.raises(SpecificationError) as caught:
        read(document)
    assert caught.value.where == field


@pytest.mark.parametrize("text", [b"", b"{}", b'{"z": [[NaN]], "beta": [1]}', b'{"z":' + b"[" * 100_000])
def test_malformed_text_is_refused(text: bytes) -> None:
    with pytest.raises(SpecificationError, match="bytes"):
        Rkme.from_reference_json(text)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_cleanly(text: bytes) -> None:
    with pytest.raises(SpecificationError):
        Rkme.from_reference_json(text)
