"""Ed25519 under domain strings, behind a seam that the simulator replaces.

A signature covers the domain in ASCII, one zero byte, and the body, so that no signature made for one purpose
counts for another. :class:`SignatureScheme` has two implementations: :class:`Signer`, and :class:`FakeSigner`
for simulations of thousands of nodes, where Ed25519 would be all the work. Whatever verifies takes the scheme
as an argument or from an :class:`~skerry.protocol.trust.OwnerTrust`, and the default is always Ed25519.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .errors import LocalProtocolError
from .hashing import HASH_BYTES, tagged_hash

PRIVATE_KEY_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


def signed_bytes(domain: str, body: bytes) -> bytes:
    """Return what a signature is computed over."""
    return domain.encode("ascii") + b"\0" + body


class SignatureScheme(Protocol):
    """A private key that signs; the class verifies for everybody."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        ...

    def sign(self, domain: str, body: bytes) -> bytes:
        """Return the signature (64 bytes) of ``body`` under ``domain``."""
        ...

    @staticmethod
    def verify(key: bytes, domain: str, body: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is by ``key``; False for any bytes that are none."""
        ...


class Signer:
    """An Ed25519 private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Signer:
        """Return a new key from the operating system's random generator."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, private_key: bytes) -> Signer:
        """Return the key with these 32 bytes.

        Raises
        ------
        LocalProtocolError
            There are not exactly 32 bytes.
        """
        if len(private_key) != PRIVATE_KEY_BYTES:
            raise LocalProtocolError(
                "a private key has the wrong length",
                why=f"{len(private_key)} bytes instead of {PRIVATE_KEY_BYTES}",
                todo="restore the key file from a backup",
            )
        return cls(Ed25519PrivateKey.from_private_bytes(private_key))

    def to_bytes(self) -> bytes:
        """Return the private key, 32 bytes, to be stored where nobody else reads it."""
        return self._key.private_bytes_raw()

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public_key

    def sign(self, domain: str, body: bytes) -> bytes:
        """Return the signature (64 bytes) of ``body`` under ``domain``."""
        return self._key.sign(signed_bytes(domain, body))

    @staticmethod
    def verify(key: bytes, domain: str, body: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is by ``key``; False for any bytes that are none."""
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_bytes(domain, body))
        except (InvalidSignature, ValueError):
            return False
        return True


class FakeSigner:
    """A key whose signatures anybody can make: for simulations only, where all nodes are ours.

    Parameters
    ----------
    seed
        Any bytes; equal seeds give equal keys.
    """

    def __init__(self, seed: bytes) -> None:
        self._public_key = tagged_hash("skerry/fake-key/1", seed)

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public_key

    def sign(self, domain: str, body: bytes) -> bytes:
        """Return a hash in the place of a signature."""
        return tagged_hash("skerry/fake-signature/1", self._public_key, signed_bytes(domain, body)) * 2

    @staticmethod
    def verify(key: bytes, domain: str, body: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is the hash that :meth:`sign` makes."""
        expected = tagged_hash("skerry/fake-signature/1", key, signed_bytes(domain, body))
        return len(signature) == 2 * HASH_BYTES and signature == expected * 2
