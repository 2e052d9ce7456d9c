"""The API connection when the other side is absent, silent, senseless or says no."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from skerry.client import connection as connecting
from skerry.client.connection import Connection, find
from skerry.errors import ClientError, NotFound, Refused, Unavailable
from skerry.protocol import api


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Answer every request in one way, as no real node does, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status_of(url: str) -> api.Status:
    return Connection(url, "token", timeout_seconds=1.0).get("/status", api.Status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused), (401, Refused), (403, Refused), (404, NotFound), (409, Refused), (413, Refused),
        (422, Refused), (429, Refused), (500, Unavailable), (503, Unavailable),
    ],
)  # fmt: skip
def test_a_problem_keeps_its_five_parts(status: int, kind: type[ClientError]) -> None:
    problem = api.Problem("about:blank", "It is so", status, "E-X", "here", "because", "Do that")
    with answering(status, msgspec.json.encode(problem)) as url, pytest.raises(kind) as caught:
        status_of(url)
    assert caught.value.parts() == {
        "code": "E-X", "what": "It is so", "where": "here", "why": "because", "todo": "Do that",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b'{"title": 1}', b"\xff\xfe", b"x" * 10_000])
def test_an_error_that_is_no_problem_is_still_one(body: bytes) -> None:
    with answering(502, body) as url, pytest.raises(Unavailable) as caught:
        status_of(url)
    assert caught.value.code == "E-NODE-ANSWER"
    assert len(caught.value.why) <= 2000


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"name": 3}', json.dumps({"name": "x"}).encode()])
def test_a_senseless_answer_is_no_result(body: bytes) -> None:
    with answering(200, body) as url, pytest.raises(Unavailable) as caught:
        status_of(url)
    assert caught.value.code == "E-NODE-ANSWER"


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ANSWER_BYTES_MAX", 1000)
    with answering(200, b" " * 1001) as url, pytest.raises(Unavailable, match="longer than 1000 bytes"):
        status_of(url)


def test_nobody_there_and_nobody_speaking_say_how_to_start_a_node() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Unavailable) as silent:
            status_of(url)
    with pytest.raises(Unavailable) as absent:
        status_of(url)
    assert silent.value.code == absent.value.code == "E-NODE-SILENT"
    assert "skerry serve" in absent.value.todo
    assert absent.value.where == url


@pytest.mark.parametrize("url", ["", "ftp://x", "file:///etc/passwd", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        Connection(url, "")
    assert caught.value.code == "E-NODE-URL"


def test_a_folder_without_a_running_node_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        find(tmp_path)
    assert caught.value.code == "E-NODE-ABSENT"
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"no json", b"\xff"])
def test_an_unreadable_endpoint_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "api.json").write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        find(tmp_path)
    assert caught.value.code == "E-NODE-FILE"
