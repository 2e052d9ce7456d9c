"""Hostile names: nothing from another node may act on a terminal or a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.client.escape import html, visible

HOSTILE = {
    "terminal colour": "\x1b[31mred\x1b[0m",
    "title bar": "\x1b]0;owned\x07",
    "line forging": "good\r\nerror: all is well",
    "right to left override": "model\u202efdp.exe",
    "isolate": "\u2066a\u2069",
    "zero width": "pay\u200bpal",
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)',
    "markup": "[red]x[/red]",
    "tag characters": "\U000e0041\U000e0042",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_lose_their_power(text: str) -> None:
    assert not any(
        unicodedata.category(character)[0] == "C" for character in visible(text) if character != "�"
    )
    shown = html(text)
    assert "<" not in shown
    assert '"' not in shown


@given(st.text(max_size=50))
def test_what_is_hidden_becomes_visible_and_nothing_is_dropped(text: str) -> None:
    assert len(visible(text)) == len(text)
    assert visible(visible(text)) == visible(text)


def test_long_texts_are_cut() -> None:
    assert len(visible("a" * 10_000)) == 2000
    assert visible("a" * 10_000).endswith("…")


def test_ordinary_names_stay() -> None:
    name = "St. Olavs hospital – Ærlig modell 心臓 [v2]"
    assert visible(name) == name
