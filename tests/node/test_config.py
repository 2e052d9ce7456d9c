"""The configuration is closed: what is not known is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.errors import ConfigError
from skerry.node.config import KEYS, load, parse_address, parse_bootstrap

PIN = "ab" * 32


def test_defaults_need_no_file(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config.node.listen == "0.0.0.0:7740"
    assert config.api.listen == "127.0.0.1:7741"
    assert config.node.bootstrap == []


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[node]\nlisten = "127.0.0.1:1"\n[api]\nlisten = "127.0.0.1:2"\n')
    environment = {"SKERRY_NODE__LISTEN": "127.0.0.1:3", "SKERRY_API__LISTEN": "127.0.0.1:4", "SKERRYX": "no"}
    config = load(tmp_path, environment, {"node.listen": "127.0.0.1:5", "api.listen": None})
    assert config.node.listen == "127.0.0.1:5"
    assert config.api.listen == "127.0.0.1:4"


def test_a_list_in_the_environment_is_split_at_commas(tmp_path: Path) -> None:
    environment = {"SKERRY_NODE__BOOTSTRAP": f"a.example:1#{PIN}, b.example:2#{PIN}"}
    assert load(tmp_path, environment).node.bootstrap == [f"a.example:1#{PIN}", f"b.example:2#{PIN}"]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ('[node]\nlisten_on = "x:1"\n', "node.listen"),
        ('[nod]\nlisten = "x:1"\n', "'node'"),
        ('[log]\nlevle = "info"\n', "log.level"),
        ('listen = "x:1"\n', ".listen"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, text: str, nearest: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.code == "E-CONFIG-KEY"
    assert nearest in caught.value.why


def test_an_unknown_variable_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.lisen"):
        load(tmp_path, {"SKERRY_NODE__LISEN": "x:1"})


@pytest.mark.parametrize(
    "text",
    [
        "[node]\nlisten = 7740\n",
        '[node]\nlisten = "7740"\n',
        '[node]\nlisten = "host:65536"\n',
        '[node]\nbootstrap = ["host:1"]\n',
        '[node]\nadvertise = ["a:1", "b:1", "c:1", "d:1", "e:1"]\n',
        '[log]\nformat = "xml"\n',
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.code == "E-CONFIG-VALUE"
    assert caught.value.todo


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[node\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.code == "E-CONFIG-SYNTAX"


def test_the_api_leaves_the_machine_only_by_intent(tmp_path: Path) -> None:
    open_to_all = {"SKERRY_API__LISTEN": "0.0.0.0:7741"}
    with pytest.raises(ConfigError, match="not a loopback address"):
        load(tmp_path, open_to_all)
    assert load(tmp_path, {**open_to_all, "SKERRY_API__HOSTS": "skerry.hospital.example"}).api.hosts


def test_addresses_are_split() -> None:
    assert parse_address("[::1]:7740", "x") == ("::1", 7740)
    assert parse_bootstrap(f"host.example:7740#{PIN}", "x") == ("host.example:7740", bytes.fromhex(PIN))


def test_every_key_is_described() -> None:
    assert {key.name for key in KEYS} >= {"node.listen", "node.bootstrap", "api.listen", "log.format"}
    assert all(key.description and key.environment.startswith("SKERRY_") for key in KEYS)
