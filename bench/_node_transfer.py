"""Serving beside nginx, and fetching beside curl: the same file, the same reader or server, in turns.

The blob handler runs in a process of its own on a loopback listener, as in the node; nginx beside it with one
worker, ``sendfile`` and the same certificate. curl reads from both and throws away. The verifying client and
curl fetch from the same node over TLS, each to a file. Rounds alternate, and the best of each counts: what
another program of the machine takes away makes one slower, never faster. What ``sha256sum`` makes of the file
is printed beside: it bounds every client that verifies.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import functools
import os
import shutil
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
"""Server -> best throughput in MiB/s, and best MiB a processor second."""


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
    file = folder / "file"
    with file.open("wb") as target:
        for _ in range(size // MIB):
            target.write(os.urandom(MIB))
    tree = store.put_file(file)
    name = tree.root.hex()
    www = folder / "www" / "blob" / name
    www.parent.mkdir(parents=True)
    os.link(store.path(tree.root), www)
    with _nginx(folder, keys) as nginx, _node(keys, store) as node:
        found = {kind: _reading(kind, node, nginx, name, rounds, size) for kind in ("plain", "tls")}
        pin = certificate_hash(keys.tls_certificate).hex()
        source = Source("00" * 32, [node.tls], "pinned", pin)
        fetched = _fetching(folder, tree.root, size, source, node.tls, rounds)
        hashed = _best(lambda: _run("sha256sum", str(file)), rounds, size)
    params: dict[str, Any] = {"MiB": size // MIB, "rounds": rounds}
    note = f"sha256sum reads {hashed:.0f} MiB/s on one core"
    return [
        *_serving_rows("plain", found["plain"], params, ">= 0.9"),
        *_serving_rows("tls", found["tls"], params, ">= 0.5"),
        Row(
            measure="fetch_vs_curl",
            value=fetched["fetch"],
            unit="MiB/s",
            params=params,
            peer="curl",
            peer_value=fetched["curl"],
            goal=">= 0.6",
            goal_of="ratio",
            note=note,
        ),
        Row("sha256sum_throughput", hashed, "MiB/s", params),
    ]


def _serving_rows(kind: str, found: Figures, params: dict[str, Any], goal: str) -> list[Row]:
    """Return throughput, which has the goal, and what a second of the server's processor time sends."""
    (node, node_cpu), (nginx, nginx_cpu) = found["node"], found["nginx"]
    return [
        Row(f"serve_vs_nginx_{kind}", node, "MiB/s", params, "nginx", nginx, goal, "ratio"),
        Row(f"serve_vs_nginx_{kind}_cpu", node_cpu, "MiB/cpu s", params, "nginx", nginx_cpu),
    ]


def _reading(kind: str, node: Server, nginx: Server, name: str, rounds: int, size: int) -> Figures:
    """Have curl read from each server in turns; return its best throughput and MiB a processor second."""
    best = {"node": (0.0, 0.0), "nginx": (0.0, 0.0)}
    for _ in range(rounds):
        for label, server in (("node", node), ("nginx", nginx)):
            address = f"http://{server.plain}" if kind == "plain" else f"https://{server.tls}"
            command = ("curl", "-sSfk", "-o", "/dev/null", f"{address}/blob/{name}")
            before = server.cpu_seconds()
            once = _best(functools.partial(_run, *command), 1, size)
            spent = max(server.cpu_seconds() - before, 1 / os.sysconf("SC_CLK_TCK"))
            best[label] = max(best[label][0], once), max(best[label][1], size / MIB / spent)
    return best


def _fetching(
    folder: Path, root: bytes, size: int, source: Source, tls: str, rounds: int
) -> dict[str, float]:
    """Return the best throughput of the verifying client and of curl from the same server, both to a file."""
    best = {"fetch": 0.0, "curl": 0.0}
    cache, target = folder / "cache", folder / "fetched"
    curl = ("curl", "-sSfk", "-o", str(target), f"https://{tls}/blob/{root.hex()}")
    for _ in range(rounds):
        shutil.rmtree(cache, ignore_errors=True)
        once = _best(lambda: fetch(BlobStore(cache), root, size, [source]), 1, size)
        best["fetch"] = max(best["fetch"], once)
        best["curl"] = max(best["curl"], _best(lambda: _run(*curl), 1, size))
        target.unlink()
    return best


def _best(work: Callable[[], object], rounds: int, size: int) -> float:
    """Return the best throughput of `work` on `size` bytes, MiB/s."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return size / MIB / min(seconds)


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
