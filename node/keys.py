"""A node's keys and how they are made and read.

Three Ed25519 keys say who a node is: the *owner's* signs charters, the *recovery* key replaces it after an
accident, the *node's* signs what the daemon says every day. The default set-up makes all three here; owner
and recovery key are not needed while the daemon runs and are better kept elsewhere. A fourth belongs to the
TLS certificate.

Rules of this file:

1. A private key is written once, with mode 0600, and never overwritten.
2. A key that others can read, or that cannot be read, stops the node with words on what to do.
"""

from __future__ import annotations

import datetime as dt
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.errors import ConfigError, SkerryError
from skerry.protocol.charter import ROLE_PUBLISH, ROLE_SERVE, NodeKey, new_charter, next_charter, owner_id
from skerry.protocol.envelope import open_envelope
from skerry.protocol.signing import Signer
from skerry.protocol.trust import verify_chain

from .folder import folder_error, write_private
from .limits import NODE_KEY_DAYS
from .network.tls import certificate_hash, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from .folder import Folder


@dataclass(frozen=True)
class Keyring:
    """Who this node is.

    Parameters
    ----------
    owner
        The owner's id, 32 bytes.
    signer
        The node key.
    charters
        The owner's charter chain, as envelopes.
    certificate
        SHA-256 of the TLS certificate.
    """

    owner: bytes
    signer: Signer
    charters: tuple[bytes, ...]
    certificate: bytes


def initialise(folder: Folder, name: str) -> Keyring:
    """Make a new owner with one node in `folder`: keys, certificate and first charter.

    Raises
    ------
    ConfigError
        ``E-CONFIG-EXISTS`` when there is a node already, ``E-CONFIG-NAME`` when the name is not acceptable.
    StorageError
        ``E-STORAGE-FOLDER`` when the folder cannot be written.
    """
    _require_empty(folder)
    now = dt.datetime.now(dt.UTC)
    owner, recovery, node, tls = (Ed25519PrivateKey.generate() for _ in range(4))
    charter = _first_charter(name, Signer(owner), Signer(recovery), Signer(node), int(now.timestamp()))
    _make_folders(folder)
    for path, key in (
        (folder.owner_key, owner),
        (folder.recovery_key, recovery),
        (folder.node_key, node),
        (folder.tls_key, tls),
    ):
        _write_key(path, key)
    write_private(folder.tls_certificate, make_certificate(tls, now))
    # The charter comes last: a folder without it holds no node yet.
    write_private(folder.charters, msgspec.msgpack.encode([charter]))
    return read_keyring(folder)


def adopt(folder: Folder, charters: Path, owner_key: Path, *, replace: bool) -> Keyring:
    """Make a new node of an owner that exists already: for a second machine, or after a lost one.

    Parameters
    ----------
    folder
        Where the node is to be.
    charters
        The owner's charter chain, as ``skerry owner show --export`` writes it on any node that knows the
        owner.
    owner_key
        The owner's key, or its recovery key; it is read and not copied.
    replace
        Whether the owner's other node keys end: after a lost disk or a stolen key.

    Raises
    ------
    ConfigError
        ``E-CONFIG-EXISTS``, ``E-CONFIG-CHARTERS``, ``E-CONFIG-KEYFILE``, or ``E-CONFIG-ADOPT`` when the key
        does not sign for that owner.
    """
    _require_empty(folder)
    now = dt.datetime.now(dt.UTC)
    issued, chain = int(now.timestamp()), _read_chain(charters)
    signer, node, tls = read_key(owner_key), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    entry = NodeKey(
        Signer(node).public_key, (ROLE_PUBLISH, ROLE_SERVE), issued, issued + NODE_KEY_DAYS * 86400
    )
    try:
        trust = verify_chain(chain, issued)
        others = () if replace else trust.charter.node_keys
        newest = max(issued, trust.charter.issued)
        envelope = next_charter(trust.envelope, [signer], issued=newest, node_keys=(*others, entry))
    except SkerryError as error:
        raise ConfigError(
            "The node cannot be made for this owner",
            where=str(owner_key),
            why=error.why or error.what,
            todo="Give the owner's present key, or its recovery key, and its newest charters.",
            code="E-CONFIG-ADOPT",
        ) from error
    _make_folders(folder)
    _write_key(folder.node_key, node)
    _write_key(folder.tls_key, tls)
    write_private(folder.tls_certificate, make_certificate(tls, now))
    write_private(folder.charters, msgspec.msgpack.encode([*chain, envelope.to_bytes()]))
    return read_keyring(folder)


def _read_chain(path: Path) -> list[bytes]:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            "The charters cannot be read",
            where=str(path),
            why=str(error),
            todo="Write them with `skerry owner show OWNER --export FILE` on a node that knows the owner.",
            code="E-CONFIG-CHARTERS",
        ) from error


def _make_folders(folder: Folder) -> None:
    try:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.keys.mkdir(mode=0o700)
    except OSError as error:
        raise folder_error(folder.root, error) from error


def read_keyring(folder: Folder) -> Keyring:
    """Read what the daemon needs to be its node; the owner's and the recovery key are not touched.

    Raises
    ------
    ConfigError
        A key, the certificate or the charters cannot be used.
    """
    folder.require()
    try:
        charters = tuple(msgspec.msgpack.decode(folder.charters.read_bytes(), type=list[bytes]))
        owner = owner_id(open_envelope(charters[0]).body)
    except (OSError, msgspec.DecodeError, IndexError, SkerryError) as error:
        raise ConfigError(
            "The charters cannot be read",
            where=str(folder.charters),
            why=str(error),
            todo="Restore the file from a backup.",
            code="E-CONFIG-CHARTERS",
        ) from error
    return Keyring(owner, read_key(folder.node_key), charters, certificate_hash(folder.tls_certificate))


def _require_empty(folder: Folder) -> None:
    if folder.charters.exists():
        todo = "Name another folder with --folder."
    elif folder.keys.exists():
        todo = (
            f"If an earlier `skerry init` was interrupted, remove {folder.keys}; "
            f"if not, restore {folder.charters} from a backup."
        )
    else:
        return
    raise ConfigError(
        "There is a node in this folder already",
        where=str(folder.root),
        why="its keys are never overwritten",
        todo=todo,
        code="E-CONFIG-EXISTS",
    )


def _first_charter(name: str, owner: Signer, recovery: Signer, node: Signer, now: int) -> bytes:
    node_key = NodeKey(node.public_key, (ROLE_PUBLISH, ROLE_SERVE), now, now + NODE_KEY_DAYS * 86400)
    try:
        charter = new_charter(
            name=name,
            owner_signers=[owner],
            recovery_key=recovery.public_key,
            node_keys=[node_key],
            issued=now,
        )
    except SkerryError as error:
        raise ConfigError(
            "The owner cannot be called that",
            where=repr(name),
            why=error.why,
            todo="Choose a name of 1 to 80 characters with --name.",
            code="E-CONFIG-NAME",
        ) from error
    return charter.to_bytes()


def read_key(path: Path) -> Signer:
    """Read a private key.

    Raises
    ------
    ConfigError
        ``E-CONFIG-KEYFILE`` when the file is missing, unreadable, readable for others, or holds no Ed25519
        key.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _unusable(path, "other users can read it", f"Run `chmod 600 {path}`.")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        todo = "Make it readable for the user that runs the node, or restore it from a backup."
        raise _unusable(path, error.strerror or str(error), todo) from error
    except (ValueError, TypeError) as error:
        raise _unusable(path, "it holds no private key", "Restore it from a backup.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "it holds a key of another kind", "Restore it from a backup.")
    return Signer(key)


def _write_key(path: Path, key: Ed25519PrivateKey) -> Signer:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem)
    return Signer(key)


def _unusable(path: Path, why: str, todo: str) -> ConfigError:
    return ConfigError("A key cannot be used", where=str(path), why=why, todo=todo, code="E-CONFIG-KEYFILE")
