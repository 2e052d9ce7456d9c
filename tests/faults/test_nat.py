"""A node with connections to another LAN only because it opened them: nothing listens where others are."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.faults.cluster import PORT, Host
from tests.faults.lab import inside, lab, reason_to_skip
from tests.node.processes import eventually, rkme, specification
from tests.tree import ROOT

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.processes,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()),
]


def test_a_node_that_nobody_can_dial_is_found_and_serves(tmp_path: Path) -> None:
    with lab(2) as network:
        public = Host(tmp_path / "public", "public", network, 0)
        walled = Host(tmp_path / "walled", "walled", network, 1)
        try:
            for host in (public, walled):
                host.init()
                host.environment["PYTHONPATH"] = str(ROOT)
            public.start()
            walled.environment["SKERRY_NODE__DIALABLE"] = "false"
            walled.start(bootstrap=(public.bootstrap,), options=("--listen", "127.0.0.1:0"))
            with inside(public.namespace), pytest.raises(ConnectionRefusedError):  # the control
                socket.create_connection((walled.address, PORT), 2)
            walled.publish("ward", specification(1), b"package" * 100_000)
            eventually("told", lambda: public.status().cards == 1)
            (hit,) = public.search(requirement=rkme(2).to_bytes()).hits
            assert hit.mmd2 is not None  # its specification came over the connection that it opened
            assert hit.sources[0].prefix == f"/relay/{walled.status().node_key}"
        finally:
            for host in (public, walled):
                host.kill()
