"""The traces hold to the last effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.interpreter import RULE, replay

TRACES = sorted(Path(__file__).parent.glob("*.txt"))


def test_there_are_traces() -> None:
    assert {path.stem for path in TRACES} >= {"membership", "broadcast", "repair", "reconcile", "trust"}


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_trace_holds(path: Path) -> None:
    text = path.read_text()
    assert replay(text) == text, "python -m tests.machines shows the difference"
    assert text.count(f"\n{RULE}") >= 5
