"""The vectors read by the document alone: ``msgpack``, ``hashlib`` and Ed25519, none of our code.

Section numbers are those of ``docs/protocol.md``. What this file computes, a second implementation would.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FOLDER = Path(__file__).parent
DAY = 86_400
Item = tuple[bytes, int, bytes]
"""A tree's item: key, count, leaf."""


def vector(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"), object_hook=from_hex)


def from_hex(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value if key == "type" else bytes_of(value) for key, value in fields.items()}


def bytes_of(value: Any) -> Any:
    if isinstance(value, list):
        return [bytes_of(item) for item in value]
    return bytes.fromhex(value) if isinstance(value, str) else value


# Section 1


def H(domain: str, *parts: bytes) -> bytes:  # noqa: N802 - the document's name
    return sha256(domain.encode("ascii") + b"\0" + b"".join(parts)).digest()


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def is_signed(key: bytes, domain: str, body: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, domain.encode("ascii") + b"\0" + body)
    except InvalidSignature:
        return False
    return True


def is_deterministic(raw: bytes) -> bool:
    """Integers in their shortest form, text as str, bytes as bin: what msgpack writes for the same values."""
    return bytes(msgpack.packb(msgpack.unpackb(raw))) == raw


# Section 2


def opened(raw: bytes) -> tuple[str, bytes, list[bytes]]:
    """Check an envelope; return type, body and the keys that signed."""
    kind, body, signatures = msgpack.unpackb(raw)
    keys = [key for key, _ in signatures]
    assert keys == sorted(set(keys))
    assert all(is_signed(key, f"skerry/record/1/{kind}", body, signature) for key, signature in signatures)
    assert is_deterministic(raw)
    assert is_deterministic(body)
    return kind, body, keys


def envelope_hash(raw: bytes) -> bytes:
    kind, body, _ = msgpack.unpackb(raw)
    return H("skerry/envelope/1", kind.encode("ascii"), b"\0", body)


# Section 3


def test_the_charters_follow_one_another() -> None:
    vectors = vector("charters")
    previous: dict[str, Any] = {}
    for number, raw in enumerate(vectors["envelopes"]):
        kind, body, signers = opened(raw)
        charter = msgpack.unpackb(body)
        assert kind == "charter"
        assert charter["version"] == number + 1
        assert charter["epoch"] == vectors["epochs"][number]
        assert envelope_hash(raw) == vectors["hashes"][number]
        if number == 0:
            assert H("skerry/owner/1", body) == vectors["owner"]
            work = int.from_bytes(H("skerry/work/1", body), "big")
            assert work.bit_length() <= 256 - vectors["work_bits"]
            assert charter["previous"] == b""
            assert len(set(signers) & set(charter["owner_keys"])) >= charter["threshold"]
        else:
            assert charter["previous"] == vectors["hashes"][number - 1]
            assert charter["issued"] >= previous["issued"]
            by_recovery = signers == [previous["recovery_key"]]
            assert by_recovery is vectors["by_recovery_key"][number]
            assert by_recovery or len(set(signers) & set(previous["owner_keys"])) >= previous["threshold"]
        previous = charter


# Section 4


def test_cards_have_their_ids_and_hashes() -> None:
    vectors = vector("catalogues")
    for raw, card_id, card_hash in zip(vectors["cards"], vectors["ids"], vectors["hashes"], strict=True):
        card = msgpack.unpackb(raw)
        assert H("skerry/card-id/1", card["owner"], card["slug"].encode("ascii")) == card_id
        assert H("skerry/card/1", raw) == card_hash
        assert len(raw) <= 2048
        assert len(card["sketch"]) == 256
        assert is_deterministic(raw)


# Section 5


def tree(items: list[Item]) -> tuple[int, int, bytes]:
    """Return k, count and root of a tree."""
    k = 0
    while max(map(len, buckets(items, k))) > 24 and k < 20:
        k += 1
    level = [
        (sum(count for _, count, _ in bucket), H("skerry/bucket/1", *(leaf for _, _, leaf in bucket)))
        for bucket in buckets(items, k)
    ]
    while len(level) > 1:
        level = [node(level[start : start + 16]) for start in range(0, len(level), 16)]
    return k, *level[0]


def buckets(items: list[Item], k: int) -> list[list[Item]]:
    found: list[list[Item]] = [[] for _ in range(2**k)]
    for item in sorted(items):
        found[int.from_bytes(item[0], "big") >> (256 - k)].append(item)
    return found


def node(children: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    parts = [part for count, digest in children for part in (u64(count), digest)]
    return sum(count for count, _ in children), H("skerry/node/1", *parts)


def catalogue_root(cards: list[bytes]) -> bytes:
    shelves: dict[bytes, list[Item]] = {}
    for raw in cards:
        card = msgpack.unpackb(raw)
        key = H("skerry/card-id/1", card["owner"], card["slug"].encode("ascii"))
        shelves.setdefault(card["island"], []).append((key, 1, H("skerry/card/1", raw)))
    items: list[Item] = []
    for island, shelf in shelves.items():
        k, count, root = tree(shelf)
        items.append((island, count, island + u64(count) + u8(k) + root))
    k, count, root = tree(items)
    return H("skerry/catalogue/1", u8(k), u64(count), root)


@pytest.mark.parametrize("expected", vector("trees")["trees"], ids=lambda item: str(item["count"]))
def test_trees_have_their_roots(expected: dict[str, Any]) -> None:
    items = [
        (sha256(b"key %d" % number).digest(), 1, sha256(b"leaf %d" % number).digest())
        for number in range(expected["count"])
    ]
    assert tree(items) == (expected["k"], expected["count"], expected["root"])


def test_catalogues_have_their_roots() -> None:
    vectors = vector("catalogues")
    for expected in vectors["roots"]:
        assert catalogue_root(vectors["cards"][: expected["count"]]) == expected["root"]


def climb(
    path: dict[str, Any], key: bytes, leaf: bytes, count_of: Callable[[bytes], int]
) -> tuple[int, bytes]:
    """Return count and root that a path gives for an item."""
    assert leaf in path["bucket"]
    count = sum(map(count_of, path["bucket"]))
    digest = H("skerry/bucket/1", *path["bucket"])
    index = int.from_bytes(key, "big") >> (256 - path["k"])
    for children in path["levels"]:
        assert children[index % len(children)] == u64(count) + digest
        count, digest = node([(int.from_bytes(child[:8], "big"), child[8:]) for child in children])
        index //= len(children)
    assert index == 0
    return count, digest


def test_inclusion_proofs_lead_to_the_root() -> None:
    vectors = vector("catalogues")
    root = next(item["root"] for item in vectors["roots"] if item["count"] == 60)
    for item in vectors["proofs"]:
        proof = msgpack.unpackb(item["proof"])
        card = msgpack.unpackb(vectors["cards"][item["card"]])
        shelf, catalogue = proof["shelf"], proof["catalogue"]
        card_id, card_hash = vectors["ids"][item["card"]], vectors["hashes"][item["card"]]
        count, digest = climb(shelf, card_id, card_hash, lambda _: 1)
        leaf = card["island"] + u64(count) + u8(shelf["k"]) + digest
        total, top = climb(catalogue, card["island"], leaf, lambda item: int.from_bytes(item[32:40], "big"))
        assert total == 60
        assert H("skerry/catalogue/1", u8(catalogue["k"]), u64(total), top) == root


# Section 6


def test_the_head_signs_the_catalogue() -> None:
    vectors, charters, catalogues = vector("records"), vector("charters"), vector("catalogues")
    kind, body, (signer,) = opened(vectors["head"])
    head = msgpack.unpackb(body)
    newest = msgpack.unpackb(opened(charters["envelopes"][-1])[1])
    key = next(item for item in newest["node_keys"] if item["key"] == signer)
    assert kind == "head"
    assert "publish" in key["roles"]
    assert head["owner"] == charters["owner"]
    assert head["node_key"] == signer
    assert head["epoch"] == newest["epoch"]
    assert (head["root"], head["count"]) == (catalogue_root(catalogues["cards"]), 60)
    assert 0 < head["lease"] - head["issued"] <= 21 * DAY
    assert key["not_before"] <= head["issued"] <= head["lease"] <= key["not_after"]
    assert envelope_hash(vectors["head"]) == vectors["head_hash"]
    assert list(head)[:4] == ["owner", "scope", "issued", "lease"]


def test_equivocation_is_two_bodies_with_one_number() -> None:
    first, second = (msgpack.unpackb(opened(raw)[1]) for raw in vector("records")["equivocation"])
    for field in ("node_key", "scope", "epoch", "seq"):
        assert first[field] == second[field]
    assert first != second


def test_the_node_record_names_its_server() -> None:
    vectors = vector("records")
    kind, body, (signer,) = opened(vectors["node_record"])
    record = msgpack.unpackb(body)
    assert kind == "node"
    assert record["node_key"] == signer
    assert record["mode"] == "pinned"
    assert record["certificate"] == vector("handshake")["binding"]
    assert record["lease"] - record["issued"] <= 72 * 3600


def test_the_report_accuses_a_card() -> None:
    kind, body, (signer,) = opened(vector("records")["report"])
    report = msgpack.unpackb(body)
    assert kind == "sketch-report"
    assert report["node_key"] == signer
    assert report["card"] == vector("catalogues")["hashes"][0]
    assert report["lease"] - report["issued"] <= 21 * DAY


# Section 7


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_proof_of_a_handshake_covers_both_greetings(role: str) -> None:
    vectors = vector("handshake")
    other = "server" if role == "client" else "client"
    proof = msgpack.unpackb(vectors[f"{role}_proof"])
    kind, body, (signer,) = opened(proof["proof"])
    said = msgpack.unpackb(body)
    first = opened(proof["charters"][0])[1]
    record = msgpack.unpackb(opened(proof["node"])[1])
    assert kind == "hello"
    assert (said["own"], said["peer"]) == (vectors[f"{role}_hello"], vectors[f"{other}_hello"])
    assert said["role"] == role
    assert said["binding"] == vectors["binding"]
    assert said["node_key"] == record["node_key"] == signer
    assert said["owner"] == record["owner"] == H("skerry/owner/1", first)
    assert said["lease"] - said["issued"] <= 600


def test_every_frame_is_a_map_with_its_type_first() -> None:
    for item in vector("messages-v1")["frames"]:
        message = msgpack.unpackb(item["frame"])
        assert next(iter(message)) == "type"
        assert message["type"] == item["type"]
        assert len(item["frame"]) <= 64 * 1024
        assert is_deterministic(item["frame"])


def test_fingerprints_add() -> None:
    for item in vector("fingerprints")["fingerprints"]:
        members = [sha256(b"member %d" % number).digest() for number in range(item["count"])]
        total = sum(int.from_bytes(member, "big") for member in members) % 2**256
        expected = H("skerry/fingerprint/1", u64(item["count"]), total.to_bytes(32, "big"))
        assert item["fingerprint"] == expected


# Section 10


def tips(rosters: dict[bytes, dict[str, Any]]) -> list[dict[str, Any]]:
    named = {parent for roster in rosters.values() for parent in roster["parents"]}
    return [roster for digest, roster in rosters.items() if digest not in named]


def members(rosters: dict[bytes, dict[str, Any]]) -> list[bytes]:
    return sorted(
        set.intersection(*({member["owner"] for member in item["members"]} for item in tips(rosters)))
    )


def test_the_rosters_follow_one_another_and_members_of_all_tips_count() -> None:
    given = vector("groups")
    rosters: dict[bytes, dict[str, Any]] = {}
    seen = []
    for raw in given["rosters"]:
        kind, body, keys = opened(raw)
        roster = msgpack.unpackb(body)
        for elector in [rosters[parent] for parent in roster["parents"]] or [roster]:
            admins = {member["key"] for member in elector["members"] if member["role"] == "admin"}
            assert len(admins & set(keys)) >= elector["threshold"]
        assert roster["version"] == 1 + max(
            (rosters[parent]["version"] for parent in roster["parents"]), default=0
        )
        assert roster["scope"] == (given["group"] if rosters else b"")
        rosters[H("skerry/envelope/1", kind.encode(), b"\0", body)] = roster
        seen.append(members(rosters))
    assert next(iter(rosters)) == given["group"]
    assert seen[2] == given["members_when_forked"]
    assert seen[3] == given["members"]


def test_the_admission_is_for_the_newest_version_and_the_tag_names_the_connection() -> None:
    given = vector("groups")
    kind, body, keys = opened(given["admission"])
    admission = msgpack.unpackb(body)
    assert (kind, keys) == ("admission", [admission["node_key"]])
    assert (admission["scope"], admission["version"], admission["role"]) == (given["group"], 3, "reader")
    session = H("skerry/session/1", *given["nonces"])
    assert H("skerry/membership/1", given["group"], session, given["node_key"]) == given["tag"]


def test_drafts_make_a_roster_with_a_policy_when_enough_admins_signed() -> None:
    given = vector("group-papers")
    kind, body, _ = opened(given["first"])
    first = msgpack.unpackb(body)
    assert H("skerry/envelope/1", kind.encode(), b"\0", body) == given["group"]
    assert "policy" not in first, "an empty one is left out"
    proposed, keys, digests = b"", [], set()
    for raw in given["drafts"]:
        kind, body, signers = opened(raw)
        draft = msgpack.unpackb(body)
        assert (kind, draft["scope"], len(signers)) == ("roster-draft", given["group"], 1)
        proposed = proposed or draft["body"]
        assert is_signed(draft["key"], "skerry/record/1/roster", proposed, draft["signature"])
        keys.append(draft["key"])
        digests.add(draft["roster"])
    assert digests == {H("skerry/envelope/1", b"roster", b"\0", proposed)}
    kind, body, signers = opened(given["roster"])
    roster = msgpack.unpackb(body)
    admins = {member["key"] for member in first["members"] if member["role"] == "admin"}
    assert (kind, body, signers) == ("roster", proposed, sorted(keys))
    assert set(signers) <= admins
    assert len(signers) >= first["threshold"] == 2
    assert (roster["parents"], roster["version"], roster["scope"]) == ([given["group"]], 2, given["group"])
    assert roster["policy"] == {
        "lanes": ["onnx", "skops"],
        "required": ["license", "summary"],
        "cards_max": 40,
        "package_bytes_max": 2**20,
        "signers": 2,
        "admins": 3,
    }


def test_an_invite_is_one_string_and_the_redemption_names_its_secret_by_hash() -> None:
    given = vector("group-papers")
    prefix, _, text = given["invite"].decode("ascii").partition(".")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert prefix == "skerry-invite-1"
    assert sha256(b"skerry/invite/1\0" + raw[:-4]).digest()[:4] == raw[-4:]
    assert is_deterministic(raw[:-4])
    invite = msgpack.unpackb(raw[:-4])
    assert (invite["group"], invite["role"], invite["uses"]) == (given["group"], "publisher", 3)
    kind, body, keys = opened(given["redemption"])
    redemption = msgpack.unpackb(body)
    assert (kind, keys) == ("redemption", [redemption["node_key"]])
    assert redemption["secret_hash"] == H("skerry/invite-secret/1", invite["secret"])
    assert (redemption["issuer"], redemption["scope"]) == (invite["issuer"], invite["group"])
    assert redemption["lease"] - redemption["issued"] == 600


def test_this_file_uses_none_of_our_code() -> None:
    nodes = list(ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8"))))
    names = {alias.name for item in nodes if isinstance(item, ast.Import) for alias in item.names}
    names |= {str(item.module) for item in nodes if isinstance(item, ast.ImportFrom)}
    assert not [name for name in names if name.startswith(("skerry", "tests", "."))]
