"""How a node is reached, read from each of the three places that say so; and when a proxy is taken."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from skerry.errors import ConfigError, TransportError
from skerry.node.network.ways import DIRECT, Proxies, Way, of_bootstrap, of_record, of_source
from skerry.protocol.addresses import bypasses_proxy
from skerry.protocol.api import Source
from skerry.protocol.certificates import inspector, mismatch
from skerry.protocol.node_record import NodeRecord, host_binding

PIN = bytes(range(32))
RECORD = NodeRecord(
    owner=b"o" * 32,
    scope=b"",
    issued=0,
    lease=1,
    node_key=b"k" * 32,
    seq=1,
    addresses=("a.example:1", "[2001:db8::1]:2"),
    mode="pinned",
    certificate=PIN,
    host="",
    via=(),
    versions=(1, 1),
)
WEB = msgspec.structs.replace(RECORD, mode="web", certificate=b"", host="models.example")


def test_a_bootstrap_string_names_a_certificate_or_the_web() -> None:
    assert of_bootstrap(f"a.example:1#{PIN.hex()}") == Way(("a.example:1",), PIN)
    web = of_bootstrap("Models.example:443#web")
    assert (web.host, web.binding) == ("Models.example", host_binding("models.example"))
    for wrong in ("a.example:1", "a.example:1#", f"a.example#{PIN.hex()}", "a.example:1#webb"):
        with pytest.raises(ConfigError):
            of_bootstrap(wrong)


def test_a_record_is_dialled_at_its_addresses_or_at_its_host() -> None:
    assert of_record(RECORD) == Way(RECORD.addresses, PIN)
    assert of_record(WEB) == Way(("models.example:1", "models.example:2"), host="models.example")
    assert of_record(WEB).binding == WEB.binding
    with pytest.raises(TransportError, match="E-TRANSPORT-MODE"):
        of_record(msgspec.structs.replace(RECORD, mode="carrier pigeon"))


def test_a_source_says_the_same_as_the_record() -> None:
    assert of_source(Source("", ["a.example:1"], "pinned", PIN.hex())) == Way(("a.example:1",), PIN)
    web = of_source(Source("", ["1.2.3.4:443", "5.6.7.8:443"], "web", "", "models.example"))
    assert web == Way(("models.example:443",), host="models.example")


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("localhost", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("hospital.example", True),
        ("a.Hospital.example", True),
        ("nothospital.example", False),
        ("other.example", False),
    ],
)
def test_no_proxy_names_hosts_and_all_below_and_this_machine_needs_none(host: str, direct: bool) -> None:
    assert bypasses_proxy(host, (".hospital.example", "")) is direct
    proxies = Proxies("http://proxy:3128", ("hospital.example",))
    address = f"[{host}]:1" if ":" in host else f"{host}:1"
    assert (proxies.towards(address) is None) is direct
    assert replace(proxies, direct=("*",)).towards(address) is None
    assert DIRECT.towards(address) is None


def test_what_is_no_certificate_is_no_nodes_certificate() -> None:
    assert inspector(b"nonsense") == "an unreadable issuer"
    assert mismatch(b"").startswith("TLS inspection")
