"""The vectors are what the code makes, byte for byte."""

from __future__ import annotations

import json

import pytest

from skerry.protocol import MESSAGE
from skerry.protocol.messages import MESSAGE_TYPES, Hello, HelloProof, UnknownMessage

from .make import FILES, FOLDER, text_of


@pytest.mark.parametrize("name", FILES)
def test_a_vector_is_what_the_code_makes(name: str) -> None:
    """A difference is a change of the wire format: it takes a new version, not a new vector."""
    assert (FOLDER / f"{name}.json").read_text(encoding="ascii") == text_of(name)


def test_every_message_of_version_1_has_a_vector_and_still_decodes() -> None:
    frames = json.loads((FOLDER / "messages-v1.json").read_text(encoding="ascii"))["frames"]
    kinds = {type(MESSAGE.decode(bytes.fromhex(item["frame"]))) for item in frames}
    assert UnknownMessage not in kinds
    assert set(MESSAGE_TYPES) - kinds == {Hello, HelloProof}
