"""The filter, run by an interpreter of its own instruction set: what each call gets, on both machines."""

import errno
import platform
import struct
import subprocess
import sys

import pytest

from skerry.package import seccomp

MACHINES = ["x86_64", "aarch64"]
PROCESS = 4242
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NAMES = {
    "x86_64": ("read", "socket", "kill", "chmod", "ptrace", "clone", "clone3", "ioctl"),
    "aarch64": ("read", "socket", "kill", "fchmodat", "ptrace", "clone", "clone3", "ioctl"),
}
NUMBERS = {"x86_64": (0, 41, 62, 90, 101, 56, 435, 16), "aarch64": (63, 198, 129, 53, 117, 220, 435, 29)}
CALLS = {machine: dict(zip(NAMES[machine], NUMBERS[machine], strict=True)) for machine in MACHINES}


def run(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Interpret a classic BPF program on one system call, and return the filter's verdict."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    steps = list(struct.iter_unpack("<HBBI", program))
    at, value = 0, 0
    while True:
        code, on_true, on_false, operand = steps[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x06:
            return int(operand)
        else:
            matched = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            at += on_true if matched else on_false


def verdict(machine: str, call: str, *arguments: int, shared_files: bool = True) -> int:
    program = seccomp.program(machine, PROCESS, shared_files=shared_files)
    return run(program, AUDIT[machine], CALLS[machine][call], *arguments)


def denied(code: int) -> int:
    return 0x00050000 | code


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_get_what_the_table_says(machine: str) -> None:
    assert verdict(machine, "read") == ALLOWED
    assert verdict(machine, "socket") == denied(errno.EPERM)
    assert verdict(machine, "ptrace") == denied(errno.EPERM)
    assert verdict(machine, "clone3") == denied(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_are_looked_at(machine: str) -> None:
    assert verdict(machine, "kill", PROCESS, 9) == ALLOWED
    for other in (1, 0, 2**32 - 1, PROCESS + 1):
        assert verdict(machine, "kill", other, 9) == denied(errno.EPERM)
    assert verdict(machine, "clone", 0x003D0F00) == ALLOWED
    for namespace in (0x20000, 0x10000000, 0x20000000, 0x40000000, 0x80):
        assert verdict(machine, "clone", namespace | 17) == denied(errno.EPERM)
    assert verdict(machine, "ioctl", 0, 0x5401) == ALLOWED
    assert verdict(machine, "ioctl", 0, 0x5412) == denied(errno.EPERM)


@pytest.mark.parametrize(("machine", "call"), [("x86_64", "chmod"), ("aarch64", "fchmodat")])
def test_modes_are_protected_where_the_machines_files_are_in_sight(machine: str, call: str) -> None:
    assert verdict(machine, call) == denied(errno.EPERM)
    assert verdict(machine, call, shared_files=False) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_other_entries_and_unknown_calls_are_closed(machine: str) -> None:
    program = seccomp.program(machine, PROCESS, shared_files=True)
    assert run(program, 0x40000003, 0) == KILLED
    assert run(program, AUDIT[machine], 0x40000000 | 41) == denied(errno.EPERM)
    for number in (463, 500, 2**20):
        assert run(program, AUDIT[machine], number) == denied(errno.ENOSYS)


@pytest.mark.sandbox
def test_the_kernel_takes_the_filter() -> None:
    code = (
        "import os, signal, socket\nfrom skerry.package import seccomp\nseccomp.restrict(shared_files=True)\n"
        "signal_parent, cut = lambda: os.kill(os.getppid(), 0), lambda: os.truncate('/x', 0)\n"
        "for deed in (socket.socket, os.setsid, signal_parent, cut):\n"
        "    try: deed()\n    except PermissionError: continue\n    raise SystemExit('it worked')\n"
        "os.kill(os.getpid(), 0)\n"
        "import threading; thread = threading.Thread(target=print); thread.start(); thread.join()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_this_machine_is_known() -> None:
    assert seccomp.is_supported() == (sys.platform == "linux" and platform.machine() in MACHINES)
