"""What the node's own commands print with ``--json``: the program's contract beside that of its HTTP API.

``skerry init``, ``serve``, ``backup``, ``restore``, ``config get`` and ``store verify`` become the node's
program, so their form belongs to both sides.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Initialised(msgspec.Struct, frozen=True):
    """``init`` and ``owner adopt``."""

    owner: str
    node_key: str
    folder: str


class Ready(msgspec.Struct, frozen=True):
    """``serve``: one line as soon as the daemon serves."""

    name: str
    owner: str
    bootstrap: str
    """What others configure to reach this node."""
    api: str
    """URL of the local API."""
    folder: str
    pid: int


class Restored(msgspec.Struct, frozen=True):
    """``restore``."""

    folder: str
    files: int


class Setting(msgspec.Struct, frozen=True):
    """The value of one key, and where it comes from."""

    name: str
    value: Any
    source: str
    """The file, the environment variable, or ``default``."""


class Settings(msgspec.Struct, frozen=True):
    """``config get``: one setting, or all."""

    settings: tuple[Setting, ...]


class StoreCheck(msgspec.Struct, frozen=True):
    """What one check of a node's disk found."""

    name: str
    sentence: str
    """What must be so."""
    looked_at: int
    wrong: int
    examples: list[str] = []
    todo: str = ""
    skipped: str = ""
    """Why it was not done, if it was not."""


class StoreReport(msgspec.Struct, frozen=True):
    """``store verify``."""

    checks: list[StoreCheck]
    sound: bool
