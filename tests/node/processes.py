"""Real node processes for tests: own folders, free ports, bounded waits, and always an end."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import numpy as np

from skerry.node.folder import Folder
from skerry.node.keys import initialise
from skerry.protocol.api import (
    API_PREFIX,
    BlobReceipt,
    Endpoint,
    Learnwares,
    Peers,
    PublishReceipt,
    PublishRequest,
    SearchAnswer,
    SearchRequest,
    Status,
)
from skerry.spec import Features, Rkme, SemanticSpec, Specification, fit_table
from tests.node.nursery import Process, nursery

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 8.0
POLL_SECONDS = 0.02

Answer = TypeVar("Answer")


class HttpError(AssertionError):
    """An answer that is no success."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body.decode(errors='replace')}")
        self.status = status
        self.problem: dict[str, Any] = json.loads(body or b"{}")


class NodeProcess:
    """One daemon, with calls to its local API.

    Parameters
    ----------
    folder, name
        The node's folder, and what it calls itself.
    forked
        Whether the daemon is forked by the nursery instead of being started as a command.
    """

    def __init__(self, folder: Path, name: str, *, forked: bool = False) -> None:
        self.folder = folder
        self._forked = forked
        self.name = name
        self.log = folder.with_suffix(".log")
        self.process: Process | None = None
        self.endpoint: Endpoint | None = None
        self.environment: dict[str, str] = {}
        """What is added to the daemon's environment."""

    def init(self) -> None:
        """Make its keys and charter; what `init` does, without the start of another process."""
        initialise(Folder(self.folder), self.name)

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            self._command(*arguments),
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            env={**daemon_environment(), **(environment or {})},
            check=False,
        )

    def start(self, *, bootstrap: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        """Start the daemon and wait until it serves."""
        self.begin(bootstrap=bootstrap, options=options)
        self.wait_ready()

    def begin(
        self,
        *,
        bootstrap: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        file_bytes_max: int = resource.RLIM_INFINITY,
    ) -> None:
        """Start the daemon; ``file_bytes_max`` bounds the size of the files that it can write."""
        arguments = ["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", *options]
        for address in bootstrap:
            arguments += ["--bootstrap", address]
        given = {**daemon_environment(), **self.environment}
        # What acts on the start of a process, such as a library to be preloaded, needs a new one.
        if self._forked and not any(name.startswith(("LD_", "PYTHON")) for name in self.environment):
            command = self._command(*arguments)[3:]
            self.process = nursery().fork(command, self.log, given, file_bytes_max)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(*arguments),
                stdout=log,
                stderr=log,
                env=given,
                start_new_session=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max,) * 2),
            )

    def wait_ready(self, seconds: float = START_SECONDS_MAX) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            try:
                endpoint = msgspec.json.decode((self.folder / "api.json").read_bytes(), type=Endpoint)
            except (FileNotFoundError, msgspec.DecodeError):
                endpoint = None
            if endpoint is not None and endpoint.pid == self.process.pid:
                self.endpoint = endpoint
                return
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"not ready in time: {self.said()}")

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """End it with SIGKILL, if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS_MAX)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # The local API.

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        scope: str = "admin",
        headers: dict[str, str] | None = None,
        prefix: str = API_PREFIX,
    ) -> bytes:
        """Return the body of a successful answer; raise :class:`HttpError` otherwise."""
        assert self.endpoint is not None
        connection = self._connection()
        token = {"Authorization": f"Bearer {self.endpoint.tokens[scope]}"} if scope else {}
        try:
            connection.request(method, prefix + path, body or None, {**token, **(headers or {})})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise HttpError(response.status, answer)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        assert self.endpoint is not None
        return http.client.HTTPConnection(urlsplit(self.endpoint.url).netloc, timeout=30)

    def get(self, path: str, kind: type[Answer]) -> Answer:
        return msgspec.json.decode(self.request("GET", path), type=kind)

    def status(self) -> Status:
        return self.get("/status", Status)

    def peers(self) -> Peers:
        return self.get("/peers", Peers)

    def learnwares(self) -> Learnwares:
        return self.get("/learnwares", Learnwares)

    def upload(self, blob: bytes) -> BlobReceipt:
        return msgspec.json.decode(self.request("POST", "/blobs", blob), type=BlobReceipt)

    def publish(
        self, slug: str, specification: Specification, package: bytes, **options: Any
    ) -> PublishReceipt:
        request = PublishRequest(
            slug,
            self.upload(specification.to_bytes()).root,
            self.upload(package).root,
            options.pop("lane", "python"),
            **options,
        )
        return self.publish_request(request)

    def publish_request(self, request: PublishRequest) -> PublishReceipt:
        answer = self.request("POST", "/learnwares", msgspec.json.encode(request))
        return msgspec.json.decode(answer, type=PublishReceipt)

    def withdraw(self, slug: str) -> PublishReceipt:
        return msgspec.json.decode(self.request("DELETE", f"/learnwares/{slug}"), type=PublishReceipt)

    def search(self, **fields: Any) -> SearchAnswer:
        request = msgspec.json.encode(SearchRequest(**fields))
        return msgspec.json.decode(self.request("POST", "/search", request), type=SearchAnswer)

    @property
    def bootstrap(self) -> str:
        return self.status().bootstrap

    def _command(self, verb: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "skerry.node", verb, "--folder", str(self.folder), *arguments]


@contextmanager
def nodes(root: Path, *names: str) -> Iterator[list[NodeProcess]]:
    """Give initialised nodes that are not started yet, and kill whatever runs at the end."""
    made = [NodeProcess(root / name.lower(), name, forked=True) for name in names]
    try:
        for node in made:
            node.init()
        yield made
    finally:
        for node in made:
            node.kill()


def eventually(what: str, condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until `condition` holds, and fail with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def rkme(seed: int, *, shift: float = 0.0, rows: int = 200, columns: int = 3) -> Rkme:
    """Return a fitted specification of normal rows around `shift`."""
    rows_drawn = np.random.default_rng(seed).normal(shift, 1.0, (rows, columns))
    return fit_table(rows_drawn)


def specification(
    seed: int, *, shift: float = 0.0, name: str = "Ward model", **semantic: Any
) -> Specification:
    """Return a whole specification of a classifier."""
    fitted = rkme(seed, shift=shift)
    described = {str(index): f"column {index}" for index in range(fitted.dimension)}
    fields = {
        "data": "Table",
        "task": "Classification",
        "library": "Scikit-learn",
        "scenario": ("Health",),
        "license": "MIT",
        "name": name,
        "description": f"{name} of seed {seed}",
        "input": Features(fitted.dimension, described),
        "output": Features(2, {"0": "well", "1": "ill"}),
        **semantic,
    }
    return Specification(SemanticSpec(**fields), fitted)


def daemon_environment() -> dict[str, str]:
    """Return the environment that daemons get."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SKERRY_")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
