"""Why something is not here: every reason has words, and a real node gives the right ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skerry.node.api.why import WORDS
from skerry.protocol.api import WhyAnswer
from skerry.protocol.history import Because
from tests.node.processes import HttpError, eventually, nodes, specification


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Because)


@pytest.mark.processes
def test_a_node_says_what_became_of_a_learnware(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        receipt = first.publish("ward-model", specification(1), b"a package")
        eventually("it arrives", lambda: second.status().cards == 1)

        def reasons(subject: str, owner: str = "") -> list[str]:
            answer = second.get(f"/why/{subject}?owner={owner}", WhyAnswer)
            assert all(reason.sentence for reason in answer.reasons)
            return [reason.because for reason in answer.reasons]

        card, owner = receipt.card.id, receipt.card.owner
        assert reasons(card, owner)[0] == "present"
        assert reasons("ab" * 32) == ["never-heard"]
        first.withdraw("ward-model")
        eventually("it goes", lambda: second.status().cards == 0)
        assert {"not-in-head", "withdrawn"} <= set(reasons(card, owner))
        first.kill()
        eventually("it is missed", lambda: second.status().peers_connected == 0)
        assert reasons(first_key(second))[0] == "not-connected"
        with pytest.raises(HttpError) as caught:
            second.request("GET", "/why/nonsense")
        assert caught.value.status == 400
        assert json.loads(second.request("GET", "/peers"))["peers"]


def first_key(node: object) -> str:
    return node.peers().peers[0].node_key  # type: ignore[attr-defined]
