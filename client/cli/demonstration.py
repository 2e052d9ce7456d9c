"""The verb that shows everything at once: demo."""

from __future__ import annotations

import signal
from types import FrameType
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

    interruption = _Interruption()

    def note(line: str) -> None:
        interruption.check()
        session.note(line)

    demo = run_demo(note=note, keep=keep)
    interruption.check()
    session.show(demo.result, as_text(demo))


class _Interruption:
    """Remembers Ctrl-C and SIGTERM: whoever stops the demo wants its nodes gone.

    Python raises the exception wherever it happens to be, and where that is a finalizer it is printed and
    dropped. So each step of the demo looks here whether one got lost.
    """

    def __init__(self) -> None:
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def check(self) -> None:
        """Raise KeyboardInterrupt when a signal came before."""
        if self._received:
            raise KeyboardInterrupt

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._received = True
        raise KeyboardInterrupt
