from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import SpecificationError
from skerry.spec import Column, Features, Island, Rkme, SemanticSpec, Specification, TypedColumn
from tests.spec.test_semantic import PLAIN

RKME = Rkme(np.arange(6.0).reshape(3, 2), np.full(3, 1 / 3), Island("table", None, 2))
WHOLE = Specification(SemanticSpec(**PLAIN), RKME)


def test_bytes_round_trip() -> None:
    assert Specification.from_bytes(WHOLE.to_bytes()) == WHOLE
    assert Specification.from_bytes(WHOLE.to_bytes()).to_bytes() == WHOLE.to_bytes()


def test_words_and_numbers_must_agree() -> None:
    with pytest.raises(SpecificationError, match=r"semantic\.data"):
        Specification(SemanticSpec(**{**PLAIN, "data": "Text"}), RKME)
    with pytest.raises(SpecificationError, match=r"input\.dimension"):
        Specification(SemanticSpec(**{**PLAIN, "input": Features(3)}), RKME)
    named = Rkme(RKME.points, RKME.weights, Island("table", (Column("age", "a"), Column("chol")), 2))
    typed = (TypedColumn("age", "a", "integer"), TypedColumn("chol"))
    Specification(SemanticSpec(**PLAIN, columns=typed), named)
    with pytest.raises(SpecificationError, match=r"semantic\.columns"):
        Specification(SemanticSpec(**PLAIN, columns=typed[::-1]), named)


def test_another_version_is_refused() -> None:
    blob = msgpack.packb({**msgpack.unpackb(WHOLE.to_bytes()), "version": 9})
    with pytest.raises(SpecificationError, match="version"):
        Specification.from_bytes(blob)


@given(st.data())
def test_damaged_bytes_are_decoded_or_refused(data: st.DataObject) -> None:
    blob = bytearray(WHOLE.to_bytes())
    blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        Specification.from_bytes(bytes(blob))
    except SpecificationError:
        return
