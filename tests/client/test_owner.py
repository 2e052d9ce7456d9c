"""Addresses and pins of owners; the pin over real TLS is tested with the fetches."""

from __future__ import annotations

import pytest

from skerry.client.owner import PinnedConnection, connect
from skerry.errors import TransportError
from skerry.protocol.api import Source

PINNED = Source("00" * 32, [], "pinned", "ab" * 32)
WEB = Source("00" * 32, [], "web", "", "models.example")


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:65536", "host:x", ":-1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(TransportError) as caught:
        connect(PINNED, address)
    assert caught.value.code == "E-FETCH-ADDRESS"


def test_a_pinned_node_is_called_by_its_address_and_a_web_node_by_its_name() -> None:
    pinned = connect(PINNED, "[2001:db8::1]:7740")
    assert isinstance(pinned, PinnedConnection)
    assert (pinned.host, pinned.port) == ("2001:db8::1", 7740)
    web = connect(WEB, "203.0.113.5:443")
    assert not isinstance(web, PinnedConnection)
    assert (web.host, web.port) == ("models.example", 443)
