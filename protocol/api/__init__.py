"""The types of a node's local HTTP API: where node and client meet.

A node listens on two addresses. The public one speaks the gossip protocol and serves blobs (see
``docs/protocol.md``). The *local API*, on loopback by default, serves the people and programs of the
node's own institution, and this package is its contract: the node encodes these types, the client decodes
them, and neither imports the other.

Rules of this package:

1. Everything here is a frozen :class:`msgspec.Struct` that encodes to JSON. Byte strings that a person
   may want to read (ids, hashes, keys) are hexadecimal text; payloads are ``bytes`` (base64 in JSON).
2. Fields are added, never renamed or removed; a reader ignores what it does not know.
3. Times are seconds since 1970 UTC, durations seconds, sizes bytes.

Routes (all below ``/api/v1``; a bearer token of the scope in brackets; each scope includes those before it):

==========================  =========  ===========================================================
``GET  /status``            search     -> :class:`Status`
``GET  /peers``             search     :class:`PageQuery` -> :class:`Peers`
``GET  /learnwares``        search     :class:`PageQuery` -> :class:`Learnwares` (the node's own)
``GET  /cards/{card_id}``   search     -> :class:`Hit` without distances
``GET  .../sources``        search     -> :class:`Sources`, with tokens for what is not public
``POST /search``            search     :class:`SearchRequest` -> :class:`SearchAnswer`
``GET  /specifications/R``  search     -> the specification blob with root R, from cache or owner
``GET  /checks/SLUG``       search     -> :class:`CheckReport` of a learnware of the node's own
``GET  /why/ID``            search     :class:`WhyQuery` -> :class:`WhyAnswer`
``GET  /events``            search     :class:`EventsQuery` -> server-sent :class:`Event`
``POST /blobs``             publish    raw bytes -> :class:`BlobReceipt`
``POST /learnwares``        publish    :class:`PublishRequest` -> :class:`PublishReceipt`
``DELETE /learnwares/SLUG`` publish    -> :class:`PublishReceipt`
``POST /peers``             admin      :class:`DialRequest` -> :class:`Peers`
``GET  /bridges``           search     :class:`BridgeQuery` -> :class:`Bridges`
``POST /bridges``           publish    :class:`BridgeRequest` -> :class:`Bridges`, the one that was made
``GET  /tokens``            admin      -> :class:`Tokens`
``POST /backup``            admin      nothing -> :class:`Backup`
``POST /tokens``            admin      :class:`TokenRequest` -> :class:`TokenGrant`
``DELETE /tokens/NAME``     admin      -> :class:`Tokens`
``GET  /audit``             admin      :class:`AuditQuery` -> :class:`Audit`
``GET  /owner``             search     -> :class:`OwnerView` of this node's owner
``POST /owner/charter``     admin      :class:`CharterRequest` -> :class:`OwnerView`
``GET  /owners/O``          search     -> :class:`OwnerView`
``GET  /owners/O/domain``   search     -> :class:`DomainProof`
``GET  /opinions``          search     -> :class:`Opinions`
``PUT  /opinions/SUBJECT``  admin      :class:`OpinionRequest` -> :class:`Opinion`
``GET  /groups``            search     -> :class:`Groups`
``POST /groups``            admin      :class:`CreateGroupRequest` -> :class:`Members`
``POST /groups/join``       admin      :class:`JoinRequest` -> :class:`Members`
``DELETE /groups/G``        admin      -> :class:`Left`
``GET  /groups/G/members``  search     -> :class:`Members`
``DELETE .../members/O``    admin      -> :class:`RosterChange`
``GET  /groups/G/invites``  admin      -> :class:`Invites` (also after ``DELETE .../invites/I``)
``POST /groups/G/invites``  admin      :class:`InviteRequest` -> :class:`InviteReceipt`
``POST /groups/G/rotate``   admin      -> :class:`RosterChange`
``PUT  /groups/G/policy``   admin      :class:`PolicyRequest` -> :class:`RosterChange`
``GET  .../proposals``      search     -> :class:`Proposals`
``POST .../proposals/R``    admin      -> :class:`RosterChange`
==========================  =========  ===========================================================

Outside of it stand ``GET /healthz`` and ``GET /openapi.json``, which need no token, and ``GET /metrics`` for
Prometheus (search). What is given with a GET or DELETE stands in the query, with another method in a JSON
body. Every error is :class:`Problem` with a real status code. Answers to GET carry an entity tag; with
``If-None-Match`` an unchanged one is a short 304.
"""

from .bridges import BridgeQuery, BridgeRequest, Bridges, BridgeView, PlankView
from .cards import CardView, Source, Sources
from .commands import Initialised, Ready, Restored, Setting, Settings, StoreCheck, StoreReport
from .common import API_PREFIX, ENDPOINT_FILE, Endpoint, PageQuery, Problem
from .groups import (
    CreateGroupRequest,
    Groups,
    GroupView,
    InviteReceipt,
    InviteRequest,
    Invites,
    InviteView,
    JoinRequest,
    Left,
    Members,
    MemberView,
    PolicyRequest,
    PolicyView,
    Proposal,
    Proposals,
    RosterChange,
)
from .network import DialRequest, Peers, PeerView, Status
from .operating import (
    Audit,
    AuditEntry,
    AuditQuery,
    Backup,
    Event,
    EventsQuery,
    Scope,
    TokenGrant,
    TokenRequest,
    Tokens,
    TokenView,
    WhyAnswer,
    WhyQuery,
    WhyReason,
)
from .owner import (
    CharterRequest,
    DomainProof,
    NodeKeyView,
    Opinion,
    OpinionRequest,
    Opinions,
    OwnerView,
)
from .publishing import (
    BlobReceipt,
    CheckReport,
    CheckResult,
    LaneAgreement,
    Learnwares,
    PublishReceipt,
    PublishRequest,
)
from .search import Coverage, Hit, MixView, SearchAnswer, SearchRequest, Shared, SketchView

__all__ = [
    "API_PREFIX",
    "ENDPOINT_FILE",
    "Audit",
    "AuditEntry",
    "AuditQuery",
    "Backup",
    "BlobReceipt",
    "BridgeQuery",
    "BridgeRequest",
    "BridgeView",
    "Bridges",
    "CardView",
    "CharterRequest",
    "CheckReport",
    "CheckResult",
    "Coverage",
    "CreateGroupRequest",
    "DialRequest",
    "DomainProof",
    "Endpoint",
    "Event",
    "EventsQuery",
    "GroupView",
    "Groups",
    "Hit",
    "Initialised",
    "InviteReceipt",
    "InviteRequest",
    "InviteView",
    "Invites",
    "JoinRequest",
    "LaneAgreement",
    "Learnwares",
    "Left",
    "MemberView",
    "Members",
    "MixView",
    "NodeKeyView",
    "Opinion",
    "OpinionRequest",
    "Opinions",
    "OwnerView",
    "PageQuery",
    "PeerView",
    "Peers",
    "PlankView",
    "PolicyRequest",
    "PolicyView",
    "Problem",
    "Proposal",
    "Proposals",
    "PublishReceipt",
    "PublishRequest",
    "Ready",
    "Restored",
    "RosterChange",
    "Scope",
    "SearchAnswer",
    "SearchRequest",
    "Setting",
    "Settings",
    "Shared",
    "SketchView",
    "Source",
    "Sources",
    "Status",
    "StoreCheck",
    "StoreReport",
    "TokenGrant",
    "TokenRequest",
    "TokenView",
    "Tokens",
    "WhyAnswer",
    "WhyQuery",
    "WhyReason",
]
