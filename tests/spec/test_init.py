from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skerry.spec


@pytest.mark.parametrize("name", skerry.spec.__all__)
def test_every_public_name_resolves(name: str) -> None:
    found = getattr(skerry.spec, name)
    assert getattr(found, "__module__", "skerry.spec").startswith("skerry.spec")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = skerry.spec.nothing_here


def test_type_checkers_see_the_same_names() -> None:
    source = ast.parse(Path(skerry.spec.__file__).read_text())
    imported = {
        alias.name: node.module
        for block in ast.walk(source)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == skerry.spec._HOMES
    assert sorted(imported) == sorted(skerry.spec.__all__)


def test_what_a_node_needs_is_light() -> None:
    """A node decodes, compares and mixes specifications without any heavy library in memory."""
    script = (
        "import sys, skerry.spec as spec\n"
        "for name in ('Rkme', 'Specification', 'mmd2', 'rank', 'SketchIndex', 'sketch_of'):\n"
        "    getattr(spec, name)\n"
        "heavy = ('scipy', 'sklearn', 'torch', 'pandas', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
