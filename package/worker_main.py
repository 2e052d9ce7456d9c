"""The first code of a worker process; run by path: ``python -I -S worker_main.py CONFIG``.

Theory of operation. Until :mod:`skerry.package.serve` loads the package, everything here is our own
code. It makes the process ready for a stranger first, in this order: the message pipes move away
from where the stranger's prints would land; a *watchdog* stays behind as the parent, and ends the
whole process group when the caller goes away or the worker ends; then the process confines itself.

Rules:

1. Only the standard library is imported before the process is confined: numpy starts threads, and a
   thread that exists already escapes some of the confinement.
2. The environment's own start-up code (``.pth`` files, ``sitecustomize``) is a stranger's too: ``-S`` keeps
   it from running until the process is confined.
3. It runs in the interpreter of the package's environment, where Skerry need not be installed. Of
   Skerry it uses ``skerry.package`` and ``skerry.errors`` alone, found by folder.
"""

from __future__ import annotations

import json
import os
import select
import signal
import site
import sys
import types
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn


def main() -> None:
    """Become a worker."""
    config = json.loads(sys.argv[1])
    _find_skerry(config["errors"])
    calls, answers = _take_pipes()
    _watch(calls)
    _confine(config["confinement"])
    site.main()
    from skerry.package import serve

    serve.serve(config["model"], calls, answers)


def _find_skerry(errors: str) -> None:
    """Make ``skerry.package`` and ``skerry.errors`` importable, without the rest of Skerry."""
    module = types.ModuleType("skerry")
    module.__path__ = [str(Path(__file__).parent.parent), errors]
    sys.modules["skerry"] = module


def _take_pipes() -> tuple[int, int]:
    """Move the message pipes from descriptors 0 and 1, which the package's code may read and print to."""
    calls, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return calls, answers


def _watch(calls: int) -> None:
    """Go on as a child; the parent stays, to end this process group with the caller or with the child."""
    children: list[int] = []

    def reap(_signal: int, _frame: Any) -> None:
        with suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                if ended in children:
                    _end_group()

    signal.signal(signal.SIGCHLD, reap)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    children.append(os.fork())
    if children == [0]:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    caller = select.poll()
    caller.register(calls, 0)
    caller.poll()
    _end_group()


def _confine(plan: dict[str, Any] | None) -> None:
    if plan is None:
        return
    from skerry.package import confine

    try:
        confine.confine(plan)
    except (OSError, ValueError, confine.NotConfined) as error:
        sys.exit(f"level {plan['level']}: {error}")


def _end_group() -> NoReturn:
    """End every process of this group; as the first process of a namespace, exiting ends them all."""
    with suppress(PermissionError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
