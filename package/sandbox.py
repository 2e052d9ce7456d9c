"""The sandbox, from outside: how a worker is started so that it can do nothing but compute.

Theory of operation. There are two levels, and a *plan* for each says how to start the worker and how it
confines itself once it runs (:mod:`.confine`).

- **A**: bubblewrap gives it namespaces of its own: no network, no other processes, and a file tree of
  read-only system folders, the interpreter, the package, and a small private ``/tmp``.
- **B**: Landlock withholds all files but the same read-only ones; no program has to be installed.

Both add a seccomp filter, resource limits, an empty environment and, started by root, an unused user id.

Rules:

1. A level is found by trying it: the worker reports that it is confined before the package is
   loaded, and a plan whose worker does not report is a plan that does not work here, whatever is installed.
2. Nothing of this machine is in sight that was not listed here.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from . import limits, seccomp

Level = Literal["A", "B"]
LEVELS: Final[tuple[Level, ...]] = ("A", "B")

_SYSTEM_FOLDERS: Final = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin")
_SYSTEM_FILES: Final = ("/etc/ld.so.cache", "/etc/localtime")
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PROCESSOR_FILES: Final = ("/proc/cpuinfo", "/sys/devices/system/cpu")
_SCRATCH: Final = "/tmp"  # noqa: S108 - a private one, made for each worker
_IDENTITY_FIRST: Final = 61184
_IDENTITIES: Final = 4336
"""The range that systemd keeps for its own short-lived users: nobody owns files with these ids."""
_INSTALL_BUBBLEWRAP: Final = "Install bubblewrap (apt-get install bubblewrap, or dnf install bubblewrap)"
_NO_SANDBOX_SYSTEM: Final = "there is a sandbox on Linux alone, on x86-64 and arm64"


@dataclass(frozen=True)
class Plan:
    """One way to start a worker.

    Attributes
    ----------
    level
        ``A``, ``B``, or None for a plan without a sandbox.
    command
        What to put before the interpreter's own command line.
    confinement
        What the worker is told to do to itself; None without a sandbox.
    """

    level: Level | None
    command: tuple[str, ...]
    confinement: dict[str, Any] | None


UNCONFINED: Final = Plan(None, (), None)


def plans(folder: Path, python: Path, code: Sequence[Path], levels: Sequence[Level]) -> list[Plan]:
    """Return the plans to try, the better first; as root, give `folder` to the user id they use.

    Parameters
    ----------
    folder
        The worker's own folder, with the unpacked package as ``package`` and a ``canary`` in it.
    python
        The interpreter that will run.
    code
        Folders of Skerry's own modules.
    levels
        The levels that may be used.
    """
    if not seccomp.is_supported():
        return []
    identity = _identity(folder)
    readable = [*_interpreter_folders(python), *code, folder / "package"]
    makers = {"A": _bubblewrap, "B": _landlock}
    return [plan for level in levels if (plan := makers[level](readable, identity, folder)) is not None]


def advice(reasons: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return, for a reader, why no level works here and what to do about it."""
    if not seccomp.is_supported():
        return _NO_SANDBOX_SYSTEM, "Use learnwares of the onnx, skops or lightgbm lane on this system"
    installed = shutil.which("bwrap") is not None
    why = "; ".join(f"level {level}: {reason}" for level, reason in reasons)
    why = why if installed else f"bubblewrap is not installed; {why}"
    todo = _bubblewrap_fix(why) if installed else _INSTALL_BUBBLEWRAP
    return why, f"{todo}, or pass --unsafe-models to run it with all rights of this user"


def _bubblewrap_fix(why: str) -> str:
    """Return what to do about an installed bubblewrap that does not start; Ubuntu 24.04 is the known case."""
    if "uid map" in why or "RTM_NEWADDR" in why or "Permission denied" in why:
        return (
            "Allow bubblewrap its user namespace: put `profile bwrap /usr/bin/bwrap flags=(unconfined) "
            "{ userns, }` into /etc/apparmor.d/bwrap and reload AppArmor"
        )
    return "Make `bwrap --ro-bind / / true` work for this user"


def _identity(folder: Path) -> int | None:
    if os.geteuid() != 0:
        return None
    identity = _IDENTITY_FIRST + secrets.randbelow(_IDENTITIES)
    for path in (folder, folder / "package"):
        os.chown(path, -1, identity)
        path.chmod(0o750)
    return identity


def _interpreter_folders(python: Path) -> list[Path]:
    """Return the environment of an interpreter and the installation behind it."""
    candidates = [python.absolute().parent.parent, python.resolve().parent.parent]
    if python == Path(sys.executable):
        candidates += [Path(sys.prefix), Path(sys.base_prefix)]
    return [path for path in dict.fromkeys(candidates) if path != Path("/")]


def _bubblewrap(readable: Sequence[Path], identity: int | None, folder: Path) -> Plan | None:
    program = shutil.which("bwrap")
    if program is None:
        return None
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    # Root maps nothing: it keeps what it needs to take another user id once the namespaces stand.
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    command = [
        program,
        *namespaces,
        *(rights if identity is not None else ["--unshare-user"]),
        *["--as-pid-1", "--hostname", "worker", "--proc", "/proc", "--dev", "/dev"],
        *["--perms", "1777", "--size", str(limits.WORKER_SCRATCH_BYTES_MAX), "--tmpfs", _SCRATCH],
        *_system_mounts(),
        *_mounts(readable),
        *["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", _SCRATCH, "--"],
    ]
    return Plan("A", tuple(command), _confinement("A", identity, folder))


def _system_mounts() -> list[str]:
    arguments = []
    for path in map(Path, _SYSTEM_FOLDERS):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for file in _SYSTEM_FILES:
        arguments += ["--ro-bind-try", file, file]
    return arguments


def _mounts(readable: Sequence[Path]) -> list[str]:
    """Bind every path at its own place, below folders that any user id may pass through."""
    arguments = []
    made = {Path("/"), Path(_SCRATCH), *map(Path, _SYSTEM_FOLDERS)}
    for path in sorted(path for path in readable if not path.is_relative_to("/usr")):
        for parent in reversed(path.parents):
            if parent not in made:
                arguments += ["--perms", "0755", "--dir", str(parent)]
                made.add(parent)
        arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def _landlock(readable: Sequence[Path], identity: int | None, folder: Path) -> Plan:
    paths = [*map(str, readable), *_SYSTEM_FOLDERS, *_SYSTEM_FILES, *_DEVICES, *_PROCESSOR_FILES]
    hidden = identity is not None and any(map(_is_hidden, readable))
    return Plan("B", (), _confinement("B", identity, folder) | {"readable": paths, "search": hidden})


def _is_hidden(path: Path) -> bool:
    """Return whether a path lies below a folder that only its owner may pass through, such as /root."""
    return not all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _confinement(level: Level, identity: int | None, folder: Path) -> dict[str, Any]:
    return {"level": level, "identity": identity, "canary": str(folder / "canary")}
