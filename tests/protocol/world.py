"""One small institution for tests: its keys, charters, cards and records, all from fixed seeds.

Proofs of work have 4 bits here, so that making an owner costs nothing; one test uses the real number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from skerry.protocol import (
    Blob,
    Card,
    Envelope,
    NodeKey,
    OwnerTrust,
    RemoteProtocolError,
    Signer,
    Violation,
    make_head,
    make_node_record,
    new_charter,
    next_charter,
    verify_chain,
)

NOW = 1_760_000_000
DAY = 86_400
WORK_BITS = 4
NETWORK = "test"


def signer(name: str) -> Signer:
    return Signer.from_bytes(sha256(name.encode()).digest())


def node_key(name: str, *roles: str, start: int = NOW - DAY, end: int = NOW + 400 * DAY) -> NodeKey:
    return NodeKey(signer(name).public_key, roles or ("publish", "serve"), start, end)


@dataclass
class Lab:
    """An owner with one owner key, a recovery key and one node."""

    name: str = "Lab"
    charters: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.charters:
            first = new_charter(
                name=self.name,
                owner_signers=[self.owner_signer],
                recovery_key=self.recovery_signer.public_key,
                node_keys=[node_key(f"{self.name}/node")],
                issued=NOW - DAY,
                work_bits=WORK_BITS,
            )
            self.charters.append(first)

    @property
    def owner_signer(self) -> Signer:
        return signer(f"{self.name}/owner")

    @property
    def recovery_signer(self) -> Signer:
        return signer(f"{self.name}/recovery")

    @property
    def node_signer(self) -> Signer:
        return signer(f"{self.name}/node")

    @property
    def chain(self) -> list[bytes]:
        return [envelope.to_bytes() for envelope in self.charters]

    @property
    def trust(self) -> OwnerTrust:
        return verify_chain(self.chain, NOW, work_bits=WORK_BITS)

    @property
    def id(self) -> bytes:
        return self.trust.owner

    def amended(self, *signers: Signer, **changes: Any) -> Lab:
        """The lab after one more charter."""
        changes.setdefault("issued", NOW - DAY + len(self.charters))
        envelope = next_charter(self.charters[-1], signers or [self.owner_signer], **changes)
        return Lab(self.name, [*self.charters, envelope])

    def head(self, **changes: Any) -> Envelope:
        fields = {"owner": self.id, "epoch": 1, "seq": 1, "root": bytes(32), "count": 0, "issued": NOW}
        return make_head(self.node_signer, **{**fields, **changes})

    def node_record(self, **changes: Any) -> Envelope:
        fields = {
            "owner": self.id,
            "seq": 1,
            "issued": NOW,
            "addresses": ["node.example:8443"],
            "certificate": sha256(b"certificate").digest(),
        }
        return make_node_record(self.node_signer, **{**fields, **changes})

    def card(self, slug: str = "wards", island: int = 0, **changes: Any) -> Card:
        return card(self.id, slug, island, **changes)


def card(owner: bytes, slug: str = "wards", island: int = 0, **changes: Any) -> Card:
    fields: dict[str, Any] = {
        "owner": owner,
        "slug": slug,
        "version": 1,
        "name": "Ward model",
        "summary": "Readmission within 30 days",
        "data": "Table",
        "task": "Classification",
        "library": "Scikit-learn",
        "scenarios": ("Health",),
        "license": "MIT",
        "tags": ("ward",),
        "language": "en",
        "classes": 2,
        "island": sha256(f"island {island}".encode()).digest(),
        "dimension": 2,
        "sketch_version": 1,
        "sketch": bytes(range(256)),
        "means": bytes.fromhex("0000803f00000040"),
        "spreads": bytes.fromhex("0000003f0000803f"),
        "specification": Blob(sha256(b"specification").digest(), 4000),
        "package": Blob(sha256(b"package").digest(), 90_000),
        "lane": "skops",
        "published": NOW,
    }
    return Card(**{**fields, **changes})


def random_ids(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


class Refusal:
    """``with refused(Violation.X):`` the block raises exactly this violation."""

    def __init__(self, violation: Violation) -> None:
        self.violation = violation

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        assert error is not None, f"{self.violation} was expected"
        if not isinstance(error, RemoteProtocolError):
            return False
        assert error.violation is self.violation, error
        return True


def refused(violation: Violation) -> Refusal:
    return Refusal(violation)


def outcome(read: Callable[[bytes], object], raw: bytes) -> Violation | None:
    """None when the bytes were accepted, the violation when they were refused; any other error flies."""
    try:
        read(raw)
    except RemoteProtocolError as error:
        return error.violation
    return None


def flipped(raw: bytes, bit: int = 0x40, step: int = 1) -> Iterator[tuple[int, bytes]]:
    """The bytes with one of them changed, at every position in turn."""
    for position in range(0, len(raw), step):
        yield position, raw[:position] + bytes([raw[position] ^ bit]) + raw[position + 1 :]
