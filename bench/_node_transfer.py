"""Serving beside nginx, and fetching beside curl: the same file, the same reader or server, in turns.

The blob handler runs in a process of its own on a loopback listener, as in the node; nginx beside it with one
worker, ``sendfile`` and the same certificate. curl reads from both and throws away: one large file, or a file
of 64 MiB several times over one connection. The verifying client and curl fetch from the same node over TLS,
each to a file. Who is first changes with every round, and the median of each counts. What ``sha256sum`` makes
of the file is printed beside: it bounds every client that verifies.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.report import Row
from skerry.client.fetch import fetch
from skerry.node.folder import Folder
from skerry.node.network.listening import address_of, bind, serving
from skerry.node.network.tls import certificate_hash, make_certificate, server_context
from skerry.node.transfer.blobs_http import BlobRoutes
from skerry.package.blobs import BlobStore
from skerry.protocol.api import Source

MIB = 1 << 20
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{plain}; root {folder}/www; }}
  server {{
    listen 127.0.0.1:{tls} ssl; root {folder}/www; ssl_protocols TLSv1.3;
    ssl_certificate {certificate}; ssl_certificate_key {key};
  }}
}}
"""


Figures = dict[str, tuple[float, float]]
"""Server -> median throughput in MiB/s, and median MiB a processor second."""
TLS_BYTES_MAX = 256 * MIB
"""What is sent over TLS: a few seconds, of which starting takes no part worth naming."""
SMALL_BYTES = 64 * MIB
SMALL_TIMES = 8
"""How often the small file is read over one connection."""


@dataclass(frozen=True)
class Server:
    """A server under test."""

    plain: str
    tls: str
    process: int
    """Its main process."""

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        main = psutil.Process(self.process)
        times = [one.cpu_times() for one in (main, *main.children())]
        return sum(one.user + one.system for one in times)


def rows(options: argparse.Namespace) -> list[Row]:
    size = 128 * MIB if options.quick else 1024 * MIB
    rounds = 3 if options.quick else 7
    with tempfile.TemporaryDirectory(prefix="bench-node-") as name:
        return _measured(Path(name), size, rounds)


def _measured(folder: Path, size: int, rounds: int) -> list[Row]:
    keys = _keys(folder / "node")
    store = BlobStore(folder / "blobs")
    tls_bytes = min(size, TLS_BYTES_MAX)
    large, middle, small = (_add_file(store, folder, one) for one in (size, tls_bytes, SMALL_BYTES))
    with _nginx(folder, keys) as nginx, _node(keys, store) as node:
        plain = _reading("plain", node, nginx, large.hex(), rounds, size)
        again = _reading("plain", node, nginx, small.hex(), rounds, SMALL_BYTES, SMALL_TIMES)
        tls = _reading("tls", node, nginx, middle.hex(), rounds, tls_bytes)
        pin = certificate_hash(keys.tls_certificate).hex()
        source = Source("00" * 32, [node.tls], "pinned", pin)
        fetched = _fetching(folder, store, middle, source, node.tls, rounds)
    params: dict[str, Any] = {"MiB": tls_bytes // MIB, "rounds": rounds}
    return [
        *_serving_rows("plain", plain, {"MiB": size // MIB, "rounds": rounds}, ">= 0.9"),
        *_serving_rows("plain_64mib", again, {"MiB": f"{SMALL_TIMES}x64", "rounds": rounds}, ">= 0.9"),
        *_serving_rows("tls", tls, params, ">= 0.5"),
        Row(
            measure="fetch_vs_curl",
            value=fetched["fetch"],
            unit="MiB/s",
            params=params,
            peer="curl",
            peer_value=fetched["curl"],
            goal=">= 0.6",
            goal_of="ratio",
            note=f"sha256sum reads {fetched['sha256sum']:.0f} MiB/s on one core",
        ),
        Row("sha256sum_throughput", fetched["sha256sum"], "MiB/s", params),
    ]


def _add_file(store: BlobStore, folder: Path, size: int) -> bytes:
    """Put a random file where the node and nginx find it, and return its name."""
    file = folder / "file"
    with file.open("wb") as target:
        for _ in range(size // MIB):
            target.write(os.urandom(MIB))
    root = store.put_file(file).root
    www = folder / "www" / "blob" / root.hex()
    www.parent.mkdir(parents=True, exist_ok=True)
    os.link(store.path(root), www)
    file.unlink()
    return root


def _serving_rows(kind: str, found: Figures, params: dict[str, Any], goal: str) -> list[Row]:
    """Return throughput, which has the goal, and what a second of the server's processor time sends."""
    (node, node_cpu), (nginx, nginx_cpu) = found["node"], found["nginx"]
    return [
        Row(f"serve_vs_nginx_{kind}", node, "MiB/s", params, "nginx", nginx, goal, "ratio"),
        Row(f"serve_vs_nginx_{kind}_cpu", node_cpu, "MiB/cpu s", params, "nginx", nginx_cpu),
    ]


def _reading(
    kind: str, node: Server, nginx: Server, name: str, rounds: int, size: int, times: int = 1
) -> Figures:
    """Have curl read from each server in turns; return throughput and MiB a processor second, medians."""
    found: dict[str, list[tuple[float, float]]] = {"node": [], "nginx": []}
    for label, server in _turns({"node": node, "nginx": nginx}, rounds):
        address = f"http://{server.plain}" if kind == "plain" else f"https://{server.tls}"
        command = ("curl", "-sSfk", *("-o", "/dev/null", f"{address}/blob/{name}") * times)
        before = server.cpu_seconds()
        seconds = _seconds(functools.partial(_run, *command))
        spent = max(server.cpu_seconds() - before, 1 / os.sysconf("SC_CLK_TCK"))
        found[label].append((times * size / MIB / seconds, times * size / MIB / spent))
    return {
        label: (statistics.median(rate for rate, _ in those), statistics.median(cpu for _, cpu in those))
        for label, those in found.items()
    }


def _fetching(
    folder: Path, store: BlobStore, root: bytes, source: Source, tls: str, rounds: int
) -> dict[str, float]:
    """Return median throughputs: the verifying client, curl from the same server to a file, and sha256sum."""
    size = store.path(root).stat().st_size
    cache, target = folder / "cache", folder / "fetched"
    curl = ("curl", "-sSfk", "-o", str(target), f"https://{tls}/blob/{root.hex()}")
    works: dict[str, Callable[[], object]] = {
        "fetch": lambda: fetch(BlobStore(cache), root, size, [source]),
        "curl": lambda: _run(*curl),
        "sha256sum": lambda: _run("sha256sum", str(store.path(root))),
    }
    found: dict[str, list[float]] = {label: [] for label in works}
    for label, work in _turns(works, rounds):
        shutil.rmtree(cache, ignore_errors=True)
        target.unlink(missing_ok=True)
        found[label].append(size / MIB / _seconds(work))
    return {label: statistics.median(those) for label, those in found.items()}


def _turns(those: dict[str, Any], rounds: int) -> Iterator[tuple[str, Any]]:
    """Yield all items in every round, each round beginning with another."""
    items = list(those.items())
    for at in range(rounds):
        first = at % len(items)
        yield from items[first:] + items[:first]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _keys(root: Path) -> Folder:
    """Make a certificate as a node has it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder = Folder(root)
    folder.keys.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    folder.tls_key.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    folder.tls_certificate.write_bytes(make_certificate(key, dt.datetime.now(dt.UTC)))
    return folder


@contextmanager
def _nginx(folder: Path, keys: Folder) -> Iterator[Server]:
    """Run nginx on two free ports: plain and TLS."""
    ports = []
    for _ in range(2):
        with bind("127.0.0.1", 0) as free:
            ports.append(free.getsockname()[1])
    folder.chmod(0o755)
    for path in (folder / "www").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    text = NGINX.format(
        folder=folder, plain=ports[0], tls=ports[1], certificate=keys.tls_certificate, key=keys.tls_key
    )
    (folder / "nginx.conf").write_text("user root;\n" * (os.geteuid() == 0) + text)
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "nginx is needed; on Debian: apt-get install nginx-light"
    process = subprocess.Popen([program, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"])
    try:
        time.sleep(1.0)
        yield Server(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _node(keys: Folder, store: BlobStore) -> Iterator[Server]:
    """Run the blob handler in a process of its own: plain and TLS."""
    command = [sys.executable, "-m", "bench._node_transfer", str(keys.root), str(store.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        plain, tls = process.stdout.readline().split()
        yield Server(plain, tls, process.pid)
    finally:
        process.stdin.close()
        process.wait()


async def _serve(keys: Folder, store: BlobStore) -> None:
    from aiohttp import web

    with bind("127.0.0.1", 0) as plain, bind("127.0.0.1", 0) as tls:
        applications = []
        for _ in range(2):
            applications.append(web.Application())
            BlobRoutes(store, lambda *_: True).add_to(applications[-1])
        async with serving(applications[0], plain), serving(applications[1], tls, server_context(keys)):
            print(address_of(plain), address_of(tls), flush=True)
            await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Serve until standard input ends."""
    import uvloop

    keys, store = Folder(Path(sys.argv[1])), BlobStore(Path(sys.argv[2]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(keys, store))


if __name__ == "__main__":
    main()
