"""Hits as people see them, with a card that another node wrote to do harm."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from skerry.client.cache import Cache
from skerry.client.connection import Connection
from skerry.client.hits import Hits
from skerry.errors import NotFound
from skerry.protocol import api
from tests.client.test_escape import HOSTILE


def card(name: str, owner: str) -> api.CardView:
    return api.CardView(
        id="a" * 64, hash="b" * 64, owner="c" * 64, owner_name=owner, slug="slug", version=2, name=name,
        summary=name, data="Table", task="Classification", library="Scikit-learn", scenarios=[],
        license="MIT", tags=[], language="", classes=2, island="d" * 64, dimension=3, lane="python",
        specification="e" * 64, specification_bytes=100, package="f" * 64, package_bytes=2000, published=0,
    )  # fmt: skip


def hits_of(folder: Path, *cards: api.CardView) -> Hits:
    coverage = api.Coverage(10, 5, 4, 3, 60.0, ["owner\x1b[2J"], owners_asked=3, coming=7)
    found = [api.Hit(one, [], mmd2=0.1 * number, cosine=0.9) for number, one in enumerate(cards)]
    connection = Connection("http://127.0.0.1:1", "")
    return Hits(api.SearchAnswer(found, None, coverage), connection, Cache(folder))


def on_terminal(hits: Hits) -> str:
    """Return the table as rich writes it to a file: what is left of controls came from the text."""
    written = io.StringIO()
    Console(file=written, width=80).print(hits)
    return written.getvalue()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_a_card_reaches_a_page_or_terminal_raw(tmp_path: Path, text: str) -> None:
    hits = hits_of(tmp_path, card(text, text))
    shown = hits._repr_html_()
    assert "<script" not in shown
    seen = shown + repr(hits) + on_terminal(hits)
    assert "\x1b" not in seen
    assert "\u202e" not in seen
    assert shown.count("<tr>") == 2


def test_hits_are_a_sequence_that_says_what_it_covers(tmp_path: Path) -> None:
    hits = hits_of(tmp_path, card("near", "lab"), card("far", ""))
    assert len(hits) == 2
    assert [hit.title for hit in hits] == ["near v2", "far v2"]
    assert [hit.owner for hit in hits[:2]] == ["lab (cccccccc)", "unnamed (cccccccc)"]
    said = "2 of 3 owners answered; not reached: owner�[2J; compared 4 of 5 candidates among 10 learnwares"
    assert said in repr(hits)
    assert "; 7 more are on their way" in repr(hits)


def test_without_a_recommendation_there_is_no_mix(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        _ = hits_of(tmp_path, card("near", "lab")).mix
    assert caught.value.code == "E-SEARCH-MIX"
