"""Tables and errors on a terminal of 80 columns, with texts that strangers wrote."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from skerry.client.cli.output import byte_size, error_text, facts, table
from skerry.client.cli.session import Session
from skerry.errors import SkerryError, Unavailable
from tests.client.test_escape import HOSTILE


def printed(what: RenderableType) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=80, markup=False, highlight=False).print(what)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_table_holds_its_lines_whatever_stands_in_it(text: str) -> None:
    lines = printed(table(("name", "#bytes"), [(text * 30, 123456789), ("short", 1)]))
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].endswith(" 123456789"), "numbers are never cut"
    assert "\x1b" not in "".join(lines)


def test_long_facts_are_wrapped_and_kept_whole() -> None:
    assert (
        "".join(line.strip() for line in printed(facts([("id", "ab" * 60)]))).removeprefix("id").strip()
        == "ab" * 60
    )


def test_a_path_is_one_line_in_the_narrowest_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    path = "/folder with spaces/" + "x" * 100
    Session().show({"path": path}, path)
    assert capsys.readouterr().out == f"{path}\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_error_cannot_forge_lines_of_its_own(text: str) -> None:
    error = Unavailable(text, where=text, why=text, todo=text)
    lines = error_text(error).split("\n")
    assert [line.split(":")[0].strip() for line in lines] == [
        "error E-UNAVAILABLE",
        "where",
        "why",
        "what to do",
    ]
    assert "\x1b" not in "".join(lines)


def test_of_a_traceback_the_last_line_is_shown_unless_asked() -> None:
    error = SkerryError("It failed", why="Traceback:\n  File x\nValueError: no")
    assert error_text(error) == "error E-SKERRY: It failed\n  why: ValueError: no"
    assert "  why:   File x\n" in error_text(error, whole=True)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (7e9, "7.0 GB")]
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert byte_size(size) == text
