"""What an operator has of a real node: tokens, audit, events, figures, and calm under slow callers."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from skerry.protocol.api import Audit, TokenGrant, Tokens
from tests.node.processes import HttpError, NodeProcess, eventually, nodes, specification

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with nodes(tmp_path_factory.mktemp("operating"), "Cleveland") as (node,):
        node.start()
        yield node
        assert node.stop() == 0
        assert "Traceback" not in node.said()


def make_token(node: NodeProcess, name: str, scope: str) -> TokenGrant:
    body = json.dumps({"name": name, "scope": scope}).encode()
    return TokenGrant(**json.loads(node.request("POST", "/tokens", body)))


def status_with(node: NodeProcess, token: str, path: str = "/status") -> int:
    try:
        node.request("GET", path, scope="", headers={"Authorization": f"Bearer {token}"})
    except HttpError as error:
        return error.status
    return 200


def where(node: NodeProcess) -> str:
    assert node.endpoint is not None
    return urlsplit(node.endpoint.url).netloc


def test_a_named_token_holds_until_it_is_revoked(tmp_path: Path) -> None:
    with nodes(tmp_path, "Hungary") as (node,):
        node.start()
        grant = make_token(node, "prometheus", "search")
        assert status_with(node, grant.token) == 200
        assert status_with(node, grant.token, "/audit") == 401
        with pytest.raises(HttpError) as taken:
            make_token(node, "prometheus", "admin")
        assert taken.value.status == 409
        assert node.stop() == 0
        assert grant.token not in (node.folder / "tokens.json").read_text()
        node.start()
        assert status_with(node, grant.token) == 200
        assert [one.name for one in node.get("/tokens", Tokens).tokens] == ["prometheus"]
        node.request("DELETE", "/tokens/prometheus")
        assert status_with(node, grant.token) == 401
        with pytest.raises(HttpError) as gone:
            node.request("DELETE", "/tokens/prometheus")
        assert gone.value.status == 404
        done = [(entry.who, entry.action, entry.subject) for entry in node.get("/audit", Audit).entries]
        assert done == [
            ("session-admin", "token-made", "prometheus"),
            ("session-admin", "token-revoked", "prometheus"),
        ]


def test_what_an_owner_does_is_written_down_and_told(node: NodeProcess) -> None:
    listening = http.client.HTTPConnection(where(node), timeout=20)
    assert node.endpoint is not None
    token = {"Authorization": f"Bearer {node.endpoint.tokens['search']}"}
    listening.request("GET", "/api/v1/events?kinds=publish", headers=token)
    stream = listening.getresponse()
    assert stream.getheader("Content-Type") == "text/event-stream"
    node.publish("ward-model", specification(1), b"a package")
    node.withdraw("ward-model")
    lines = iter(lambda: stream.readline().decode().strip(), None)
    told = [
        json.loads(line.removeprefix("data: "))
        for line in _until(lines, "withdrawn")
        if line.startswith("data")
    ]
    listening.close()
    assert [(event["subject"], event["step"]) for event in told] == [
        ("ward-model", "specified"),
        ("ward-model", "durable"),
        ("ward-model", "withdrawn"),
    ]
    acts = [entry for entry in node.get("/audit", Audit).entries if entry.subject == "ward-model"]
    assert [entry.action for entry in acts] == ["published", "withdrawn"]


def _until(lines: Iterator[str], word: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line.startswith("data") and word in line:
            return


def test_lists_come_in_pages(node: NodeProcess) -> None:
    slugs = [f"paged-{letter}" for letter in "abcde"]
    for number, slug in enumerate(slugs):
        node.publish(slug, specification(number), b"a package")
    seen: list[str] = []
    cursor = ""
    while True:
        page = json.loads(node.request("GET", f"/learnwares?limit=2&cursor={cursor}"))
        assert len(page["learnwares"]) <= 2
        seen += [card["slug"] for card in page["learnwares"]]
        if not (cursor := page["next"]):
            break
    assert [slug for slug in seen if slug in slugs] == slugs
    for slug in slugs:
        node.withdraw(slug)
    for wrong in ("limit=0", "limit=1001", "limit=x"):
        with pytest.raises(HttpError) as caught:
            node.request("GET", f"/learnwares?{wrong}")
        assert caught.value.status == 400


def test_what_did_not_change_is_not_sent_again(node: NodeProcess) -> None:
    assert node.endpoint is not None
    connection = http.client.HTTPConnection(where(node), timeout=10)
    token = {"Authorization": f"Bearer {node.endpoint.tokens['search']}"}
    connection.request("GET", "/api/v1/status", headers=token)
    first = connection.getresponse()
    first.read()
    tag = first.getheader("ETag")
    assert tag
    connection.request("GET", "/api/v1/status", headers={**token, "If-None-Match": tag})
    second = connection.getresponse()
    assert (second.status, second.read(), second.getheader("ETag")) == (304, b"", tag)
    connection.request("GET", "/api/v1/status", headers={**token, "If-None-Match": '"other"'})
    assert connection.getresponse().status == 200
    connection.close()


def test_prometheus_gets_its_figures(node: NodeProcess) -> None:
    text = node.request("GET", "/metrics", scope="search", prefix="").decode()
    assert "skerry_cards 0.0" in text or "skerry_cards " in text
    assert 'skerry_api_requests_total{method="GET",route="/status",status="200"}' in text
    assert "process_resident_memory_bytes" in text
    with pytest.raises(HttpError) as caught:
        node.request("GET", "/metrics", scope="", prefix="")
    assert caught.value.status == 401


def test_guessing_tokens_is_slowed_down_and_harms_nobody(tmp_path: Path) -> None:
    with nodes(tmp_path, "Hungary") as (node,):
        node.start()
        statuses = {status_with(node, f"guess-{number}") for number in range(150)}
        assert statuses == {401, 429}
        connection = http.client.HTTPConnection(where(node), timeout=10)
        connection.request("GET", "/api/v1/status", headers={"Authorization": "Bearer guess"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Retry-After")) == (429, "1")
        connection.close()
        node.status()


def test_slow_callers_hold_up_nobody_and_are_ended(tmp_path: Path) -> None:
    """300 connections that dribble a head, a body, or nothing: the node goes on answering at once."""
    with nodes(tmp_path, "Hungary") as (node,):
        node.start()
        host, port = where(node).split(":")
        assert node.endpoint is not None
        begun = b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\n"
        token = f"Authorization: Bearer {node.endpoint.tokens['search']}\r\n".encode()
        heads = [b"", begun, begun + token + b"Content-Length: 100\r\n\r\n{"]
        slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(300)]
        try:
            for number, connection in enumerate(slow):
                connection.sendall(heads[number % len(heads)])
            times = []
            for _ in range(20):
                for connection in slow[1::3][:5]:
                    connection.sendall(b"X")
                began = time.perf_counter()
                node.status()
                times.append(time.perf_counter() - began)
            assert sorted(times)[10] < 0.25
        finally:
            for connection in slow:
                connection.close()
        eventually("the node answers", lambda: bool(node.status()))
