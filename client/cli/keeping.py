"""Verbs that keep a node's disk: ``backup``, ``restore``, ``store verify``.

They work on the node's folder, beside a running daemon too, so they become the node's own program as
``serve`` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .operator import become_node
from .session import Session


def backup(
    session: Session, file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")]
) -> None:
    """Write the node's keys, database and own blobs to one file, while it runs or not."""
    become_node(session, "backup", [str(file.absolute())])


def restore(session: Session, file: Annotated[Path, typer.Argument(help="What backup wrote.")]) -> None:
    """Make the node of a backup in an empty folder; it goes on above what its peers know of it."""
    become_node(session, "restore", [str(file.absolute())])


def verify(session: Session) -> None:
    """Check the node's database, cards, blobs and sketches."""
    become_node(session, "verify", [])
