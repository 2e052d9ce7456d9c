"""Configuration: typed, closed, and the same three sources everywhere.

A value comes from the first of: the command line, the environment (``SKERRY_NODE__LISTEN``: ``SKERRY_``,
the section, two underscores, the key), ``config.toml`` in the node's folder, ``HTTPS_PROXY`` and
``NO_PROXY`` for two keys, the default written here.

Rules of this file:

1. A key that is not known is an error that names the nearest known one: a misspelt key must never pass as a
   default.
2. ``KEYS`` describes every key; it is derived from the types, so that nothing can be configured undocumented.
3. Nothing else in the node reads the environment or parses TOML.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import msgspec

from skerry.errors import ConfigError
from skerry.protocol.api import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONFIG_FILE: Final = "config.toml"
ENVIRONMENT_PREFIX: Final = "SKERRY_"
ENVIRONMENT: Final = "environment"
INVITE_VARIABLE: Final = "SKERRY_INVITE"
"""A short name for ``groups.invites``: what a container is given to join its group."""
ADDRESS = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:#\s]+):(?P<port>\d{1,5})$")
LOOPBACK_HOSTS: Final = frozenset({"localhost", "::1"})
WEB: Final = "web"
"""Stands for the certificate hash of a node that the web's authorities vouch for, by its host name."""
BOOTSTRAP = re.compile(r"^(?P<address>[^#\s]+)#(?P<certificate>[0-9a-f]{64}|web)$")
SWITCH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""How the environment says yes and no."""
PROXY = re.compile(r"^http://(?:[^@/\s]+@)?[^/\s:]+:\d{1,5}/?$")


def _key(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class NodeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[node]``: how this node meets other nodes."""

    listen: Annotated[str, _key("Address of the public listener, `host:port`; port 0 takes a free one.")] = (
        "0.0.0.0:7740"
    )
    advertise: Annotated[
        list[str],
        _key("Addresses under which others reach this node, up to 4; by default the one listened on."),
    ] = []
    network: Annotated[str, _key("Name of the network; nodes of different networks do not talk.")] = "skerry"
    bootstrap: Annotated[
        list[str],
        _key("Nodes to connect to first, `host:port#certificate-hash`, as `skerry status` prints them."),
    ] = []
    dialable: Annotated[
        bool,
        _key(
            "Whether others can connect to this node; if not (behind NAT) it is reached through up to three "
            "peers that it names."
        ),
    ] = True
    relay: Annotated[
        bool, _key("Whether this node passes on blobs of connected nodes that cannot be dialled.")
    ] = True
    lan: Annotated[
        bool, _key("Announce this node on the LAN by multicast DNS, and connect to others found there.")
    ] = False
    host: Annotated[
        str,
        _key(
            "Host name of the HTTPS reverse proxy in front of this node, which then serves plain HTTP to "
            "that proxy alone; empty when nodes reach it directly or through TLS passthrough."
        ),
    ] = ""
    proxied_from: Annotated[
        list[str],
        _key("Networks that the reverse proxy connects from, such as `10.0.0.0/24`; by default loopback."),
    ] = []
    proxy: Annotated[
        str,
        _key("Proxy for outgoing connections, `http://host:port`; `HTTPS_PROXY` counts where it is not set."),
    ] = ""
    proxy_except: Annotated[
        list[str],
        _key("Hosts and domains reached without that proxy; `NO_PROXY` counts where it is not set."),
    ] = []


class ApiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[api]``: the local API for programs of this institution."""

    listen: Annotated[str, _key("Address of the local API; port 0 takes a free one.")] = "127.0.0.1:7741"
    hosts: Annotated[
        list[str],
        _key("Further names under which the API may be called (the `Host` header), beside loopback."),
    ] = []


class GroupsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[groups]``: the institutional groups that this node takes part in."""

    invites: Annotated[
        list[str],
        _key("Invites to redeem at the start, for nodes that nobody logs in to; also `SKERRY_INVITE`."),
    ] = []


class TransferSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[transfer]``: how fast blobs may move; packages and specifications, not gossip."""

    upload_bytes_per_second: Annotated[
        int, msgspec.Meta(ge=0, description="Limit for all blobs sent to others together; 0 for none.")
    ] = 0
    download_bytes_per_second: Annotated[
        int,
        msgspec.Meta(ge=0, description="Limit for all specifications fetched by this node; 0 for none."),
    ] = 0


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[log]``: what the node writes to stderr."""

    format: Annotated[str, _key("`console` for people or `json` for programs.")] = "console"
    level: Annotated[str, _key("`debug`, `info`, `warning` or `error`.")] = "info"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of one node."""

    node: NodeSection = NodeSection()
    api: ApiSection = ApiSection()
    groups: GroupsSection = GroupsSection()
    transfer: TransferSection = TransferSection()
    log: LogSection = LogSection()


class Key(msgspec.Struct, frozen=True):
    """One configuration key, for documentation and for messages."""

    name: str
    environment: str
    default: Any
    description: str


def _keys() -> tuple[Key, ...]:
    keys = []
    for section in msgspec.structs.fields(Config):
        hints = get_type_hints(section.type, include_extras=True)
        for field in msgspec.structs.fields(section.type):
            meta = next(m for m in hints[field.name].__metadata__ if isinstance(m, msgspec.Meta))
            factory = field.default_factory
            default = field.default if factory is msgspec.NODEFAULT else factory()
            environment = f"{ENVIRONMENT_PREFIX}{section.name}__{field.name}".upper()
            keys.append(Key(f"{section.name}.{field.name}", environment, default, str(meta.description)))
    return tuple(keys)


KEYS: Final = _keys()
"""Every key with its environment variable, default and meaning."""


def load(folder: Path, environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration of the node in `folder`.

    Parameters
    ----------
    folder
        The node's folder; its ``config.toml`` may be missing.
    environment
        Environment variables; those that start with ``SKERRY_`` and hold two underscores count.
    overrides
        Values by dotted name from the command line; ``None`` values do not count.

    Raises
    ------
    ConfigError
        ``E-CONFIG-SYNTAX``, ``E-CONFIG-KEY`` or ``E-CONFIG-VALUE``, with the key and what to do.
    """
    path = folder / CONFIG_FILE
    values: dict[str, Any] = {}
    for _, layer in _layers(path, environment, overrides or {}):
        values.update(layer)
    return _validate(_convert(values), path)


def settings(folder: Path, environment: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the value of every key, and where it comes from, as the daemon would find them now.

    Parameters
    ----------
    folder, environment
        As in :func:`load`.

    Raises
    ------
    ConfigError
        As :func:`load`.
    """
    path = folder / CONFIG_FILE
    config = load(folder, environment)
    sources = {key.name: "default" for key in KEYS}
    for source, layer in _layers(path, environment, {}):
        sources.update(dict.fromkeys(layer, source))
    for key in KEYS:
        if sources[key.name] == ENVIRONMENT:
            sources[key.name] = f"environment {key.environment}"
    return tuple(Setting(key.name, _value(config, key.name), sources[key.name]) for key in KEYS)


def setting(name: str, found: Sequence[Setting], folder: Path) -> Setting:
    """Return the setting of one key.

    Raises
    ------
    ConfigError
        ``E-CONFIG-KEY``: there is no such key; the nearest one is named.
    """
    _check_known(name, folder / CONFIG_FILE)
    return next(one for one in found if one.name == name)


def _layers(
    path: Path, environment: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return what each source says, the strongest last.

    Raises
    ------
    ConfigError
        ``E-CONFIG-KEY`` when one names a key that does not exist.
    """
    layers = (
        *((variable, {name: value}) for variable, name, value in _from_surroundings(environment)),
        (str(path), _from_file(path)),
        (ENVIRONMENT, _from_environment(environment)),
        ("command line", {name: value for name, value in overrides.items() if value is not None}),
    )
    for _, values in layers:
        for name in values:
            _check_known(name, path)
    return layers


def _value(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def parse_address(text: str, where: str) -> tuple[str, int]:
    """Split ``host:port``; IPv6 hosts stand in brackets, which are taken off.

    Raises
    ------
    ConfigError
        ``E-CONFIG-VALUE`` when `text` is not of that form.
    """
    match = ADDRESS.match(text)
    if match is None or int(match["port"]) > 65535:
        raise _bad_value(where, f"{text!r} is not host:port", "Write for instance 0.0.0.0:7740 or [::]:7740.")
    return match["host"].strip("[]"), int(match["port"])


def parse_bootstrap(text: str, where: str) -> tuple[str, bytes]:
    """Split ``host:port#certificate-hash`` into the address and the certificate's SHA-256.

    The hash of ``host:port#web`` is empty: the host name counts.

    Raises
    ------
    ConfigError
        ``E-CONFIG-VALUE`` when `text` is not of that form.
    """
    match = BOOTSTRAP.match(text)
    if match is None:
        todo = "Copy the line that `skerry status` prints on the node to reach."
        raise _bad_value(where, f"{text!r} is not host:port#certificate-hash", todo)
    parse_address(match["address"], where)
    certificate = match["certificate"]
    return match["address"], b"" if certificate == WEB else bytes.fromhex(certificate)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        document = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        todo = "Make the file readable for the user that runs the node."
        raise ConfigError(
            "The configuration cannot be read", where=str(path), why=error.strerror or "", todo=todo
        ) from error
    except msgspec.DecodeError as error:
        todo = "Correct the line."
        raise ConfigError(
            "The configuration is not TOML",
            where=str(path),
            why=str(error),
            todo=todo,
            code="E-CONFIG-SYNTAX",
        ) from error
    return _flatten(document, path)


def _flatten(document: dict[str, Any], path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, keys in document.items():
        if not isinstance(keys, dict):
            raise _unknown(section, [key.name for key in KEYS], path)
        if section not in Config.__struct_fields__:
            raise _unknown(section, Config.__struct_fields__, path)
        flat.update({f"{section}.{key}": value for key, value in keys.items()})
    return flat


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {"groups.invites": environment[INVITE_VARIABLE]} if INVITE_VARIABLE in environment else {}
    for variable, value in environment.items():
        section, separator, key = variable.removeprefix(ENVIRONMENT_PREFIX).partition("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and separator:
            values[f"{section}.{key}".lower()] = value
    return values


def _from_surroundings(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield what the variables say that all programs obey: (variable, key, value), the strongest last."""
    for name, key in (("https_proxy", "node.proxy"), ("no_proxy", "node.proxy_except")):
        for variable in (name.upper(), name):
            if environment.get(variable):
                yield f"{ENVIRONMENT} {variable}", key, environment[variable]


def _check_known(name: str, path: Path) -> None:
    names = [key.name for key in KEYS]
    if name not in names:
        raise _unknown(name, names, path)


def _unknown(name: str, names: Sequence[str], path: Path) -> ConfigError:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return ConfigError(
        f"There is no configuration key {name!r}",
        where=str(path),
        why=f"the nearest known key is {near[0]!r}",
        todo="Correct or remove it; docs/configuration.md lists all keys.",
        code="E-CONFIG-KEY",
    )


def _convert(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Nest dotted names; of text, split lists at commas and read switches."""
    lists = {key.name for key in KEYS if isinstance(key.default, list)}
    switches = {key.name for key in KEYS if isinstance(key.default, bool)}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        if name in lists and isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        elif name in switches and isinstance(value, str):
            value = SWITCH.get(value.strip().lower(), value)
        nested.setdefault(section, {})[key] = value
    return nested


def _validate(values: dict[str, dict[str, Any]], path: Path) -> Config:
    try:
        config = msgspec.convert(values, Config, strict=False)
    except msgspec.ValidationError as error:
        raise _bad_value(str(path), str(error), "Give a value of that type.") from error
    parse_address(config.node.listen, "node.listen")
    _check_api_address(config)
    for address in config.node.advertise:
        parse_address(address, "node.advertise")
    for bootstrap in config.node.bootstrap:
        parse_bootstrap(bootstrap, "node.bootstrap")
    _check_proxies(config.node)
    if len(config.node.advertise) > 4:
        raise _bad_value("node.advertise", "more than 4 addresses", "Keep the 4 best.")
    _check_choice("log.format", config.log.format, ("console", "json"))
    _check_choice("log.level", config.log.level, ("debug", "info", "warning", "error"))
    return config


def _check_api_address(config: Config) -> None:
    """Refuse to serve the API beyond this machine unintended: its tokens would travel in plain HTTP."""
    host, _ = parse_address(config.api.listen, "api.listen")
    if _is_loopback(host) or config.api.hosts:
        return
    raise _bad_value(
        "api.listen",
        f"{host} is not a loopback address, and the API's tokens would travel unencrypted",
        "Use 127.0.0.1 and a TLS proxy; or name the hosts it may be called by in api.hosts.",
    )


def _check_proxies(node: NodeSection) -> None:
    """Refuse what would leave the plain listener open, or a proxy that cannot be used."""
    for network in node.proxied_from:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            todo = "Write for instance 10.0.0.0/24."
            raise _bad_value("node.proxied_from", str(error), todo) from error
    host, _ = parse_address(node.listen, "node.listen")
    if node.host and not node.proxied_from and not _is_loopback(host):
        raise _bad_value(
            "node.listen",
            f"with node.host the node serves plain HTTP, and {host} is not a loopback address",
            "Listen on 127.0.0.1; or name the networks that the proxy connects from in node.proxied_from.",
        )
    if node.host and not re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", node.host):
        raise _bad_value("node.host", f"{node.host!r} is not a host name", "Give the name alone.")
    if node.proxy and PROXY.match(node.proxy) is None:
        raise _bad_value("node.proxy", "it is not http://host:port", "Correct it, or unset HTTPS_PROXY.")


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK_HOSTS or host.startswith("127.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise _bad_value(name, f"{value!r} is not one of {', '.join(choices)}", "Choose one of them.")


def _bad_value(where: str, why: str, todo: str) -> ConfigError:
    return ConfigError("A configured value is wrong", where=where, why=why, todo=todo, code="E-CONFIG-VALUE")
