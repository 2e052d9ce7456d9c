"""Landlock: of all files, a process sees those below the folders it was given.

Theory of operation. A ruleset names every access right that this kernel knows how to withhold; rules
give some of them back below single paths; then the process restricts itself, for good, children
included. No privilege is needed. Kernels since 5.13 have it, with more rights in later versions of its
interface; rights that a kernel does not know are left to :mod:`.seccomp`, whose filter at level B
denies the calls that would need them.

Landlock governs opening, listing, making, removing, executing; not asking for a file's size or times.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_FOLDER: Final = 1 << 3
_FILE_RIGHTS_BY_VERSION: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files that a version of the interface can withhold."""
_NETWORK_VERSION: Final = 4
_NETWORK_RIGHTS: Final = 0b11
_SCOPE_VERSION: Final = 6
_SCOPES: Final = 0b11
"""Abstract Unix sockets and signals of processes outside."""


def version() -> int:
    """Return the version of the kernel's interface; 0 when there is none."""
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Let this process read what lies at or below `readable`, write to the files `writable`, and no more.

    Raises
    ------
    OSError
        The kernel has no Landlock, or refuses.
    """
    known = version()
    if known == 0:
        raise OSError("this kernel has no Landlock, or it is switched off")
    rights = max((bits for since, bits in _FILE_RIGHTS_BY_VERSION.items() if since <= known))
    attributes = struct.pack(
        "QQQ",
        rights,
        _NETWORK_RIGHTS if known >= _NETWORK_VERSION else 0,
        _SCOPES if known >= _SCOPE_VERSION else 0,
    )
    size = 24 if known >= _SCOPE_VERSION else 16 if known >= _NETWORK_VERSION else 8
    ruleset = _call(_CREATE_RULESET, attributes, size, 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _EXECUTE | (_READ_FOLDER if path.is_dir() else 0))
        for path in writable:
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
        no_new_privileges()
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def no_new_privileges() -> None:
    """Make sure that nothing this process executes gains rights, such as a setuid program."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Add a rule; a path that does not exist needs none."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: bytes | int | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock ({number}): {os.strerror(code)}")
    return result
