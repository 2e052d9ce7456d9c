"""One institution's bridge reaches another, survives a restart, and is refused where it breaks a rule."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skerry.protocol.api import BridgeRequest, Bridges, PlankView
from tests.node.processes import HttpError, eventually, nodes

pytestmark = pytest.mark.processes

SOURCE, TARGET = "ab" * 32, "cd" * 32


def request(*planks: PlankView) -> bytes:
    return msgspec.json.encode(BridgeRequest(SOURCE, TARGET, list(planks)))


def test_one_institutions_bridge_serves_all(tmp_path: Path) -> None:
    plank = PlankView(0, 1, 1.8, 32.0, 0.75)
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        first.request("POST", "/bridges", request(plank))

        def found(query: str = f"?source={SOURCE}&target={TARGET}") -> list[str]:
            known = second.get(f"/bridges{query}", Bridges).bridges
            assert all(bridge.planks == [plank] for bridge in known)
            return [bridge.owner_name for bridge in known]

        eventually("it arrives", lambda: found() == ["Cleveland"])
        assert found("") == ["Cleveland"]
        assert found(f"?source={TARGET}") == []
        second.stop()
        second.start()
        assert found() == ["Cleveland"]
        with pytest.raises(HttpError) as caught:
            first.request("POST", "/bridges", request(plank, plank))
        assert caught.value.status == 403
        assert caught.value.problem["code"] == "E-BRIDGE"
