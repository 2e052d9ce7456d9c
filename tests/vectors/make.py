"""Writes the frozen vectors of the protocol: ``python -m tests.vectors.make``.

They are frozen: a change in their bytes is a change of the wire format, which takes a new protocol version. A
test makes them anew in memory and compares; another reads them with the ``msgpack`` package and hashlib
alone, by the document. All keys are from fixed seeds and Ed25519 is deterministic, so the files are the same
everywhere.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from skerry.protocol import (
    MESSAGE,
    Blob,
    Card,
    Catalogue,
    Entry,
    Handshake,
    Identity,
    NodeKey,
    Role,
    Signer,
    fingerprint,
    make_head,
    make_node_record,
    new_charter,
    next_charter,
    open_envelope,
    owner_id,
    tagged_hash,
    verify_card,
    verify_chain,
    verify_head,
)
from skerry.protocol.admission import make_admission
from skerry.protocol.draft import finished, make_draft, proposals, read_drafts
from skerry.protocol.exchange import (
    Full,
    Graft,
    IHave,
    Neighbour,
    Newest,
    NewestRequest,
    NodesRequest,
    Offer,
    Prune,
    Ranges,
    RecordsRequest,
)
from skerry.protocol.groups import tag
from skerry.protocol.invite import Invite, make_redemption
from skerry.protocol.messages import (
    Cards,
    CardsRequest,
    Digest,
    Groups,
    Join,
    Missing,
    News,
    Records,
    RosterTips,
    Token,
    Tree,
    TreeRequest,
)
from skerry.protocol.passing import Dial, DialRequest, RangePart, RangeRequest
from skerry.protocol.policy import GroupPolicy
from skerry.protocol.reconcile import Listed, Range
from skerry.protocol.report import make_report
from skerry.protocol.roster import GroupRole, Member, Rosters, make_roster
from skerry.protocol.tree import TOP_LEVEL, CountedTree

FOLDER = Path(__file__).parent
NOW = 1_760_000_000
DAY = 86_400
CERTIFICATE = sha256(b"certificate").digest()


def signer(name: str) -> Signer:
    return Signer.from_bytes(sha256(b"vector key " + name.encode()).digest())


OWNER, OWNER_2, RECOVERY, NODE = (signer(name) for name in ("owner", "owner 2", "recovery", "node"))
NODE_KEY = NodeKey(NODE.public_key, ("publish", "serve"), NOW - DAY, NOW + 400 * DAY)

FIRST = new_charter(
    name="Vector Institute",
    owner_signers=[OWNER],
    recovery_key=RECOVERY.public_key,
    node_keys=[NODE_KEY],
    issued=NOW - 3 * DAY,
    about="Makes vectors",
    contact="vectors@example.org",
    url="https://example.org",
)
SECOND = next_charter(FIRST, [OWNER], issued=NOW - 2 * DAY, owner_keys=(OWNER_2.public_key, OWNER.public_key))
THIRD = next_charter(SECOND, [OWNER, OWNER_2], issued=NOW - DAY, node_keys=(), epoch=2)
FOURTH = next_charter(THIRD, [RECOVERY], issued=NOW - DAY, node_keys=(NODE_KEY,), about="Recovered")
CHAIN = [envelope.to_bytes() for envelope in (FIRST, SECOND, THIRD, FOURTH)]
OWNER_ID = owner_id(FIRST.body)


def card(number: int) -> Card:
    return Card(
        owner=OWNER_ID,
        slug=f"model-{number}",
        version=1 + number % 3,
        name=f"Model {number}",
        summary="A summary with a letter beyond ASCII: \u00e9",
        data="Table",
        task="Classification",
        library="Scikit-learn",
        scenarios=("Health",),
        license="MIT",
        tags=(),
        language="en",
        classes=2,
        island=sha256(b"island %d" % (number % 2)).digest(),
        dimension=2,
        sketch_version=1,
        sketch=bytes((number + position) % 256 for position in range(256)),
        means=bytes.fromhex("0000803f00000040"),
        spreads=bytes.fromhex("0000003f0000803f"),
        specification=Blob(sha256(b"specification %d" % number).digest(), 4000 + number),
        package=Blob(sha256(b"package %d" % number).digest(), 90_000 + number),
        lane="skops",
        published=NOW + number,
    )


CARDS = [card(number).to_bytes() for number in range(60)]
ENTRIES = [Entry(item.value.id, item.value.island, item.hash) for item in map(verify_card, CARDS)]
CATALOGUE = Catalogue.build(ENTRIES)


def head_of(catalogue: Catalogue, seq: int) -> bytes:
    return make_head(
        NODE, owner=OWNER_ID, epoch=2, seq=seq, root=catalogue.root, count=catalogue.count, issued=NOW
    ).to_bytes()


NODE_RECORD = make_node_record(
    NODE, owner=OWNER_ID, seq=7, issued=NOW, addresses=["node.example.org:8443"], certificate=CERTIFICATE
).to_bytes()


def charters() -> dict[str, Any]:
    """A chain with a rotation of owner keys, a revocation, and a recovery."""
    trust = verify_chain(CHAIN, NOW)
    return {
        "owner": trust.owner,
        "work_bits": 18,
        "envelopes": CHAIN,
        "hashes": [link.verified.hash for link in trust.links],
        "epochs": [link.verified.value.epoch for link in trust.links],
        "by_recovery_key": [link.recovered for link in trust.links],
    }


def records() -> dict[str, Any]:
    """A head, a node record, a report, and two heads that equivocate."""
    head = head_of(CATALOGUE, 5)
    return {
        "now": NOW,
        "head": head,
        "head_hash": verify_head(head, verify_chain(CHAIN, NOW), NOW).hash,
        "node_record": NODE_RECORD,
        "report": make_report(
            NODE,
            owner=OWNER_ID,
            scope=b"",
            accused=bytes(32),
            card=ENTRIES[0].hash,
            issued=NOW,
        ).to_bytes(),
        "equivocation": [head_of(Catalogue(), 6), head_of(Catalogue.build(ENTRIES[:1]), 6)],
    }


def catalogues() -> dict[str, Any]:
    """Cards with ids and hashes, catalogues of the first so many, and inclusion proofs."""
    return {
        "cards": CARDS,
        "ids": [entry.id for entry in ENTRIES],
        "hashes": [entry.hash for entry in ENTRIES],
        "roots": [
            {"count": count, "root": Catalogue.build(ENTRIES[:count]).root} for count in (0, 1, 2, 48, 49, 60)
        ],
        "proofs": [
            {"card": number, "proof": CATALOGUE.prove(ENTRIES[number].id).to_bytes()} for number in (0, 31)
        ],
    }


def trees() -> dict[str, Any]:
    """Trees over the items (SHA-256 of ``key N``, SHA-256 of ``leaf N``), N in decimal from 0."""
    return {"trees": [tree(count) for count in (0, 1, 24, 25, 100, 1000, 10_000)]}


def tree(count: int) -> dict[str, Any]:
    built = CountedTree(32)
    built.update(
        (sha256(b"key %d" % number).digest(), sha256(b"leaf %d" % number).digest()) for number in range(count)
    )
    return {"count": count, "k": built.k, "root": built.root[8:]}


def fingerprints() -> dict[str, Any]:
    """Fingerprints of the hashes SHA-256 of ``member N``, N in decimal from 0."""
    hashes = [sha256(b"member %d" % number).digest() for number in range(10)]
    return {
        "fingerprints": [
            {"count": count, "fingerprint": fingerprint(hashes[:count])} for count in (0, 1, 2, 10)
        ]
    }


def handshake() -> dict[str, Any]:
    """All four frames of a handshake between two connections of one institution's keys."""
    other = signer("client node")
    first = new_charter(
        name="Client",
        owner_signers=[signer("client owner")],
        recovery_key=signer("client recovery").public_key,
        node_keys=[NodeKey(other.public_key, ("serve",), NOW - DAY, NOW + DAY * 400)],
        issued=NOW - DAY,
    )
    record = make_node_record(
        other, owner=owner_id(first.body), seq=1, issued=NOW, certificate=sha256(b"client").digest()
    )
    client = Handshake(
        Role.CLIENT,
        Identity(other, (first.to_bytes(),), record.to_bytes()),
        network="vectors",
        binding=CERTIFICATE,
        nonce=sha256(b"client nonce").digest(),
        now=NOW,
    )
    server = Handshake(
        Role.SERVER,
        Identity(NODE, tuple(CHAIN), NODE_RECORD),
        network="vectors",
        binding=CERTIFICATE,
        nonce=sha256(b"server nonce").digest(),
        now=NOW,
    )
    client_hello, server_hello = client.start(), server.start()
    client_proof, server_proof = client.receive(server_hello), server.receive(client_hello)
    return {
        "binding": CERTIFICATE,
        "client_hello": client_hello,
        "server_hello": server_hello,
        "client_proof": client_proof,
        "server_proof": server_proof,
    }


HEAD_HASH = sha256(b"head").digest()


def part_of_catalogue(island: bytes, level: int) -> Tree:
    answer = CATALOGUE.answer(TreeRequest(HEAD_HASH, island, level, 0))
    assert answer is not None
    return answer


SAMPLES: tuple[Struct, ...] = (
    Digest(b"", 3, sha256(b"fingerprint").digest()),
    Records(((FIRST.to_bytes(),),), (NODE_RECORD,)),
    Join((FIRST.to_bytes(),), NODE_RECORD, 6),
    TreeRequest(HEAD_HASH, b"", TOP_LEVEL, 0),
    part_of_catalogue(b"", TOP_LEVEL),
    part_of_catalogue(CATALOGUE.shelves[0].island, 1),
    CardsRequest(HEAD_HASH, (ENTRIES[0].hash,)),
    Cards(HEAD_HASH, (CARDS[0],)),
    News(head_of(CATALOGUE, 5), 4, (CARDS[1],), (ENTRIES[2].id,)),
    Missing(HEAD_HASH),
    Groups(tuple(sorted(sha256(b"tag %d" % number).digest() for number in range(16)))),
    RosterTips(HEAD_HASH, (HEAD_HASH,)),
    Token(bytes(104), 900),
    Neighbour(alone=True),
    Full(),
    Offer((HEAD_HASH[:8],), wants_offer=True, more=True),
    NodesRequest((HEAD_HASH[:8],)),
    Ranges(
        b"",
        1,
        (
            Range("", tuple(HEAD_HASH[:16] for _ in range(16)), (), whole=False),
            Range("a1", (), (Listed(HEAD_HASH[:8], 2, 5, HEAD_HASH[8:12]),), whole=True),
        ),
    ),
    RecordsRequest(b"", (NODE.public_key,)),
    NewestRequest(b""),
    Newest(b"", head_of(CATALOGUE, 5)),
    IHave(b"", (HEAD_HASH,)),
    Graft(b"", HEAD_HASH),
    Prune(b""),
    DialRequest(NODE.public_key),
    Dial(NODE.public_key),
    RangeRequest(7, HEAD_HASH, leaves=False, offset=32768, length=32768),
    RangePart(7, HEAD_HASH),
)
"""At least one of every message of version 1, but for those of the handshake."""


def messages() -> dict[str, Any]:
    """Frames with what they say."""
    return {
        "frames": [
            {"type": str(sample.__struct_config__.tag), "frame": MESSAGE.encode(sample)} for sample in SAMPLES
        ]
    }


def groups() -> dict[str, Any]:
    """A group whose two admins once did not know of each other's roster, an admission, and a blinded tag."""
    admins = [signer("admin 1"), signer("admin 2")]
    both = [
        Member(OWNER_ID, GroupRole.ADMIN, admins[0].public_key, b""),
        Member(sha256(b"another").digest(), GroupRole.ADMIN, admins[1].public_key, OWNER_ID),
    ]

    def member(name: str, role: GroupRole) -> Member:
        return Member(sha256(name.encode()).digest(), role, b"", OWNER_ID)

    def roster(parents: list[bytes], admin: Signer, issued: int, *members: Member) -> bytes:
        envelope = make_roster(
            [known.known[open_envelope(raw).hash] for raw in parents],
            [admin],
            owner=OWNER_ID,
            issued=NOW + issued,
            members=[*both, *members],
        )
        known.add(envelope.to_bytes(), NOW)
        return envelope.to_bytes()

    reader, publisher = member("reader", GroupRole.READER), member("publisher", GroupRole.PUBLISHER)
    first = make_roster([], admins, owner=OWNER_ID, issued=NOW, members=both, name="Vectors").to_bytes()
    known = Rosters(first, NOW)
    one = roster([first], admins[0], 1, reader, publisher)
    other = roster([first], admins[1], 2, member("reader", GroupRole.PUBLISHER))
    joined = roster([one, other], admins[1], 3, publisher)
    admission = make_admission(
        NODE,
        owner=OWNER_ID,
        group=known.group,
        version=known.version,
        member=reader.owner,
        role=GroupRole.READER,
        issued=NOW,
    )
    return {
        "group": known.group,
        "rosters": [first, one, other, joined],
        "members_when_forked": sorted([*(item.owner for item in both), reader.owner]),
        "members": sorted(known.standings),
        "admission": admission.to_bytes(),
        "nonces": [bytes(32), bytes([1]) * 32],
        "node_key": NODE.public_key,
        "tag": tag(known.group, tagged_hash("skerry/session/1", bytes(32), bytes([1]) * 32), NODE.public_key),
    }


def group_papers() -> dict[str, Any]:
    """A roster with a policy that two admins sign by drafts, an invite, and who redeems it."""
    admins = [signer("admin 1"), signer("admin 2")]
    people = [
        Member(OWNER_ID, GroupRole.ADMIN, admins[0].public_key, b""),
        Member(sha256(b"another").digest(), GroupRole.ADMIN, admins[1].public_key, OWNER_ID),
    ]
    policy = GroupPolicy(("onnx", "skops"), ("license", "summary"), 40, 2**20, signers=2, admins=3)
    first = make_roster([], admins, owner=OWNER_ID, issued=NOW, members=people, name="Papers", threshold=2)
    known = Rosters(first.to_bytes(), NOW)
    second = make_roster(
        known.tips, admins[:1], owner=OWNER_ID, issued=NOW + 1, members=people, policy=policy
    )
    drafts = [
        make_draft(
            NODE,
            admin,
            second.body,
            owner=OWNER_ID,
            group=known.group,
            issued=NOW + 2 + place,
            whole=place == 0,
        )
        for place, admin in enumerate(admins)
    ]
    raws = [draft.to_bytes() for draft in drafts]
    ((body, signatures),) = proposals(
        read_drafts(raws), known.known, [tip.hash for tip in known.tips], NOW + 4
    ).values()
    roster = finished(body, signatures, known.known, NOW + 4)
    assert roster is not None
    invite = Invite(
        addresses=("node.example:8443",),
        certificate=sha256(b"certificate").digest(),
        issuer=NODE.public_key,
        group=known.group,
        name="Papers",
        role=GroupRole.PUBLISHER,
        secret=sha256(b"secret").digest(),
        expires=NOW + 86_400,
        uses=3,
    )
    redemption = make_redemption(NODE, invite, owner=OWNER_ID, admin_key=b"", issued=NOW)
    return {
        "group": known.group,
        "first": first.to_bytes(),
        "drafts": raws,
        "roster": roster.to_bytes(),
        "invite": invite.to_text().encode("ascii"),
        "redemption": redemption.to_bytes(),
    }


FILES = {
    "charters": charters,
    "records": records,
    "catalogues": catalogues,
    "trees": trees,
    "fingerprints": fingerprints,
    "handshake": handshake,
    "groups": groups,
    "group-papers": group_papers,
    "messages-v1": messages,
}


def as_json(value: Any) -> Any:
    """Return the value with bytes as hexadecimal text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list) else value


def text_of(name: str) -> str:
    """Return what the file of a vector holds."""
    return json.dumps(as_json(FILES[name]()), indent=1) + "\n"


def main() -> None:
    """Write all files."""
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="ascii")


if __name__ == "__main__":
    main()
