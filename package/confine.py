"""A worker confines itself: the part of the sandbox that runs inside it.

Theory of operation. The caller's plan (:mod:`.sandbox`) arrives as plain data. In order: resource
limits; at level B the Landlock ruleset; as root, the user id is given up; last the seccomp filter,
since it denies what the steps before need. Then the process tries what must not work any more, and
ends if it does: a sandbox counts when it holds, not when its parts are there.

Runs before anything but the standard library is imported.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from . import landlock, limits, seccomp

_PR_SET_KEEPCAPS: Final = 8
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_DAC_READ_SEARCH: Final = 1 << 2


class NotConfined(Exception):  # noqa: N818 - it states what is the case
    """The sandbox does not hold; the text says where it gave way."""


def confine(plan: Mapping[str, Any]) -> None:
    """Confine this process as `plan` says.

    Parameters
    ----------
    plan
        ``level`` (``A`` when bubblewrap started this process, else ``B``), ``identity`` (the user id to
        take, or None), ``canary`` (a path that must be out of reach), and for level B ``readable`` (paths)
        and ``search`` (whether they lie below folders closed to that user id).

    Raises
    ------
    OSError
        A part is not available here.
    NotConfined
        All parts are there, and something that must not work works.
    """
    shared_files = plan["level"] == "B"
    _limit_resources()
    os.umask(0o077)
    if plan["identity"] is not None:
        _become(plan["identity"], search=plan.get("search", False))
    if shared_files:
        landlock.restrict(map(Path, plan["readable"]), [Path(os.devnull)])
    seccomp.restrict(shared_files=shared_files)
    _try(Path(plan["canary"]))


def _limit_resources() -> None:
    bounds = {
        resource.RLIMIT_AS: limits.WORKER_MEMORY_BYTES_MAX,
        resource.RLIMIT_FSIZE: limits.WORKER_FILE_BYTES_MAX,
        resource.RLIMIT_NPROC: limits.WORKER_PROCESSES_MAX,
        resource.RLIMIT_NOFILE: limits.WORKER_OPEN_FILES_MAX,
        resource.RLIMIT_CPU: limits.WORKER_CPU_SECONDS_MAX,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def _become(identity: int, *, search: bool) -> None:
    """Give up the user id of root for one that owns nothing on this machine.

    With `search`, the right to pass through closed folders and to read is kept, for an interpreter below
    ``/root``; Landlock, which comes next, bounds it to the listed paths.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if search and libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setresgid(identity, identity, identity)
    os.setresuid(identity, identity, identity)
    kept = _CAP_DAC_READ_SEARCH if search else 0
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    if libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _try(canary: Path) -> None:
    if os.getuid() == 0:
        raise NotConfined("the process is still root")
    with suppress(OSError):
        os.setuid(0)
        raise NotConfined("the process can become root again")
    with suppress(OSError):
        canary.read_bytes()
        raise NotConfined("a private file of the caller could be read")
    with suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        raise NotConfined("a network socket could be opened")
    with suppress(OSError):
        os.kill(os.getppid(), 0)
        raise NotConfined("another process could be signalled")
