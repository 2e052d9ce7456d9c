"""The verb that looks at this machine: doctor.

Each check tries the thing itself rather than looking whether it seems to be there: a sandbox is started, the
node is asked. A check that does not pass says what to do.
"""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from skerry.errors import ClientError

from .session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE_BYTES_MIN: Final = 2 << 30
"""Below this a cache of packages and a node's database soon fill the disk."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    passed: bool
    found: str
    todo: str = ""


def doctor(session: Session) -> None:
    """Look at this machine and say what to do: Python, disk, sandbox, node."""
    from .output import table

    findings = [_python(), _disk(), *_sandbox(), _node(session)]
    rows = [("ok" if one.passed else "NO", one.check, one.found) for one in findings]
    session.show({"findings": [asdict(one) for one in findings]}, table(("", "check", "found"), rows))
    for one in findings:
        if one.todo:
            session.note(f"{one.check}: {one.todo}")


def _python() -> Finding:
    return Finding("python", passed=True, found=f"{platform.python_version()} at {sys.executable}")


def _disk() -> Finding:
    from skerry.client.folders import cache_folder

    folder = cache_folder()
    present = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(present).free
    passed = free >= FREE_BYTES_MIN
    todo = "" if passed else f"Free some space below {present}, or set SKERRY_CACHE to another disk"
    return Finding("disk", passed, f"{free / 1e9:.1f} GB free for {folder}", todo)


def _sandbox() -> Iterator[Finding]:
    """Try each level; B stands in where A does not work, so the advice is about A."""
    from skerry.package.process import try_levels
    from skerry.package.sandbox import advice

    for level, reason in try_levels().items():
        todo = advice([(level, reason)])[1] if reason and level == "A" else ""
        yield Finding(f"sandbox level {level}", not reason, reason or "works", todo)


def _node(session: Session) -> Finding:
    try:
        status = session.network().status()
    except ClientError as error:
        return Finding("node", passed=False, found=error.what, todo=error.todo)
    found = f"{status.name} answers; {status.peers_connected} peers, {status.cards} cards"
    return Finding("node", passed=True, found=found)
