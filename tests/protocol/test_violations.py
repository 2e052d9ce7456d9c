"""The closed list of violations: each explained, each with a code, each raised somewhere."""

from __future__ import annotations

import re

import pytest

from skerry.protocol import RemoteProtocolError, Violation
from skerry.protocol.violations import MEANINGS
from tests.tree import sources


@pytest.mark.parametrize("violation", Violation)
def test_a_violation_has_a_meaning_and_a_code(violation: Violation) -> None:
    error = RemoteProtocolError(violation, "detail", where="head")
    assert error.code == f"E-PROTOCOL-{violation.value.upper()}"
    assert error.what == MEANINGS[violation]
    assert error.violation is violation
    assert "detail" in str(error)


def test_a_violation_is_named_after_itself() -> None:
    assert all(violation.value == violation.name.lower().replace("_", "-") for violation in Violation)


def test_every_violation_is_raised_somewhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sources("protocol") if path.name != "violations.py"]
    raised = {name for text in texts for name in re.findall(r"Violation\.([A-Z_]+)", text)}
    assert raised == set(Violation.__members__)


def test_only_what_honest_nodes_may_do_is_free() -> None:
    assert Violation.SIGNATURE_INVALID.blames_sender
    assert not Violation.LEASE_ENDED.blames_sender
