"""Listening sockets: what those who connect to them inherit."""

from __future__ import annotations

import socket
import sys

import pytest

from skerry.node.limits import SENDING_STALLED_SECONDS_MAX
from skerry.node.network.listening import bind


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit is Linux's")
def test_the_kernel_ends_connections_that_nobody_reads() -> None:
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            milliseconds = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert milliseconds == 1000 * SENDING_STALLED_SECONDS_MAX
