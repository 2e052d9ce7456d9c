"""Catalogues: all live cards of one node key in one scope, and how parts of one are verified against a head.

Theory of operation. A catalogue has two levels of one kind of tree. Each island's cards stand on a *shelf*, a
tree over (card id -> card hash); the catalogue is a tree over (island -> count, k and root of its shelf). The
head signs a hash over k, count and root of the latter, so one signature covers any number of cards, and how
many there are.

A reader walks down: it asks for what is below a *branch*, a node of either tree that it has verified already,
and :func:`verify_below` turns the answer into further branches or card hashes. Branches that its own
catalogue has too (:meth:`Catalogue.holds`) need no walk. With the cards that differ in hand it changes its
own catalogue and compares the root, which settles everything at once, the order and place of every card
included.

Rules of this file:

1. A catalogue holds ids and hashes, never cards: those belong to who stores them.
2. A change that cannot be made whole is not made at all.
3. An answer is verified before any part of it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct

from .card import Card, card_hash, read_card, verify_card
from .encoding import Format
from .envelope import Verified
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import HASH_BYTES, tagged_hash, u8, u64
from .head import Head
from .limits import CARD_BYTES_MAX, CATALOGUE_CARDS_MAX, FRAME_BYTES_MAX, SHELVES_SEARCHED_MAX, TREE_BITS_MAX
from .messages import Tree, TreeRequest
from .tree import (
    COUNT_BYTES,
    TOP_LEVEL,
    CountedTree,
    Path,
    bucket_node,
    bucket_of,
    child,
    count_in,
    fanout,
    height,
    one,
    parent_node,
    root_of_path,
    verify_bucket,
    verify_children,
    width,
)
from .violations import Violation

SHELF_LEAF_BYTES = HASH_BYTES
CATALOGUE_LEAF_BYTES = HASH_BYTES + COUNT_BYTES + 1 + HASH_BYTES


class Entry(NamedTuple):
    """Where a card stands and what it is: all that a catalogue knows of it."""

    id: bytes
    island: bytes
    hash: bytes


class Shelf(NamedTuple):
    """The part of a catalogue on one island, as the catalogue's tree names it."""

    island: bytes
    cards: int
    k: int
    root: bytes

    def to_leaf(self) -> bytes:
        """Return the leaf of the catalogue's tree (73 bytes)."""
        return self.island + u64(self.cards) + u8(self.k) + self.root

    @classmethod
    def from_leaf(cls, leaf: bytes) -> Shelf:
        """Read a leaf of the catalogue's tree; raise ``tree-invalid``."""
        if len(leaf) != CATALOGUE_LEAF_BYTES or leaf[40] > TREE_BITS_MAX:
            raise RemoteProtocolError(Violation.TREE_INVALID, "no leaf of a catalogue", where="catalogue")
        return cls(leaf[:32], _count_of_leaf(leaf), leaf[40], leaf[41:])


def _count_of_leaf(leaf: bytes) -> int:
    return int.from_bytes(leaf[32:40], "big")


@dataclass(frozen=True, slots=True)
class Branch:
    """A verified node of a catalogue's trees.

    Parameters
    ----------
    island
        The shelf's island; no bytes in the catalogue's own tree.
    k
        The tree has 2^k buckets.
    level, index
        Where the node stands; level 0 is buckets.
    node
        Count and hash, 40 bytes.
    """

    island: bytes
    k: int
    level: int
    index: int
    node: bytes

    @property
    def count(self) -> int:
        """The number of cards below it."""
        return count_in(self.node)


class Below(NamedTuple):
    """What is below a branch: further branches, or the hashes of the cards in a bucket of a shelf."""

    branches: tuple[Branch, ...]
    hashes: tuple[bytes, ...]


class Proof(Struct, frozen=True):
    """That a card stands in a catalogue: its path on its shelf, and the shelf's path in the catalogue."""

    shelf: Path
    catalogue: Path

    def to_bytes(self) -> bytes:
        """Return the proof as it travels."""
        return PROOF.encode(self)


PROOF = Format(Proof, "proof", FRAME_BYTES_MAX)


def catalogue_root(k: int, count: int, tree_root: bytes) -> bytes:
    """Return what a head signs: the hash (32 bytes) over k, count and root hash of the catalogue's tree."""
    return tagged_hash("skerry/catalogue/1", u8(k), u64(count), tree_root)


class Catalogue:
    """The cards of one node key in one scope, by id and hash."""

    __slots__ = ("_islands", "_shelves", "_tree")

    def __init__(self) -> None:
        self._shelves: dict[bytes, CountedTree] = {}
        self._islands: dict[bytes, bytes] | None = None
        """Card id -> island, once there are many shelves; with few each of them is asked."""
        self._tree = CountedTree(CATALOGUE_LEAF_BYTES, _count_of_leaf)

    @classmethod
    def build(cls, entries: Iterable[Entry]) -> Catalogue:
        """Return the catalogue of the entries; the ids must differ.

        Raises
        ------
        RemoteProtocolError
            As :meth:`update`.
        """
        catalogue = cls()
        changes: defaultdict[bytes, _Change] = defaultdict(lambda: _Change([], []))
        for entry in entries:
            changes[entry.island].after.append((entry.id, entry.hash))
        catalogue._apply(changes)
        return catalogue

    @property
    def count(self) -> int:
        """The number of cards."""
        return count_in(self._tree.root)

    @property
    def root(self) -> bytes:
        """What the head signs (32 bytes)."""
        return catalogue_root(self._tree.k, self.count, self._tree.root[COUNT_BYTES:])

    @property
    def shelves(self) -> list[Shelf]:
        """The shelves in the order of their islands."""
        return [Shelf.from_leaf(leaf) for _, leaf in self._tree.items()]

    def matches(self, head: Head) -> bool:
        """Return whether this is the catalogue that a head signs."""
        return self.count == head.count and self.root == head.root

    def find(self, card_id: bytes) -> Entry | None:
        """Return the entry of a card, None when it is not here."""
        if self._islands is None:
            islands: Iterable[bytes] = self._shelves
        else:
            islands = [self._islands[card_id]] if card_id in self._islands else []
        for island in islands:
            digest = self._shelves[island].get(card_id)
            if digest is not None:
                return Entry(card_id, island, digest)
        return None

    def entries(self, island: bytes, k: int = 0, index: int = 0) -> list[Entry]:
        """Return the entries on a shelf, or those whose ids begin with the ``k`` bits ``index``, in order."""
        shelf = self._shelves.get(island)
        return [] if shelf is None else [Entry(key, island, leaf) for key, leaf in shelf.items(k, index)]

    def update(self, added: Iterable[Entry], removed: Iterable[bytes] = ()) -> Undo:
        """Remove ids, then add entries, each replacing the one of its id, on whatever shelf that stands.

        Parameters
        ----------
        added
            New cards and new versions of cards.
        removed
            Ids; one that is not there is passed over.

        Returns
        -------
        Undo
            The arguments of the update that takes this one back.

        Raises
        ------
        RemoteProtocolError
            ``too-large`` or ``tree-invalid``: more cards than allowed, or ids made to collide. Nothing was
            changed.
        """
        new = {entry.id: entry for entry in added}
        among = sorted({*removed, *new}) if self._shelves else ()
        found = (self.find(card_id) for card_id in among)
        old = {entry.id: entry for entry in found if entry is not None}
        if self.count + len(new) - len(old) > CATALOGUE_CARDS_MAX:
            raise RemoteProtocolError(Violation.TOO_LARGE, "too many cards", where="catalogue")
        changes: defaultdict[bytes, _Change] = defaultdict(lambda: _Change([], []))
        for entry in old.values():
            changes[entry.island].before.append((entry.id, entry.hash))
        for entry in new.values():
            changes[entry.island].after.append((entry.id, entry.hash))
        self._apply(changes)
        return Undo(tuple(old.values()), tuple(card_id for card_id in new if card_id not in old))

    def holds(self, branch: Branch) -> bool:
        """Return whether this catalogue has the same branch in the same place, and so all below it."""
        tree = self._shelves.get(branch.island) if branch.island else self._tree
        if tree is None or tree.k != branch.k:
            return False
        return tree.node(branch.level, branch.index) == branch.node

    def answer(self, request: TreeRequest) -> Tree | None:
        """Return the answer to a request for a part of this catalogue; None when there is no such part."""
        tree = self._shelves.get(request.island) if request.island else self._tree
        if tree is None:
            return None
        level = height(tree.k) if request.level == TOP_LEVEL else request.level
        if level > height(tree.k) or request.index >= width(tree.k, level):
            return None
        children = tree.children(level, request.index) if level else ()
        leaves = () if level else tree.leaves(request.index)
        return Tree(request.head, request.island, level, request.index, tree.k, children, leaves)

    def prove(self, card_id: bytes) -> Proof:
        """Return the proof that a card stands in this catalogue.

        Raises
        ------
        LocalProtocolError
            It does not.
        """
        entry = self.find(card_id)
        if entry is None:
            raise LocalProtocolError("no such card to prove", where=card_id.hex())
        return Proof(self._shelves[entry.island].path(card_id), self._tree.path(entry.island))

    def _apply(self, changes: dict[bytes, _Change]) -> None:
        """Change the shelves and the tree over them; put back what was done when one of them refuses."""
        done: dict[bytes, _Change] = {}
        try:
            for island, change in changes.items():
                shelf = self._shelves.get(island)
                if shelf is None:
                    shelf = self._shelves[island] = CountedTree(SHELF_LEAF_BYTES)
                shelf.update(change.after, [card_id for card_id, _ in change.before])
                done[island] = change
            self._tree.update(
                [(island, self._leaf(island)) for island in changes if self._shelves[island]],
                [island for island in changes if not self._shelves[island]],
            )
        except RemoteProtocolError:
            for island, change in done.items():
                self._shelves[island].update(change.before, [card_id for card_id, _ in change.after])
            raise
        finally:
            for island in changes:
                if not self._shelves.get(island, True):
                    del self._shelves[island]
        self._note_islands(changes)

    def _note_islands(self, changes: dict[bytes, _Change]) -> None:
        """Keep up with where cards stand, from the moment there are many shelves."""
        if self._islands is None:
            if len(self._shelves) > SHELVES_SEARCHED_MAX:
                shelves = self._shelves.items()
                self._islands = {key: island for island, shelf in shelves for key, _ in shelf.items()}
            return
        for change in changes.values():
            for card_id, _ in change.before:
                del self._islands[card_id]
        for island, change in changes.items():
            self._islands.update((card_id, island) for card_id, _ in change.after)

    def _leaf(self, island: bytes) -> bytes:
        shelf = self._shelves[island]
        return Shelf(island, len(shelf), shelf.k, shelf.root[COUNT_BYTES:]).to_leaf()


class Undo(NamedTuple):
    """What :meth:`Catalogue.update` is called with to take a change back."""

    added: tuple[Entry, ...]
    removed: tuple[bytes, ...]


class _Change(NamedTuple):
    """The items of one shelf that a change touches, (card id, card hash), as they were and as they become."""

    before: list[tuple[bytes, bytes]]
    after: list[tuple[bytes, bytes]]


def verify_top(head: Head, answer: Tree) -> Below:
    """Verify the answer for the root of a head's catalogue, whose k only the answer tells.

    Parameters
    ----------
    head
        The verified head.
    answer
        What the peer sent for level ``TOP_LEVEL`` of the catalogue's own tree.

    Returns
    -------
    Below
        The branches below the root.

    Raises
    ------
    RemoteProtocolError
        ``tree-invalid``, ``count-wrong`` or ``hash-wrong``.
    """
    if answer.level != height(answer.k) or answer.index:
        raise RemoteProtocolError(Violation.TREE_INVALID, "not the root", where="catalogue")
    whole = bucket_node(answer.leaves, _count_of_leaf) if answer.level == 0 else parent_node(answer.children)
    if count_in(whole) != head.count:
        raise RemoteProtocolError(
            Violation.COUNT_WRONG, f"{count_in(whole)} instead of {head.count}", where="catalogue"
        )
    if catalogue_root(answer.k, head.count, whole[COUNT_BYTES:]) != head.root:
        raise RemoteProtocolError(Violation.HASH_WRONG, where="catalogue")
    return verify_below(Branch(b"", answer.k, answer.level, 0, whole), answer)


def verify_below(branch: Branch, answer: Tree) -> Below:
    """Verify the answer for a branch that was verified before.

    Returns
    -------
    Below
        Branches one level down; for a bucket of the catalogue's tree the roots of its shelves; for a bucket
        of a shelf the hashes of its cards in the order of their ids.

    Raises
    ------
    RemoteProtocolError
        ``tree-invalid``, ``count-wrong`` or ``hash-wrong``.
    """
    asked = (branch.island, branch.k, branch.level, branch.index)
    if asked != (answer.island, answer.k, answer.level, answer.index):
        raise RemoteProtocolError(Violation.TREE_INVALID, "another part than asked for", where="tree")
    if branch.level:
        verify_children(branch.node, answer.children, branch.k, branch.level)
        first = branch.index * fanout(branch.k, branch.level)
        numbered = enumerate(answer.children, start=first)
        return Below(
            tuple(Branch(branch.island, branch.k, branch.level - 1, index, node) for index, node in numbered),
            (),
        )
    if branch.island:
        verify_bucket(branch.node, answer.leaves, SHELF_LEAF_BYTES, one)
        return Below((), answer.leaves)
    verify_bucket(branch.node, answer.leaves, CATALOGUE_LEAF_BYTES, _count_of_leaf)
    shelves = [Shelf.from_leaf(leaf) for leaf in answer.leaves]
    if any(bucket_of(shelf.island, branch.k) != branch.index for shelf in shelves):
        raise RemoteProtocolError(Violation.TREE_INVALID, "a shelf in another's bucket", where="catalogue")
    return Below(tuple(map(_root_of_shelf, shelves)), ())


def _root_of_shelf(shelf: Shelf) -> Branch:
    return Branch(shelf.island, shelf.k, height(shelf.k), 0, child(shelf.cards, shelf.root))


def verify_bucket_cards(
    branch: Branch, hashes: Sequence[bytes], cards: Sequence[bytes], owner: bytes, *, hashed: bool = False
) -> list[Entry]:
    """Verify all cards of a bucket of a shelf against the hashes that :func:`verify_below` gave.

    Parameters
    ----------
    branch
        The bucket.
    hashes
        The hashes of its cards.
    cards
        The cards' bytes, in the same order.
    owner
        Whom the head belongs to.
    hashed
        Whether the caller found the cards by hashes that it computed from their bytes itself.

    Returns
    -------
    list of Entry
        Where they stand, in the order of their ids.

    Raises
    ------
    RemoteProtocolError
        ``hash-wrong`` when the bytes are other than asked for, which is the sender's fault; anything else
        is the fault of the head's owner, who signed for bytes that are no card, or not in their place.
    """
    if len(cards) != len(hashes):
        raise RemoteProtocolError(Violation.COUNT_WRONG, f"{len(cards)} cards", where="bucket")
    entries, before = [], b""
    for raw, digest in zip(cards, hashes, strict=True):
        if not hashed and card_hash(raw[: CARD_BYTES_MAX + 1]) != digest:
            raise RemoteProtocolError(Violation.HASH_WRONG, where="card")
        card = read_card(raw, owner)
        card_id = card.id
        misplaced = bucket_of(card_id, branch.k) != branch.index or card.island != branch.island
        if misplaced or card_id <= before:
            raise RemoteProtocolError(Violation.TREE_INVALID, "a card out of its place", where=card.slug)
        entries.append(Entry(card_id, card.island, digest))
        before = card_id
    return entries


def verify_inclusion(raw: bytes, proof: Proof, head: Head) -> Verified[Card]:
    """Verify a card that travels alone: its bytes, and that it stands in the catalogue of a head.

    Parameters
    ----------
    raw
        The card as received.
    proof
        The proof that came with it.
    head
        The verified head.

    Raises
    ------
    RemoteProtocolError
        The card is not well formed, not the owner's, or the proof does not lead from it to the head's root.
    """
    verified = verify_card(raw, owner=head.owner)
    card = verified.value
    node = root_of_path(proof.shelf, card.id, verified.hash, one)
    leaf = Shelf(card.island, count_in(node), proof.shelf.k, node[COUNT_BYTES:]).to_leaf()
    whole = root_of_path(proof.catalogue, card.island, leaf, _count_of_leaf)
    if count_in(whole) != head.count:
        raise RemoteProtocolError(Violation.COUNT_WRONG, where="proof")
    if catalogue_root(proof.catalogue.k, head.count, whole[COUNT_BYTES:]) != head.root:
        raise RemoteProtocolError(Violation.HASH_WRONG, where="proof")
    return verified
