"""Where the repository's files are, for the tests that hold its rules."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ("spec", "protocol", "package", "reuse", "node", "client")


def sources(component: str) -> list[Path]:
    """Return the Python files of a component, in order."""
    return sorted(path for path in (ROOT / component).rglob("*.py") if "__pycache__" not in path.parts)


def all_sources() -> list[Path]:
    """Return the Python files of all components."""
    return [path for component in COMPONENTS for path in sources(component)]


def name_of(path: Path) -> str:
    """Return a file's path as the tests show it."""
    return path.relative_to(ROOT).as_posix()
