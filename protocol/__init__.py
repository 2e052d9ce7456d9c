"""What nodes say to each other: records, their signatures, and gossip, without any input or output.

Theory of operation. Institutions (*owners*) name their keys in *charters*; their nodes sign *heads* over
*catalogues* of *cards*. ``make_*`` and ``new_*`` functions write records; ``verify_*`` functions take bytes
from outside and return a :class:`Verified` value or raise :class:`RemoteProtocolError`. The gossip itself is
:class:`~skerry.protocol.state.State`, a value that turns events into effects. ``docs/protocol.md`` is the
written format.

The component is pure: clock, random numbers and bytes are arguments. The names below are those that other
components need; a module's other names are its own.
"""

from __future__ import annotations

from .card import Blob, Card, card_hash, card_id, verify_card
from .catalogue import (
    Below,
    Branch,
    Catalogue,
    Entry,
    Proof,
    Shelf,
    verify_below,
    verify_bucket_cards,
    verify_inclusion,
    verify_top,
)
from .charter import ROLE_PUBLISH, ROLE_SERVE, Charter, NodeKey, new_charter, next_charter, owner_id
from .envelope import Envelope, RecordHeader, Verified, open_envelope
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import fingerprint, tagged_hash
from .head import Head, Relation, make_head, relate, renewal_due, verify_head
from .hello import Handshake, Identity, PeerIdentity, Role
from .messages import MESSAGE
from .node_record import NodeRecord, host_binding, make_node_record, verify_node_record
from .records import verify_record
from .signing import FakeSigner, SignatureScheme, Signer
from .trust import OwnerTrust, resolve, verify_chain
from .violations import Violation

__all__ = [
    "MESSAGE",
    "ROLE_PUBLISH",
    "ROLE_SERVE",
    "Below",
    "Blob",
    "Branch",
    "Card",
    "Catalogue",
    "Charter",
    "Entry",
    "Envelope",
    "FakeSigner",
    "Handshake",
    "Head",
    "Identity",
    "LocalProtocolError",
    "NodeKey",
    "NodeRecord",
    "OwnerTrust",
    "PeerIdentity",
    "Proof",
    "RecordHeader",
    "Relation",
    "RemoteProtocolError",
    "Role",
    "Shelf",
    "SignatureScheme",
    "Signer",
    "Verified",
    "Violation",
    "card_hash",
    "card_id",
    "fingerprint",
    "host_binding",
    "make_head",
    "make_node_record",
    "new_charter",
    "next_charter",
    "open_envelope",
    "owner_id",
    "relate",
    "renewal_due",
    "resolve",
    "tagged_hash",
    "verify_below",
    "verify_bucket_cards",
    "verify_card",
    "verify_chain",
    "verify_head",
    "verify_inclusion",
    "verify_node_record",
    "verify_record",
    "verify_top",
]
