"""A seccomp filter: the system calls that a model has no use for do not work.

Theory of operation. The filter is a small program in the kernel's classic BPF, put together here as
bytes. It lists what is denied: what reaches other processes, the network, mounts, namespaces and the
kernel's less tried parts. Everything else, such as reading files and allocating memory, is bounded
by the namespaces, Landlock and the resource limits around it. A denied call fails with EPERM; a call
younger than this table with ENOSYS, as on an older kernel, so that libraries fall back; a call through
another architecture's entry ends the process.

Rules:

1. No socket of any kind can be made, so there is no network whatever the namespaces say.
2. A process may signal itself only, and cannot leave the process group by which it is ended.
3. The filter is inherited by every child and cannot be taken off.

The numbers are those of the kernel's ``unistd_64.h`` (x86-64) and generic ``unistd.h`` (arm64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_Table = dict[str, tuple[int | None, int | None]]

_DENIED: Final[_Table] = {
    # other processes: reading, steering, signalling them
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # the network, and every other socket
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # the file system's shape, namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # the kernel's large and often faulty doors
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    # memory and queues shared with other processes
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # watching other people's files
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
}
_DENIED_ON_SHARED_FILES: Final[_Table] = {
    "truncate": (76, 45),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
}
_FIRST_UNKNOWN: Final = 463
"""The first call that the table above was not checked against; 462 is mseal of Linux 6.10."""

_NEW_NAMESPACES: Final = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_TIOCSTI: Final = 0x5412
_X32_BIT: Final = 0x40000000

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_BITS: Final = 0x45
_RETURN: Final = 0x06
_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_OFFSET_ARGUMENTS: Final = 16
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL: Final = 0x80000000

_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2


@dataclass(frozen=True)
class _Machine:
    """One architecture: its audit number, its column of the tables, and the calls looked at closer."""

    audit: int
    column: int
    clone: int
    clone3: int
    kill: int
    tgkill: int
    prlimit64: int
    sched_setaffinity: int
    ioctl: int


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 0, 56, 435, 62, 234, 302, 203, 16),
    "aarch64": _Machine(0xC00000B7, 1, 220, 435, 129, 131, 261, 122, 29),
}


def is_supported() -> bool:
    """Return whether the tables know this machine."""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def program(machine_name: str, process: int, *, shared_files: bool) -> bytes:
    """Return the filter as the kernel reads it.

    Parameters
    ----------
    machine_name
        ``x86_64`` or ``aarch64``.
    process
        The process that the filter is for: the one it may signal.
    shared_files
        Whether the machine's own files are in sight: their modes, owners and times are then protected too.
    """
    machine = _MACHINES[machine_name]
    table = {**_DENIED, **(_DENIED_ON_SHARED_FILES if shared_files else {})}
    numbers = sorted(n for pair in table.values() if (n := pair[machine.column]) is not None)
    steps = [
        _step(_LOAD, _OFFSET_ARCHITECTURE),
        _step(_JUMP_EQUAL, machine.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _OFFSET_NUMBER),
        *_when(_JUMP_AT_LEAST, _X32_BIT, _failing(errno.EPERM)),
        *_when(_JUMP_AT_LEAST, _FIRST_UNKNOWN, _failing(errno.ENOSYS)),
        *_when(_JUMP_EQUAL, machine.clone3, _failing(errno.ENOSYS)),
        *(step for number in numbers for step in _when(_JUMP_EQUAL, number, _failing(errno.EPERM))),
        *_deny_if(machine.clone, 0, _JUMP_BITS, _NEW_NAMESPACES),
        *_deny_if(machine.ioctl, 1, _JUMP_EQUAL, _TIOCSTI),
        *_allow_only(machine.kill, 0, [process]),
        *_allow_only(machine.tgkill, 0, [process]),
        *_allow_only(machine.prlimit64, 0, [0, process]),
        *_allow_only(machine.sched_setaffinity, 0, [0, process]),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def restrict(*, shared_files: bool) -> None:
    """Put the filter on this process, for good.

    Raises
    ------
    OSError
        The kernel refuses it.
    """
    filter_bytes = program(platform.machine(), os.getpid(), shared_files=shared_files)
    buffer = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(filter_bytes) // 8, ctypes.addressof(buffer)), 16
    )
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _prctl(option: int, first: int, second: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if libc.prctl(ctypes.c_int(option), *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def _step(code: int, value: int, on_true: int = 0, on_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, on_true, on_false, value)


def _failing(code: int) -> bytes:
    return _step(_RETURN, _ERRNO | code)


def _when(jump: int, value: int, then: bytes) -> Iterable[bytes]:
    return _step(jump, value, 0, 1), then


def _deny_if(number: int, index: int, jump: int, value: int) -> Iterable[bytes]:
    """Deny call `number` when the low half of an argument matches `value`."""
    yield _step(_JUMP_EQUAL, number, 0, 4)
    yield _step(_LOAD, _OFFSET_ARGUMENTS + 8 * index)
    yield from _when(jump, value, _failing(errno.EPERM))
    yield _step(_LOAD, _OFFSET_NUMBER)


def _allow_only(number: int, index: int, values: Sequence[int]) -> Iterable[bytes]:
    """Deny call `number` unless the low half of an argument is one of `values`."""
    yield _step(_JUMP_EQUAL, number, 0, len(values) + 3)
    yield _step(_LOAD, _OFFSET_ARGUMENTS + 8 * index)
    for position, value in enumerate(values):
        yield _step(_JUMP_EQUAL, value, len(values) - position, 0)
    yield _failing(errno.EPERM)
    yield _step(_LOAD, _OFFSET_NUMBER)
