"""Catalogues: built, changed, walked by a reader, proved."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol import (
    MESSAGE,
    Branch,
    Catalogue,
    Entry,
    Head,
    LocalProtocolError,
    RemoteProtocolError,
    Shelf,
    Violation,
    verify_below,
    verify_bucket_cards,
    verify_card,
    verify_head,
    verify_inclusion,
    verify_top,
)
from skerry.protocol.catalogue import PROOF, catalogue_root
from skerry.protocol.messages import Tree, TreeRequest
from skerry.protocol.tree import EMPTY, TOP_LEVEL

from .world import NOW, Lab, card, random_ids, refused

LAB = Lab()
OWNER = LAB.id
HASH = bytes(32)


def some_cards(count: int, islands: int = 3, version: int = 1) -> list[bytes]:
    return [
        card(OWNER, f"model-{number}", number % islands, version=version).to_bytes()
        for number in range(count)
    ]


def entry_of(raw: bytes) -> Entry:
    verified = verify_card(raw)
    return Entry(verified.value.id, verified.value.island, verified.hash)


def catalogue_of(cards: list[bytes]) -> Catalogue:
    return Catalogue.build(map(entry_of, cards))


def head_of(catalogue: Catalogue, seq: int = 1) -> Head:
    envelope = LAB.head(root=catalogue.root, count=catalogue.count, seq=seq)
    return verify_head(envelope.to_bytes(), LAB.trust, NOW).value


@dataclass
class Reader:
    """Walks down from a head, asking ``source``, and skips what ``own`` holds already."""

    source: Catalogue
    head: Head
    own: Catalogue = field(default_factory=Catalogue)
    requests: int = 0
    bytes: int = 0
    buckets: list[tuple[Branch, tuple[bytes, ...]]] = field(default_factory=list)

    def ask(self, island: bytes, level: int, index: int) -> Tree:
        request = MESSAGE.encode(TreeRequest(HASH, island, level, index))
        answer = self.source.answer(TreeRequest(HASH, island, level, index))
        assert answer is not None
        frame = MESSAGE.encode(answer)
        self.requests += 1
        self.bytes += len(request) + len(frame)
        decoded = MESSAGE.decode(frame)
        assert isinstance(decoded, Tree)
        return decoded

    def walk(self) -> list[bytes]:
        pending = list(verify_top(self.head, self.ask(b"", TOP_LEVEL, 0)).branches)
        found: list[bytes] = []
        while pending:
            branch = pending.pop()
            if self.own.holds(branch):
                continue
            below = verify_below(branch, self.ask(branch.island, branch.level, branch.index))
            pending += below.branches
            found += below.hashes
            if below.hashes:
                self.buckets.append((branch, below.hashes))
        return found


def test_an_empty_catalogue_has_a_root() -> None:
    assert Catalogue().count == 0
    assert Catalogue().root == catalogue_root(0, 0, EMPTY[0][8:])
    assert Catalogue().shelves == []
    assert Reader(Catalogue(), head_of(Catalogue())).walk() == []


@pytest.mark.parametrize(("count", "islands"), [(1, 1), (24, 1), (25, 1), (300, 3), (300, 60)])
def test_a_reader_finds_every_card_and_verifies_it(count: int, islands: int) -> None:
    cards = some_cards(count, islands)
    catalogue = catalogue_of(cards)
    by_hash = {verify_card(raw).hash: raw for raw in cards}
    reader = Reader(catalogue, head_of(catalogue))
    assert sorted(reader.walk()) == sorted(by_hash)
    for branch, hashes in reader.buckets:
        verified = verify_bucket_cards(branch, hashes, [by_hash[digest] for digest in hashes], OWNER)
        assert [item.hash for item in verified] == list(hashes)


def test_a_shelf_stands_with_its_count_in_the_catalogue() -> None:
    catalogue = catalogue_of(some_cards(30, 3))
    assert [shelf.cards for shelf in catalogue.shelves] == [10, 10, 10]
    leaf = catalogue.shelves[0].to_leaf()
    assert len(leaf) == 73
    assert Shelf.from_leaf(leaf) == catalogue.shelves[0]
    with refused(Violation.TREE_INVALID):
        Shelf.from_leaf(leaf[:40] + b"\x15" + leaf[41:])


def test_one_change_is_found_in_few_requests() -> None:
    cards = some_cards(3000, 1)
    old, new = catalogue_of(cards), catalogue_of(cards)
    changed = card(OWNER, "model-5", 0, version=2).to_bytes()
    new.update([entry_of(changed)])
    reader = Reader(new, head_of(new), own=old)
    hashes = reader.walk()
    assert entry_of(changed).hash in hashes
    assert len(hashes) <= 24
    assert reader.requests <= 5


SLUGS = st.lists(st.integers(0, 40), max_size=60)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.integers(1, 3)), max_size=80), SLUGS, SLUGS
)
def test_any_change_equals_building_anew_and_can_be_taken_back(
    start: list[tuple[int, int, int]], removed: list[int], moved: list[int]
) -> None:
    def entry(slug: int, island: int, version: int) -> Entry:
        digest = sha256(f"{slug}/{island}/{version}".encode()).digest()
        return Entry(sha256(b"id%d" % slug).digest(), sha256(b"island%d" % island).digest(), digest)

    cards = {slug: entry(slug, island, version) for slug, island, version in start}
    catalogue = Catalogue.build(cards.values())
    before = catalogue.root
    changes = {slug: entry(slug, slug % 5, 9) for slug in moved}
    undo = catalogue.update(changes.values(), [entry(slug, 0, 1).id for slug in removed])
    after = {slug: item for slug, item in cards.items() if slug not in removed} | changes
    fresh = Catalogue.build(after.values())
    assert (catalogue.root, catalogue.count) == (fresh.root, len(after))
    assert catalogue.shelves == fresh.shelves
    catalogue.update(*undo)
    assert catalogue.root == before


def test_with_very_many_shelves_cards_are_found_moved_and_removed_alike() -> None:
    ids = random_ids(300)
    islands = random_ids(200, seed=2)
    entries = [Entry(card_id, islands[number % 200], card_id) for number, card_id in enumerate(ids)]
    catalogue = Catalogue.build(entries[:150])
    undo = catalogue.update(entries[150:], ids[:20])
    assert [catalogue.find(card_id) for card_id in ids] == [None] * 20 + entries[20:]
    moved = [entry._replace(island=islands[0]) for entry in entries[100:]]
    back = catalogue.update(moved)
    assert catalogue.root == Catalogue.build(entries[20:100] + moved).root
    catalogue.update(*back)
    catalogue.update(*undo)
    assert catalogue.root == Catalogue.build(entries[:150]).root
    assert [catalogue.find(card_id) for card_id in ids] == entries[:150] + [None] * 150


def test_a_card_that_changes_its_island_moves() -> None:
    cards = some_cards(10, 2)
    catalogue = catalogue_of(cards)
    moved = entry_of(card(OWNER, "model-0", 7).to_bytes())
    catalogue.update([moved])
    assert catalogue.find(moved.id) == moved
    assert catalogue.count == 10
    assert len(catalogue.shelves) == 3


def test_an_impossible_change_changes_nothing() -> None:
    catalogue = catalogue_of(some_cards(30, 3))
    before = catalogue.root
    crowd = [Entry(bytes(28) + number.to_bytes(4, "big"), bytes(32), HASH) for number in range(257)]
    innocent = Entry(random_ids(1)[0], catalogue.shelves[0].island, HASH)
    with refused(Violation.TREE_INVALID):
        catalogue.update([innocent, *crowd])
    assert catalogue.root == before
    assert catalogue.find(innocent.id) is None
    assert len(catalogue.shelves) == 3


def test_a_relay_that_hides_or_changes_anything_is_seen() -> None:
    catalogue = catalogue_of(some_cards(300, 1))
    head = head_of(catalogue)
    reader = Reader(catalogue, head)
    top = reader.ask(b"", TOP_LEVEL, 0)
    (root,) = verify_top(head, top).branches
    answer = reader.ask(root.island, root.level, root.index)
    for wrong, violation in (
        (msgspec.structs.replace(answer, children=answer.children[:-1]), Violation.TREE_INVALID),
        (msgspec.structs.replace(answer, children=(EMPTY[0], *answer.children[1:])), Violation.COUNT_WRONG),
        (msgspec.structs.replace(answer, level=0), Violation.TREE_INVALID),
        (msgspec.structs.replace(answer, k=answer.k + 1), Violation.TREE_INVALID),
        (msgspec.structs.replace(answer, island=bytes(32)), Violation.TREE_INVALID),
    ):
        with refused(violation):
            verify_below(root, wrong)
    for wrong, violation in (
        (msgspec.structs.replace(top, leaves=()), Violation.COUNT_WRONG),
        (msgspec.structs.replace(top, k=1, level=1, children=top.children), Violation.COUNT_WRONG),
        (msgspec.structs.replace(top, index=1), Violation.TREE_INVALID),
        (msgspec.structs.replace(top, leaves=(top.leaves[0][:-1] + b"\0",)), Violation.HASH_WRONG),
    ):
        with refused(violation):
            verify_top(head, wrong)


def test_a_refused_bucket_says_whose_fault_it_is() -> None:
    cards = some_cards(40, 1)
    catalogue = catalogue_of(cards)
    by_hash = {verify_card(raw).hash: raw for raw in cards}
    reader = Reader(catalogue, head_of(catalogue))
    reader.walk()
    branch, hashes = reader.buckets[0]
    bucket = [by_hash[digest] for digest in hashes]
    with refused(Violation.HASH_WRONG):
        verify_bucket_cards(branch, hashes, [bucket[0][:-1] + b"\1", *bucket[1:]], OWNER)
    with refused(Violation.COUNT_WRONG):
        verify_bucket_cards(branch, hashes, bucket[:-1], OWNER)
    with refused(Violation.TREE_INVALID):
        verify_bucket_cards(branch, hashes[::-1], bucket[::-1], OWNER)
    elsewhere = Branch(branch.island, branch.k, 0, branch.index ^ 1, branch.node)
    with refused(Violation.TREE_INVALID):
        verify_bucket_cards(elsewhere, hashes, bucket, OWNER)


def test_requests_for_what_is_not_there_get_no_answer() -> None:
    catalogue = catalogue_of(some_cards(300, 1))
    island = catalogue.shelves[0].island
    for request in (
        TreeRequest(HASH, bytes(32), 0, 0),
        TreeRequest(HASH, island, 4, 0),
        TreeRequest(HASH, island, 0, 2**19),
        TreeRequest(HASH, b"", 1, 0),
    ):
        assert catalogue.answer(request) is None


@pytest.mark.parametrize(("count", "islands"), [(1, 1), (300, 2), (300, 60)])
def test_a_card_travels_alone_with_its_proof(count: int, islands: int) -> None:
    cards = some_cards(count, islands)
    catalogue = catalogue_of(cards)
    head = head_of(catalogue)
    for raw in cards[:5]:
        proof = PROOF.decode(catalogue.prove(entry_of(raw).id).to_bytes())
        assert verify_inclusion(raw, proof, head).raw == raw


def test_a_proof_holds_for_one_card_and_one_head() -> None:
    cards = some_cards(300, 2)
    catalogue = catalogue_of(cards)
    head, proof = head_of(catalogue), catalogue.prove(entry_of(cards[0]).id)
    with refused(Violation.NOT_INCLUDED):
        verify_inclusion(card(OWNER, "model-0", 0, version=2).to_bytes(), proof, head)
    with pytest.raises(RemoteProtocolError):
        verify_inclusion(cards[0], proof, msgspec.structs.replace(head, root=bytes(32)))
    with refused(Violation.COUNT_WRONG):
        verify_inclusion(cards[0], proof, msgspec.structs.replace(head, count=299))
    with refused(Violation.OWNER_WRONG):
        verify_inclusion(card(bytes(32)).to_bytes(), proof, head)
    with pytest.raises(LocalProtocolError):
        catalogue.prove(bytes(32))


def test_a_catalogue_matches_its_head_alone() -> None:
    catalogue = catalogue_of(some_cards(5))
    assert catalogue.matches(head_of(catalogue))
    assert not Catalogue().matches(head_of(catalogue))


def test_entries_of_a_part_of_a_shelf() -> None:
    cards = some_cards(100, 1)
    catalogue = catalogue_of(cards)
    island = catalogue.shelves[0].island
    halves = catalogue.entries(island, 1, 0) + catalogue.entries(island, 1, 1)
    assert halves == catalogue.entries(island)
    assert {entry.hash for entry in halves} == {verify_card(raw).hash for raw in cards}
    assert catalogue.entries(bytes(32)) == []
