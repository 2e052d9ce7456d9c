"""The verb that shows everything at once: demo."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from .session import Session


def demo(
    session: Session,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the nodes running and print their addresses.")
    ] = False,
) -> None:
    """Four hospitals share models on this machine, each as a node of its own, without sharing a row."""
    from skerry.client.demo import run_demo
    from skerry.client.demo.report import as_text

    # Whoever stops the demo by SIGTERM wants its nodes gone as much as whoever presses Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = run_demo(note=session.note, keep=keep)
    session.show(result.as_dict(), as_text(result))
