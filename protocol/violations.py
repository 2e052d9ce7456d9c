"""The closed list of what a peer can do wrong.

Rules of this file:

1. A refusal always names exactly one member; the text of the error may say more, but nothing may depend on
   it.
2. Members are added with a version of the protocol, never renamed: logs, documents and ``skerry why`` use
   them.
3. :attr:`Violation.blames_sender` is False for what can happen between honest nodes whose clocks or knowledge
   differ. Such a record is refused, but its sender pays nothing.
"""

from __future__ import annotations

from enum import StrEnum


class Violation(StrEnum):
    """One way in which bytes from a peer break the protocol."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    UNEXPECTED = "unexpected"
    WRONG_TYPE = "wrong-type"

    SIGNATURE_INVALID = "signature-invalid"
    SIGNER_WRONG = "signer-wrong"
    KEY_UNKNOWN = "key-unknown"
    ROLE_MISSING = "role-missing"
    KEY_NOT_VALID = "key-not-valid"
    OWNER_WRONG = "owner-wrong"

    WORK_MISSING = "work-missing"
    CHAIN_BROKEN = "chain-broken"
    CHARTER_INVALID = "charter-invalid"
    REMOVAL_WITHOUT_EPOCH = "removal-without-epoch"
    OWNER_FROZEN = "owner-frozen"

    EPOCH_OLD = "epoch-old"
    EPOCH_UNKNOWN = "epoch-unknown"
    ISSUED_AHEAD = "issued-ahead"
    LEASE_ENDED = "lease-ended"
    LEASE_INVALID = "lease-invalid"

    CARD_INVALID = "card-invalid"
    HASH_WRONG = "hash-wrong"
    COUNT_WRONG = "count-wrong"
    TREE_INVALID = "tree-invalid"
    NOT_INCLUDED = "not-included"

    ROSTER_INVALID = "roster-invalid"
    PARENTS_UNKNOWN = "parents-unknown"
    NOT_MEMBER = "not-member"

    NODE_INVALID = "node-invalid"
    NETWORK_WRONG = "network-wrong"
    VERSION_UNSUPPORTED = "version-unsupported"
    BINDING_WRONG = "binding-wrong"
    HELLO_WRONG = "hello-wrong"
    SELF_CONNECTION = "self-connection"

    @property
    def blames_sender(self) -> bool:
        """Whether an honest node never sends this, whatever its clock and its knowledge."""
        return self not in INNOCENT


INNOCENT = frozenset(
    {
        Violation.PARENTS_UNKNOWN,
        Violation.NOT_MEMBER,
        Violation.KEY_UNKNOWN,
        Violation.ROLE_MISSING,
        Violation.KEY_NOT_VALID,
        Violation.OWNER_FROZEN,
        Violation.EPOCH_OLD,
        Violation.EPOCH_UNKNOWN,
        Violation.ISSUED_AHEAD,
        Violation.LEASE_ENDED,
        Violation.NETWORK_WRONG,
        Violation.VERSION_UNSUPPORTED,
        Violation.SELF_CONNECTION,
    }
)
"""What an honest relay may pass on when its clock or its charters differ from ours."""

MEANINGS: dict[Violation, str] = {
    Violation.MALFORMED: "not exactly one MessagePack value of the expected form",
    Violation.TOO_LARGE: "more bytes than the limit",
    Violation.TOO_DEEP: "arrays and maps nested deeper than the limit",
    Violation.UNEXPECTED: "a message that may not come now",
    Violation.WRONG_TYPE: "a record of another type than asked for",
    Violation.SIGNATURE_INVALID: "a signature that does not verify",
    Violation.SIGNER_WRONG: "not signed by the keys that must sign it, or by others too",
    Violation.KEY_UNKNOWN: "signed by a key that is not in the owner's charter",
    Violation.ROLE_MISSING: "signed by a node key without the role",
    Violation.KEY_NOT_VALID: "signed for a time in which the node key does not count",
    Violation.OWNER_WRONG: "the record names another owner",
    Violation.WORK_MISSING: "the first charter lacks its proof of work",
    Violation.CHAIN_BROKEN: "the charters do not follow one another",
    Violation.CHARTER_INVALID: "a charter contradicts itself, or changes the recovery key without it",
    Violation.REMOVAL_WITHOUT_EPOCH: "a charter takes from a node key without a higher epoch",
    Violation.OWNER_FROZEN: "two rival charters exist; the recovery key must settle it",
    Violation.EPOCH_OLD: "the head is of an epoch that the owner has left",
    Violation.EPOCH_UNKNOWN: "the head is of an epoch beyond the charters that came with it",
    Violation.ISSUED_AHEAD: "issued more than the clock tolerance in the future",
    Violation.LEASE_ENDED: "its lease ended more than the clock tolerance ago",
    Violation.LEASE_INVALID: "its lease is longer than allowed, or ends before it begins",
    Violation.CARD_INVALID: "a card contradicts itself",
    Violation.HASH_WRONG: "bytes that do not have the expected hash",
    Violation.COUNT_WRONG: "a tree whose counts do not add up",
    Violation.TREE_INVALID: "a part of a tree that cannot stand where it claims to",
    Violation.NOT_INCLUDED: "a proof that does not hold the card",
    Violation.ROSTER_INVALID: "a roster or an admission contradicts itself or its parents",
    Violation.PARENTS_UNKNOWN: "a roster whose parents are not known here",
    Violation.NOT_MEMBER: "its signer has no such role in the group, by the newest roster",
    Violation.NODE_INVALID: "a node record contradicts itself",
    Violation.NETWORK_WRONG: "a node of another network",
    Violation.VERSION_UNSUPPORTED: "no protocol version in common",
    Violation.BINDING_WRONG: "a proof made for another connection or server",
    Violation.HELLO_WRONG: "a proof that does not cover the greetings exchanged",
    Violation.SELF_CONNECTION: "the peer has our own node key",
}
"""What each violation means, for people; ``docs/protocol.md`` lists the same."""
