"""Where the ``skerry`` command begins: before anything is imported that takes time.

Ctrl-C in the first moments must end the command as later: silently, with exit code 130. Python's own
handler would print a traceback from the middle of an import, so the one below stands until the command line
is there (:mod:`skerry.client.cli.session` then takes interruptions itself) and again when it is done.
"""

from __future__ import annotations

import gc
import os
import signal
from types import FrameType

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, leave)
    # Nothing becomes garbage while the command line is put together, and looking for it takes time.
    gc.disable()
    from .cli import main as run

    gc.enable()
    run()


def leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing was begun that would need an end."""
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
