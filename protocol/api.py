"""The types of a node's local HTTP API: where node and client meet.

A node listens on two addresses. The public one speaks the gossip protocol and serves blobs (see
``docs/protocol.md``). The *local API*, on loopback by default, serves the people and programs of the
node's own institution, and this file is its contract: the node encodes these types, the client decodes them,
and neither imports the other.

Rules of this file:

1. Everything here is a frozen :class:`msgspec.Struct` that encodes to JSON. Byte strings that a person
   may want to read (ids, hashes, keys) are hexadecimal text; payloads are ``bytes`` (base64 in JSON).
2. Fields are added, never renamed or removed; a reader ignores what it does not know.
3. Times are seconds since 1970 UTC, durations seconds, sizes bytes.

Routes (all below ``/api/v1``; a bearer token of the scope in brackets; each scope includes those before it):

==========================  =========  ===========================================================
``GET  /status``            search     -> :class:`Status`
``GET  /peers``             search     -> :class:`Peers`
``GET  /learnwares``        search     -> :class:`Learnwares` (the node's own)
``GET  /cards/{card_id}``   search     -> :class:`Hit` without distances
``POST /search``            search     :class:`SearchRequest` -> :class:`SearchAnswer`
``GET  /specifications/R``  search     -> the specification blob with root R, from cache or owner
``POST /blobs``             publish    raw bytes -> :class:`BlobReceipt`
``POST /learnwares``        publish    :class:`PublishRequest` -> :class:`PublishReceipt`
``DELETE /learnwares/SLUG`` publish    -> :class:`PublishReceipt`
``GET  /checks/SLUG``       search     -> :class:`CheckReport` of a learnware of the node's own
``POST /peers``             admin      :class:`DialRequest` -> :class:`Peers`
==========================  =========  ===========================================================

``GET /healthz`` needs no token. Every error is :class:`Problem` with a real status code.
"""

from __future__ import annotations

from typing import Literal

import msgspec

API_PREFIX = "/api/v1"
ENDPOINT_FILE = "api.json"
"""Name of the file in the node's folder, readable by its owner alone, that holds an :class:`Endpoint`."""


class Endpoint(msgspec.Struct, frozen=True):
    """How programs on this machine reach the running node."""

    url: str
    pid: int
    tokens: dict[str, str]
    """Bearer token by scope: ``search``, ``publish``, ``admin``."""


class Problem(msgspec.Struct, frozen=True):
    """An error, as ``application/problem+json`` (RFC 9457) with the parts of a Skerry error."""

    type: str
    title: str
    status: int
    code: str
    where: str = ""
    why: str = ""
    todo: str = ""


class Source(msgspec.Struct, frozen=True):
    """One node from which a learnware's blobs can be fetched."""

    node_key: str
    addresses: list[str]
    """``host:port`` of the public listener."""
    mode: str
    """``pinned`` or ``web``."""
    certificate: str
    """SHA-256 of the certificate for ``pinned``; empty for ``web``."""
    host: str = ""


class CardView(msgspec.Struct, frozen=True):
    """A learnware's entry in the index, as shown to people and programs."""

    id: str
    hash: str
    owner: str
    owner_name: str
    slug: str
    version: int
    name: str
    summary: str
    data: str
    task: str
    library: str
    scenarios: list[str]
    license: str
    tags: list[str]
    language: str
    classes: int
    island: str
    dimension: int
    lane: str
    specification: str
    specification_bytes: int
    package: str
    package_bytes: int
    published: int
    disputed: bool = False


class Hit(msgspec.Struct, frozen=True):
    """One result of a search. Distances travel raw: a score relative to the other hits would mislead."""

    card: CardView
    sources: list[Source]
    mmd2: float | None = None
    """Squared MMD to the requirement in the searcher's metric; None without a requirement."""
    cosine: float | None = None
    """Cosine between the kernel mean embeddings, in [0, 1]."""
    within_noise: bool | None = None
    """Whether the distance is no larger than that between two halves of the searcher's own sample."""


class MixView(msgspec.Struct, frozen=True):
    """The recommended combination: ``members`` are positions in ``SearchAnswer.hits``; weights sum to 1."""

    members: list[int]
    weights: list[float]
    mmd2: float
    single_mmd2: float


class Coverage(msgspec.Struct, frozen=True):
    """What an answer covers, so that nobody takes a partial answer for a whole one."""

    cards: int
    """Live cards in this node's index."""
    candidates: int
    """Cards left after filters and island."""
    compared: int
    """Candidates whose full specification was compared."""
    owners: int
    oldest_head_seconds: float
    """Age of the oldest head that the answer rests on."""
    unreachable: list[str] = []
    """Names and ids of owners whose specifications were needed and could not be had."""


class SearchRequest(msgspec.Struct, frozen=True):
    """What a searcher asks for. All filters must hold; empty ones do not filter."""

    requirement: bytes = b""
    """``Rkme.to_bytes()`` of the searcher's data; empty for a search by words alone."""
    noise_mmd2: float | None = None
    """The searcher's own split-half squared MMD, for ``within_noise``."""
    text: str = ""
    data: str = ""
    task: str = ""
    library: str = ""
    license: str = ""
    scenario: str = ""
    owner: str = ""
    exclude_own: bool = False
    """Leave out the learnwares of the node's own owner."""
    k: int = 10
    mix_size: int = 5
    timeout_seconds: float = 5.0


class SearchAnswer(msgspec.Struct, frozen=True):
    """Hits, nearest first; members of the mix stand among the hits even beyond the first ``k``."""

    hits: list[Hit]
    mix: MixView | None
    coverage: Coverage


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


class PublishReceipt(msgspec.Struct, frozen=True):
    """The change is signed, durable, and on its way to the peers."""

    card: CardView
    seq: int
    peers: int
    """Peers to which the new head was sent at once."""


class Learnwares(msgspec.Struct, frozen=True):
    """The node's own live learnwares."""

    learnwares: list[CardView]


class PeerView(msgspec.Struct, frozen=True):
    """A connected or known node."""

    node_key: str
    owner: str
    owner_name: str
    addresses: list[str]
    connected: bool
    direction: str
    """``out``, ``in``, or empty when not connected."""
    cards: int
    seen: float
    """When it was last heard; 0 when never."""
    round_trip_seconds: float | None = None


class Peers(msgspec.Struct, frozen=True):
    """All nodes this one knows."""

    peers: list[PeerView]


class DialRequest(msgspec.Struct, frozen=True):
    """Connect to a node: ``host:port#certificate-hash``."""

    address: str


class Status(msgspec.Struct, frozen=True):
    """The node at a glance."""

    name: str
    owner: str
    node_key: str
    version: str
    bootstrap: str
    """What others configure to reach this node: ``host:port#certificate-hash``."""
    started: float
    learnwares: int
    cards: int
    owners: int
    peers_connected: int
    peers_known: int
    seq: int
    lease_ends: int
    digest: str
    """Fingerprint of the public heads this node holds; equal at nodes that agree."""
