"""What a certificate says about who is answering: a node, or something that reads along.

A node's certificate is self-signed under one fixed name. Where another certificate than the pinned one is
shown, its issuer tells two cases apart that need different people: another node at the address (its
operator moved), or a middlebox that ends TLS and signs for everybody with an authority of its own (*TLS
inspection*).
"""

from __future__ import annotations

from typing import Final

NODE_NAME: Final = "skerry node"
"""The common name in every node's certificate: it identifies nobody, and only says what it is for."""
INSPECTION: Final = "TLS inspection"
"""How :func:`mismatch` begins where a middlebox answered."""
ISSUER_CHARACTERS_MAX: Final = 120
"""An issuer's name is cut to this when it is shown: it comes from whoever answered."""


def inspector(certificate: bytes) -> str:
    """Return who issued a certificate that no node would show; empty for a node's own kind.

    Parameters
    ----------
    certificate
        As shown by the server, in DER.
    """
    from cryptography import x509

    try:
        issuer = x509.load_der_x509_certificate(certificate).issuer.rfc4514_string()
    except ValueError:
        return "an unreadable issuer"
    return "" if issuer == f"CN={NODE_NAME}" else issuer[:ISSUER_CHARACTERS_MAX]


def mismatch(certificate: bytes) -> str:
    """Return in words what another certificate than the pinned one means.

    Parameters
    ----------
    certificate
        As shown by the server, in DER.
    """
    issuer = inspector(certificate)
    if issuer:
        return f"{INSPECTION}: the answer carries a certificate issued by {issuer!r}, not the node's own"
    return "another certificate than the one expected"
