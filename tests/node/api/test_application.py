"""The local API keeps to its contract: scopes, origins, bounds, and problems instead of surprises."""

from __future__ import annotations

import http.client
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from skerry.protocol.api import Problem
from tests.node.processes import HttpError, NodeProcess, nodes, rkme

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with nodes(tmp_path_factory.mktemp("api"), "Cleveland") as (node,):
        node.start()
        yield node
        assert node.stop() == 0
        assert "Traceback" not in node.said()


def refusal(
    node: NodeProcess, method: str, path: str, body: bytes = b"", **options: object
) -> tuple[int, str]:
    """Return status and code of an answer that must be a whole problem."""
    with pytest.raises(HttpError) as caught:
        node.request(method, path, body, **options)  # type: ignore[arg-type]
    problem = Problem(**caught.value.problem)
    assert problem.status == caught.value.status
    assert problem.type == f"urn:skerry:error:{problem.code}"
    assert problem.title
    return problem.status, problem.code


def answer_status(node: NodeProcess, method: str, path: str, scope: str) -> int:
    try:
        node.request(method, path, scope=scope)
    except HttpError as error:
        return error.status
    return 200


def test_health_needs_no_token(node: NodeProcess) -> None:
    assert node.request("GET", "/healthz", scope="", prefix="") == b"ok\n"


def test_only_the_owner_can_read_the_tokens(node: NodeProcess) -> None:
    assert stat.S_IMODE((node.folder / "api.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("method", "path", "enough"),
    [
        ("GET", "/status", "search"),
        ("POST", "/search", "search"),
        ("POST", "/blobs", "publish"),
        ("POST", "/learnwares", "publish"),
        ("DELETE", "/learnwares/x", "publish"),
        ("POST", "/peers", "admin"),
    ],
)
def test_every_route_wants_its_scope(node: NodeProcess, method: str, path: str, enough: str) -> None:
    assert refusal(node, method, path, scope="") == (401, "E-API-TOKEN")
    wrong = {"Authorization": "Bearer nothing"}
    assert refusal(node, method, path, scope="", headers=wrong) == (401, "E-API-TOKEN")
    scopes = ["search", "publish", "admin"]
    for scope in scopes[: scopes.index(enough)]:
        assert refusal(node, method, path, scope=scope) == (401, "E-API-TOKEN")
    for scope in scopes[scopes.index(enough) :]:
        assert answer_status(node, method, path, scope) != 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_are_refused_even_with_a_token(node: NodeProcess, headers: dict[str, str]) -> None:
    assert refusal(node, "GET", "/status", headers=headers) == (401, "E-API-ORIGIN")


def test_its_own_names_are_taken(node: NodeProcess) -> None:
    assert node.endpoint is not None
    port = urlsplit(node.endpoint.url).port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        node.request("GET", "/status", headers={"Host": host, "Origin": f"http://{host}"})


def test_what_cannot_be_understood_is_named(node: NodeProcess) -> None:
    assert refusal(node, "GET", "/nothing") == (404, "E-API-ROUTE")
    assert refusal(node, "PUT", "/status") == (405, "E-API-ROUTE")
    assert refusal(node, "POST", "/search", b"{") == (400, "E-API-REQUEST")
    assert refusal(node, "POST", "/search", b'{"k": "ten"}') == (400, "E-API-REQUEST")
    assert refusal(node, "POST", "/search", b'{"k": 0}') == (400, "E-API-SEARCH")
    assert refusal(node, "POST", "/search", b'{"timeout_seconds": -1}') == (400, "E-API-SEARCH")
    assert refusal(node, "POST", "/search", b'{"requirement": "AAAA"}')[0] == 422
    assert refusal(node, "GET", "/cards/xyz") == (400, "E-API-NAME")
    assert refusal(node, "GET", "/cards/" + "0" * 64) == (404, "E-NOTFOUND-CARD")
    assert refusal(node, "GET", "/specifications/" + "0" * 64) == (404, "E-NOTFOUND-SPECIFICATION")
    assert refusal(node, "DELETE", "/learnwares/%C3%BC") == (400, "E-API-CARD")


def test_a_spoilt_requirement_is_a_clear_error(node: NodeProcess) -> None:
    blob = rkme(1).to_bytes()
    for spoilt in (blob[:-1], blob + b"x", b"\xff" * 100):
        with pytest.raises(HttpError) as caught:
            node.search(requirement=spoilt)
        assert caught.value.status == 422
        assert caught.value.problem["code"].startswith("E-SPEC")


def test_bodies_are_bounded(node: NodeProcess) -> None:
    assert refusal(node, "POST", "/search", b" " * (9 << 20)) == (413, "E-API-SIZE")
    headers = {"Content-Length": str(5 << 30)}
    assert refusal(node, "POST", "/blobs", headers=headers) == (413, "E-API-SIZE")


def test_an_upload_that_breaks_off_leaves_nothing(node: NodeProcess) -> None:
    assert node.endpoint is not None
    before = sorted((node.folder / "blobs").rglob("*"))
    connection = http.client.HTTPConnection(urlsplit(node.endpoint.url).netloc, timeout=10)
    connection.putrequest("POST", "/api/v1/blobs")
    connection.putheader("Authorization", f"Bearer {node.endpoint.tokens['publish']}")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"x" * 500)
    connection.close()
    assert node.upload(b"another").size == 7
    after = [path for path in sorted((node.folder / "blobs").rglob("*")) if path not in before]
    assert {path.name[:8] for path in after if path.is_file()} == {node.upload(b"another").root[:8]}


def test_an_empty_and_a_large_blob_are_stored(node: NodeProcess) -> None:
    assert node.upload(b"").size == 0
    assert node.upload(bytes(3 << 20)).size == 3 << 20


def test_dialling(node: NodeProcess) -> None:
    def dial(address: str) -> tuple[int, str]:
        return refusal(node, "POST", "/peers", json.dumps({"address": address}).encode())

    assert dial("nowhere") == (400, "E-CONFIG-VALUE")
    pin = "ab" * 32
    assert dial(f"127.0.0.1:1#{pin}") == (503, "E-UNAVAILABLE-DIAL")
    address = node.bootstrap.partition("#")[0]
    assert dial(f"{address}#{pin}") == (503, "E-UNAVAILABLE-DIAL")  # another certificate than expected
    assert dial(node.bootstrap) == (503, "E-UNAVAILABLE-DIAL")  # itself
    assert node.peers().peers == []


def test_dialling_another_node_connects(node: NodeProcess, tmp_path: Path) -> None:
    with nodes(tmp_path, "Hungary") as (other,):
        other.start()
        node.request("POST", "/peers", json.dumps({"address": other.bootstrap}).encode())
        (peer,) = node.peers().peers
        assert (peer.connected, peer.direction, peer.owner_name) == (True, "out", "Hungary")
