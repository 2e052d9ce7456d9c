"""Every command, configuration key, error code, violation and card field is documented, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import typer.main

from skerry.client.cli import app
from skerry.node.config import Config
from skerry.protocol.card import Card
from skerry.protocol.violations import Violation
from tests.tree import ROOT, all_sources

DOCS = ROOT / "docs"
CODE = re.compile(r'"(E-[A-Z][A-Z0-9-]*[A-Z0-9])"')


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first column of every table of a document."""
    return re.findall(r"^\| `([^`]+)` ", text, flags=re.MULTILINE)


def codes_in_the_source() -> set[str]:
    paths = [*all_sources(), ROOT / "src" / "skerry" / "errors.py"]
    return {code for path in paths for code in CODE.findall(path.read_text(encoding="utf-8"))}


def commands(command: Any, name: str) -> Iterator[str]:
    """Yield the full name of every command below one, without hidden ones."""
    if command.hidden:
        return
    children = getattr(command, "commands", None)
    if children is not None:
        for key, child in sorted(children.items()):
            yield from commands(child, f"{name} {key}")
    else:
        yield name


def keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every configuration key."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def test_error_codes_are_documented_and_exist() -> None:
    assert sorted(first_cells(text_of("errors.md"))) == sorted(codes_in_the_source())


def test_commands_are_documented_and_exist() -> None:
    written = {cell for cell in first_cells(text_of("commands.md")) if cell.startswith("skerry")}
    assert written == set(commands(typer.main.get_command(app), "skerry"))


def test_configuration_keys_are_documented_and_exist() -> None:
    assert sorted(first_cells(text_of("configuration.md"))) == sorted(keys(Config))


def test_violations_are_documented_and_exist() -> None:
    section = text_of("protocol.md").split("## 9. Violations")[1].split("## 10.")[0]
    assert sorted(first_cells(section)) == sorted(violation.value for violation in Violation)


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Card)])
def test_card_fields_stand_in_the_protocol_in_order(field: str) -> None:
    section = text_of("protocol.md").split("## 4. Cards")[1].split("## 5.")[0]
    grammar = section.split("Card := {")[1].split("}")[0]
    assert field in re.findall(r"(\w+):", grammar)
