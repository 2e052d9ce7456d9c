"""What an owner hands to the local API, and what is found out about it."""

from __future__ import annotations

from typing import Literal

import msgspec

from .cards import CardView


class BlobReceipt(msgspec.Struct, frozen=True):
    """A blob that the node holds durably."""

    root: str
    size: int


class CheckResult(msgspec.Struct, frozen=True):
    """What one check of a package found."""

    code: str
    sentence: str
    """What must be so."""
    outcome: Literal["passed", "failed", "warning", "skipped"]
    why: str = ""
    todo: str = ""


class LaneAgreement(msgspec.Struct, frozen=True):
    """How far a converted model answers as the original did on the owner's rows."""

    labels: float
    """Share of rows with the same answer."""
    difference_max: float
    """Largest difference of a probability, or of a prediction relative to its spread."""


class CheckReport(msgspec.Struct, frozen=True):
    """What was found when a package was checked before it was published; it stays with the owner's node."""

    package: str
    lane: str
    usable: bool
    results: list[CheckResult]
    level: str | None = None
    """The sandbox that the model ran in."""
    agreement: LaneAgreement | None = None
    lane_reason: str = ""
    """Why safer lanes were passed over."""


class PublishRequest(msgspec.Struct, frozen=True):
    """Put a learnware into the node's catalogue; both blobs were uploaded before."""

    slug: str
    specification: str
    """Root of the blob made by ``skerry.spec.Specification.to_bytes()``."""
    package: str
    """Root of the package's zip."""
    lane: str
    summary: str = ""
    update: bool = False
    """Replace the live version of the slug; without it an existing slug is refused."""
    checks: CheckReport | None = None
    public: bool | None = None
    """Whether everybody sees it. None: yes, unless groups are named; an update stays as it is."""
    groups: list[str] = []
    """The groups that see it, each by name, id, or the beginning of its id."""
    package_groups: list[str] | None = None
    """The groups for which the package is kept, though the card is seen by more; empty for none."""


class PublishReceipt(msgspec.Struct, frozen=True):
    """The change is signed, durable, and on its way to the peers."""

    card: CardView
    seq: int
    peers: int
    """Peers to which the new head was sent at once."""


class Learnwares(msgspec.Struct, frozen=True):
    """The node's own live learnwares, by slug."""

    learnwares: list[CardView]
    next: str = ""
    """Cursor of the next page; empty at the end."""
