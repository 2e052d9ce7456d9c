"""Signing charters: with keys that are read here, used here, and sent nowhere.

Theory of operation. The node shows its owner's charters; the next one is made and signed in this process,
where the owner's key is (a file of the node's folder by default, a stick or another machine just as well),
and the node takes the signed charter. So a node never needs the owner's key.

Rules of this file:

1. A new key is on the disk, readable by its owner alone, before a charter names it.
2. No key file is overwritten: what a rotated key's file held stays beside it, under the old version's number.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.errors import ConfigError, SkerryError
from skerry.protocol import api
from skerry.protocol.charter import CHARTER_TYPE, ROLE_PUBLISH, ROLE_SERVE, NodeKey, next_charter
from skerry.protocol.envelope import open_envelope
from skerry.protocol.signing import Signer

NODE_KEY_SECONDS = 3650 * 24 * 3600
"""How long a node key counts that is added: as long as one that ``skerry init`` makes."""


def changed(view: api.OwnerView, signers: Sequence[Signer], *, now: int, **changes: object) -> bytes:
    """Return the charter that follows an owner's newest one, signed.

    Parameters
    ----------
    view
        The owner as the node shows it.
    signers
        Enough of the owner's keys, or the recovery key alone.
    now
        Wall clock, seconds since 1970 UTC.
    changes
        Fields of :class:`~skerry.protocol.charter.Charter`.

    Raises
    ------
    ConfigError
        ``E-OWNER-KEY``: the keys do not sign for the owner, or the charter would be refused.
    """
    newest = open_envelope(view.charters[-1], CHARTER_TYPE)
    try:
        return next_charter(newest, signers, issued=max(now, view.issued), **changes).to_bytes()
    except SkerryError as error:
        raise ConfigError(
            "The charter cannot be signed like this",
            where=f"version {view.version + 1}",
            why=error.why or error.what,
            todo="Give enough of the owner's present keys with --key, or the recovery key.",
            code="E-OWNER-KEY",
        ) from error


def with_node_key(view: api.OwnerView, key: str, now: int) -> tuple[NodeKey, ...]:
    """Return the owner's node keys with one more."""
    added = NodeKey(_key_bytes(key), (ROLE_PUBLISH, ROLE_SERVE), now, now + NODE_KEY_SECONDS)
    return (*node_keys(view), added)


def without_node_key(view: api.OwnerView, key: str) -> tuple[NodeKey, ...]:
    """Return the owner's node keys without the one that `key`, or its beginning, names.

    Raises
    ------
    ConfigError
        ``E-OWNER-NODE``: no node key of the owner fits, or several do.
    """
    gone = [entry for entry in node_keys(view) if entry.key.hex().startswith(key.lower())]
    if len(gone) != 1:
        raise ConfigError(
            "No node key of the owner fits" if not gone else "Several node keys fit",
            where=key,
            todo="Look at `skerry owner show`.",
            code="E-OWNER-NODE",
        )
    return tuple(entry for entry in node_keys(view) if entry != gone[0])


def node_keys(view: api.OwnerView) -> tuple[NodeKey, ...]:
    """Return the owner's node keys as they stand in the charter."""
    return tuple(
        NodeKey(bytes.fromhex(entry.key), tuple(entry.roles), entry.not_before, entry.not_after)
        for entry in view.node_keys
    )


def read_signer(path: Path) -> Signer:
    """Read a private key.

    Raises
    ------
    ConfigError
        ``E-CONFIG-KEYFILE``: it is missing, readable by others, or no Ed25519 key.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _unusable(path, "other users can read it", f"Run `chmod 600 {path}`.")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "Say where it is with --key.") from error
    except (ValueError, TypeError) as error:
        raise _unusable(path, "it holds no private key", "Restore it from a backup.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "it holds a key of another kind", "Restore it from a backup.")
    return Signer(key)


def new_key(path: Path) -> Signer:
    """Make a private key in a file that must not exist yet; rotating gives it its name afterwards."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "Move it away, or look what it is.") from error
    return Signer(key)


def put_in_place(fresh: Path, path: Path, version: int) -> None:
    """Give a new key's file its name; what was there stays beside it under the old version's number."""
    if path.exists():
        path.rename(path.with_name(f"{path.stem}-v{version}{path.suffix}"))
    fresh.rename(path)


def _key_bytes(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(
            "That is no node key",
            where=text[:80],
            why="64 hexadecimal digits are needed",
            todo="Copy what `skerry status` prints on that node.",
            code="E-OWNER-NODE",
        )
    return key


def _unusable(path: Path, why: str, todo: str) -> ConfigError:
    return ConfigError("A key cannot be used", where=str(path), why=why, todo=todo, code="E-CONFIG-KEYFILE")
