"""Lay out victims, run every attack in one worker, and print what happened.

Run as ``python -m tests.package.attacks.suite LEVEL``; LEVEL is A, B or none. The output is one JSON
object: attack -> what its code reported. ``attack_as`` starts this in a process of its own, as root or
as an ordinary user. An ordinary user may not be able to pass through the folder that the interpreter
lies in (such as /root), so the process then gets a mount namespace in which that folder holds the
interpreter alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from skerry.package.format import Manifest, StatisticalFile, write_package
from skerry.package.worker import Worker

MARKER = "SKERRY-SECRET-7261"
ORDINARY_USER = 1001
_ROOT = Path(__file__).parents[3]


def attack_as(user: str, level: str, seconds: float = 90) -> dict[str, str]:
    """Run the suite as ``root`` or ``ordinary`` at a level and return its report.

    Parameters
    ----------
    user
        ``ordinary`` is another user id when this process is root, and this process's own otherwise.
    """
    command = [sys.executable, "-m", "tests.package.attacks.suite", level]
    if user == "ordinary" and os.geteuid() == 0:
        command = _as_ordinary_user(command)
    result = subprocess.run(
        command,
        cwd=_ROOT,
        env={**os.environ, "SKERRY_MARKER": MARKER, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report: dict[str, str] = json.loads(result.stdout)
    return report


def _as_ordinary_user(command: list[str]) -> list[str]:
    base = Path(sys.executable).resolve().parent.parent
    script = "set -e\n"
    hidden = next((parent for parent in reversed(base.parents) if not parent.stat().st_mode & 0o001), None)
    if hidden is not None:
        script += (
            f'kept=$(mktemp -d); mount --bind "{base}" "$kept"; mount -t tmpfs -o mode=755 none "{hidden}"; '
            f'mkdir -p "{base}"; chmod -R 755 "{hidden}"; mount --bind "$kept" "{base}"\n'
        )
    script += f'exec setpriv --reuid {ORDINARY_USER} --regid {ORDINARY_USER} --clear-groups "$@"'
    return ["unshare", "--mount", "bash", "-c", script, "bash", *command]


def hostile_package(path: Path) -> Path:
    """Write the package whose model attacks."""
    source = Path(__file__).with_name("hostile_model.py").read_bytes()
    write_package(
        path,
        manifest=Manifest(lane="python"),
        files={"__init__.py": source},
        semantic=None,
        statistics=[StatisticalFile("stat.json", "RKMETableSpecification", b"{}")],
    )
    return path


def main(level: str) -> dict[str, str]:
    """Run every attack at a level, against victims that are there to be hit."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="skerry-attacks-")))
        targets = _victims(stack, folder)
        package = hostile_package(folder / "hostile.zip")
        worker = stack.enter_context(
            Worker(package, unconfined=level == "none", levels=(level,), deadline_seconds=30)  # type: ignore[arg-type] # checked by plans()
        )
        return {name: str(worker.predict([[name, target]])[0]) for name, target in targets.items()}


def _victims(stack: ExitStack, folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    secret = home / "secret"
    secret.write_text(MARKER)
    secret.chmod(0o600)
    spare = home / "spare"
    spare.write_text(MARKER)
    handle = stack.enter_context(secret.open())
    process = str(stack.enter_context(_victim_process()))
    traced = str(stack.enter_context(_victim_process()))
    path_socket = stack.enter_context(_answering(socket.AF_UNIX, str(folder / "socket")))
    abstract = stack.enter_context(_answering(socket.AF_UNIX, f"\x00skerry-attacks-{os.getpid()}"))
    return {
        "read a secret in the home folder": str(secret),
        "write to the home folder": str(home),
        "write to the model's folder": "",
        "open a secret to everybody": str(secret),
        "cut a file off": str(spare),
        "connect by TCP": stack.enter_context(_answering(socket.AF_INET, ("127.0.0.1", 0))),
        "send by UDP": stack.enter_context(_echoing()),
        "ask a name server": stack.enter_context(_echoing()),
        "connect to a Unix socket": path_socket,
        "connect to an abstract socket": abstract.removeprefix("\x00"),
        "signal another process": process,
        "trace another process": traced,
        "read the caller's environment": f"{os.getpid()} {MARKER}",
        "reserve too much memory": "",
        "start too many processes": "",
        "write a huge file": "",
        "mount a file system": "",
        "make a user namespace": "",
        "see other processes": str(os.getpid()),
        "read the caller's descriptors": f"{os.getpid()} {handle.fileno()}",
        "leave the process group": "",
        "make shared memory": "",
        "watch the home folder": str(home),
    }


@contextmanager
def _victim_process() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(120)"])
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def _answering(family: int, address: Any) -> Iterator[str]:
    """Give the address of a stream server that greets whoever connects."""

    def greet() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"hello")

    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        with _until_closed(server, greet):
            name = server.getsockname()
            yield str(name[1]) if family == socket.AF_INET else str(address)


@contextmanager
def _echoing() -> Iterator[str]:
    """Give the port of a datagram server that returns what it gets."""

    def echo() -> None:
        data, sender = server.recvfrom(512)
        server.sendto(data, sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with _until_closed(server, echo):
            yield str(server.getsockname()[1])


@contextmanager
def _until_closed(server: socket.socket, serve: Callable[[], None]) -> Iterator[None]:
    """Serve from a thread that notices within a moment that it is no longer wanted."""
    stop = threading.Event()
    server.settimeout(0.1)

    def loop() -> None:
        while not stop.is_set():
            try:
                serve()
            except OSError:
                continue

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
