"""The log tells what happened and to whom, and never a secret."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from skerry.node.folder import Folder
from skerry.node.logs import REDACTED, _no_secrets, _one_line
from tests.node.processes import HttpError, nodes, rkme, specification


def test_what_is_named_or_looks_like_a_secret_is_not_written() -> None:
    event = {
        "token": "abc",
        "api_secret": b"x",
        "why": "sent Authorization: Bearer abc.def-_ to it",
        "peer": "p",
    }
    cleaned = _no_secrets(None, "info", event)
    assert cleaned["token"] == cleaned["api_secret"] == REDACTED
    assert cleaned["why"] == f"sent Authorization: {REDACTED} to it"
    assert cleaned["peer"] == "p"


def test_a_line_cannot_be_forged() -> None:
    assert _one_line(None, "info", {"name": "a\n2026 error\x1b[2J"})["name"] == "a\\n2026 error\\x1b[2J"


@pytest.mark.processes
def test_two_nodes_at_work_say_who_and_no_secret(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        options = {"SKERRY_LOG__FORMAT": "json", "SKERRY_LOG__LEVEL": "debug"}
        first.environment = second.environment = options
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        first.publish("ward-model", specification(1), b"a package")
        made = json.loads(first.request("POST", "/tokens", b'{"name": "script", "scope": "search"}'))
        first.request("GET", "/status", scope="", headers={"Authorization": f"Bearer {made['token']}"})
        first.search(requirement=rkme(1).to_bytes())
        for wrong in ("Bearer wrong-token-0123456789", f"Basic {made['token']}"):
            with pytest.raises(HttpError):
                first.request("GET", "/status", scope="", headers={"Authorization": wrong})
        for node in (first, second):
            node.status()
            assert node.endpoint is not None
            secrets = [made["token"], "wrong-token-0123456789", *node.endpoint.tokens.values()]
            for path in Folder(node.folder).keys.glob("*.key"):
                secrets += _shapes(path.read_bytes())
            assert node.stop() == 0
            said = node.said()
            assert [secret for secret in secrets if secret in said] == []
            lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            answered = [line for line in lines if line["event"] == "answered"]
            assert answered
            assert all(re.fullmatch("[0-9a-f]{8}", line["request"]) for line in answered)
            assert any(re.fullmatch("[0-9a-f]{64}", line.get("peer", "")) for line in lines)


def _shapes(key: bytes) -> list[str]:
    """Return a key as it might be written: the file's lines, and its last bytes in hexadecimal and base64."""
    text = [line for line in key.decode(errors="ignore").splitlines() if len(line) > 20 and "---" not in line]
    raw = base64.b64decode("".join(text)) if text else key
    return [*text, raw[-32:].hex(), base64.b64encode(raw[-32:]).decode()]
