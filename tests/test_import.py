"""Importing costs little, and what is heavy comes when it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import skerry

SECONDS_MAX = 0.15
HEAVY = {"numpy", "scipy", "sklearn", "pandas", "polars", "pyarrow", "torch", "aiohttp", "rich", "matplotlib"}


def measured(program: str) -> tuple[float, set[str]]:
    """Return the processor seconds that a program takes in a fresh interpreter, and what it loaded."""
    before = "import sys, time; began = time.process_time()"
    wrapped = f"{before}; {program}; print(time.process_time() - began, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.split()
    return float(seconds), set(modules)


def test_importing_comes_at_once_and_loads_nothing_heavy() -> None:
    runs = [measured("import skerry") for _ in range(3)]
    assert min(seconds for seconds, _ in runs) < SECONDS_MAX
    assert not HEAVY & runs[0][1]


def test_asking_a_node_how_it_is_needs_no_numerical_library() -> None:
    program = (
        "import skerry\ntry: skerry.connect(folder='/nonexistent', cache='/tmp')\n"
        "except skerry.Unavailable as error: assert error.code == 'E-NODE-ABSENT', error"
    )
    _, modules = measured(f"exec({program!r})")
    assert not (HEAVY - {"numpy"}) & modules


@pytest.mark.parametrize("name", skerry.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(skerry, name) is not None
    assert name in dir(skerry)
