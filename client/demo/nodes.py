"""Real nodes for the demo: one process, folder and key each, on free ports of this machine.

Rules of this file:

1. Nodes get their own session, so that Ctrl-C reaches the demo alone, which then ends them in order.
2. Whoever starts a node ends it: SIGTERM first, SIGKILL when it does not drain in time. So nodes are
   started by the main thread only, where a signal can be held back until the process is known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from skerry.client.connection import read_endpoint
from skerry.client.limits import (
    DIAGNOSTIC_CHARACTERS_MAX,
    NODE_START_SECONDS_MAX,
    NODE_STOP_SECONDS_MAX,
    POLL_SECONDS,
)
from skerry.client.network import Network, connect
from skerry.errors import Unavailable
from skerry.protocol.api import ENDPOINT_FILE

_FREE_PORT: Final = "127.0.0.1:0"


class DemoNode:
    """One hospital's node.

    Parameters
    ----------
    root
        Folder for everything of this hospital: the node's folder, its tap, its log and the client's cache.
    title
        Name of the institution.
    """

    def __init__(self, root: Path, title: str) -> None:
        self.folder: Path = root / "node"
        self.tap: Path = root / "sent.tap"
        self.title = title
        self._cache = root / "cache"
        self._log = root / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(mode=0o700, parents=True)

    def init(self) -> None:
        """Begin to make keys, charter and folder."""
        with _uninterrupted():
            self._process = self._run("init", "--name", self.title)

    def start(self, bootstrap: str) -> None:
        """Begin to serve; `bootstrap` is the address of another node, or empty."""
        options = ["--listen", _FREE_PORT, "--api-listen", _FREE_PORT, "--tap", str(self.tap)]
        if bootstrap:
            options += ["--bootstrap", bootstrap]
        with _uninterrupted():
            self._process = self._run("serve", *options)

    def wait_initialised(self) -> None:
        """Wait until keys, charter and folder are made."""
        assert self._process is not None
        try:
            status = self._process.wait(NODE_START_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"`skerry init` took over {NODE_START_SECONDS_MAX:.0f} s") from error
        if status:
            raise self._failed(f"`skerry init` ended with {status}")

    def wait_serving(self, *, unsafe_models: bool = False) -> Network:
        """Return the market through this node, once it answers."""
        process = self._process
        assert process is not None
        deadline = time.monotonic() + NODE_START_SECONDS_MAX
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise self._failed(f"`skerry serve` ended with {process.returncode}")
            try:
                if read_endpoint(self.folder / ENDPOINT_FILE).pid == process.pid:
                    return connect(folder=self.folder, cache=self._cache, unsafe_models=unsafe_models)
            except Unavailable:
                pass
            time.sleep(POLL_SECONDS)
        raise self._failed(f"it did not serve within {NODE_START_SECONDS_MAX:.0f} s")

    def terminate(self) -> None:
        """Ask the node to end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Wait until the node that was asked to end has done so, and kill it when it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(NODE_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _run(self, verb: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "skerry.node", verb, "--folder", str(self.folder), *options]
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module, without a shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def _failed(self, why: str) -> Unavailable:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return Unavailable(
            "A node of the demo did not start",
            where=self.title,
            why=f"{why}; its last words: {said[-DIAGNOSTIC_CHARACTERS_MAX:]}" if said else why,
            todo="Run the demo again; if it stays so, report the last words",
            code="E-DEMO-NODE",
        )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM while a process is started, so that none runs that nobody would end."""
    waiting: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda received, _: waiting.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for received in waiting:
        signal.raise_signal(received)


def stop_all(nodes: Iterable[DemoNode]) -> None:
    """End nodes side by side, in order if they can."""
    nodes = list(nodes)
    for node in nodes:
        node.terminate()
    for node in nodes:
        node.stop()
