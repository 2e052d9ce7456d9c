"""One catalogue on its way here: from what is held to what a newer head signs.

Theory of operation. The walk starts at the root and asks only for what lies below branches that the held
catalogue does not have. Each answer is verified before it counts, each bucket by itself, so a bad answer
costs its sender and nothing else: what verified stays, whoever sent it. A pull knows no peers but the one
that each open request went to; it is given answers and says what to ask for.

Rules of this file:

1. Nothing counts before it is verified against the head's root.
2. Cards that are at hand already (held, or verified for an earlier head) are never fetched again.
3. Memory is bounded by the catalogue itself: one entry per open branch, one per missing card.
4. The work for an answer does not depend on how much is missing still.
5. Cards are asked for many at a time, and few only when no branch can show more that are missing, or when
   they have waited: a request and its answer cost both sides more than a card does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from .card import card_hash
from .catalogue import Below, Branch, Catalogue, Entry, verify_below, verify_bucket_cards, verify_top
from .envelope import Verified
from .head import Head
from .limits import CARDS_PER_REQUEST, TREE_FANOUT_BITS
from .messages import Cards, CardsRequest, Tree, TreeRequest
from .tree import TOP_LEVEL, bucket_node, bucket_of, one

RequestKey = tuple[bytes, int, int] | bytes
"""(island, level, index) of a branch, or the first hash of a request for cards."""
TOP: RequestKey = (b"", TOP_LEVEL, 0)
"""The first request of every pull."""


@dataclass(slots=True)
class Bucket:
    """A bucket whose hashes are verified, and what is still missing of its cards."""

    branch: Branch
    hashes: tuple[bytes, ...]
    held: set[bytes]
    missing: set[bytes]


class Pull:
    """See the module's docstring.

    Parameters
    ----------
    head
        The head whose catalogue is wanted.
    base, base_cards
        The catalogue held and its cards; neither may change while the pull lasts.
    stash
        Cards verified earlier, by hash.
    """

    def __init__(
        self,
        head: Verified[Head],
        base: Catalogue,
        base_cards: Mapping[bytes, bytes],
        stash: dict[bytes, bytes],
    ) -> None:
        self.head = head
        self.entries: dict[bytes, Entry] = {}
        """New cards of whole buckets, by hash."""
        self.removed: set[bytes] = set()
        """Ids held that the new catalogue does not have where they stand."""
        self.in_flight: dict[RequestKey, bytes] = {}
        """Open request -> peer."""
        self.stash = stash
        self._base = base
        self._base_cards = base_cards
        self._top_known = False
        self._open: dict[tuple[bytes, int, int], Branch] = {}
        self._unasked: dict[tuple[bytes, int, int], None] = {}
        """Open branches that nobody was asked about, in the order in which they came."""
        self._buckets: dict[bytes, list[Bucket]] = {}
        """Missing card -> the buckets that wait for it."""
        self._kept: list[Branch] = []
        self._free: dict[bytes, None] = {}
        """Missing cards that nobody was asked for, in the order in which they were found to be missing."""
        self._requested: dict[bytes, bytes] = {}
        """Missing card that was asked for -> the key of its request."""
        self._asked: dict[bytes, tuple[bytes, ...]] = {}
        """Key of a request for cards -> their hashes."""
        self._whole: list[bytes] = []
        """Cards of buckets that are whole."""
        self._told = (0, 0)
        """How many of the whole and of the kept :meth:`take_fresh` returned already."""

    @property
    def done(self) -> bool:
        """Return whether everything is here."""
        return self._top_known and not self._open and not self._buckets

    @property
    def begun(self) -> bool:
        """Return whether somebody has answered."""
        return self._top_known

    @property
    def here(self) -> int:
        """Return how many cards of the new catalogue are verified."""
        return len(self._whole) + sum(branch.count for branch in self._kept)

    def requests(self, *, few: bool = False) -> Iterator[tuple[RequestKey, TreeRequest | CardsRequest]]:
        """Yield what can be asked for now and is not under way; stop asking to stop.

        With ``few`` cards are asked for though more of them may soon be known to be missing.
        """
        if not self._top_known:
            if TOP not in self.in_flight:
                yield TOP, TreeRequest(self.head.hash, b"", TOP_LEVEL, 0)
            return
        least = 1 if few or not self._open else CARDS_PER_REQUEST
        while len(self._free) >= least:
            hashes = tuple(islice(self._free, CARDS_PER_REQUEST))
            yield hashes[0], CardsRequest(self.head.hash, hashes)
            if hashes[0] in self._free:
                return
        while self._unasked:
            key = next(iter(self._unasked))
            yield key, TreeRequest(self.head.hash, *key)
            if key in self._unasked:
                return

    def asked(self, key: RequestKey, request: TreeRequest | CardsRequest, peer: bytes) -> None:
        """Note that a request was sent."""
        self.in_flight[key] = peer
        if isinstance(request, CardsRequest) and isinstance(key, bytes):
            self._requested.update(dict.fromkeys(request.hashes, key))
            self._asked[key] = request.hashes
            for digest in request.hashes:
                self._free.pop(digest, None)
        elif not isinstance(key, bytes):
            self._unasked.pop(key, None)

    def lost(self, key: RequestKey) -> None:
        """Note that a request will not be answered: it may be sent again."""
        self.in_flight.pop(key, None)
        if not isinstance(key, bytes):
            if key in self._open:
                self._unasked[key] = None
            return
        for digest in self._asked.pop(key, ()):
            if self._requested.get(digest) == key:
                del self._requested[digest]
                self._free[digest] = None

    def tree(self, answer: Tree) -> RequestKey | None:
        """Take an answer about the tree; return the request that it settles, None when nobody asked.

        Raises
        ------
        RemoteProtocolError
            It does not verify; the branch stays open.
        """
        key = (answer.island, answer.level, answer.index)
        if not self._top_known and not answer.island:
            below = verify_top(self.head.value, answer)
            self._top_known = True
            bits = answer.k - TREE_FANOUT_BITS * answer.level
            self._take(Branch(b"", answer.k, answer.level, 0, b""), below, max(0, bits))
            return TOP
        branch = self._open.get(key)
        if branch is None:
            return None
        below = verify_below(branch, answer)
        del self._open[key]
        self._unasked.pop(key, None)
        self._take(branch, below, _bits(branch))
        return key

    def take_cards(self, answer: Cards) -> tuple[RequestKey | None, dict[bytes, bytes]]:
        """Take cards; return the request that they settle, and those that are new here, by hash.

        Raises
        ------
        RemoteProtocolError
            The last card of a bucket showed that the bucket does not verify; the cards are what was signed,
            so this is the fault of the head's owner.
        """
        settled: RequestKey | None = None
        new: dict[bytes, bytes] = {}
        for raw in answer.cards:
            digest = card_hash(raw)
            settled = settled or self._requested.get(digest)
            if digest in self._buckets:
                self.stash[digest] = new[digest] = raw
                self._arrived(digest)
        return settled, new

    def verified(self) -> dict[bytes, bytes]:
        """Return the verified part of the new catalogue: card hash -> card."""
        self._told = (0, 0)
        return self.take_fresh()

    def take_fresh(self) -> dict[bytes, bytes]:
        """Return what was verified since the last call of this or :meth:`verified`."""
        whole, kept = self._told
        self._told = (len(self._whole), len(self._kept))
        held = (digest for branch in self._kept[kept:] for digest in self._held_below(branch))
        return {digest: self.raw(digest) for digest in chain(self._whole[whole:], held)}

    def raw(self, digest: bytes) -> bytes:
        """Return a card that is held, or came, by its hash."""
        found = self.stash.get(digest)
        return self._base_cards[digest] if found is None else found

    def _take(self, branch: Branch, below: Below, bits: int) -> None:
        """Follow what is below a branch, whose region of keys is given by ``bits``."""
        if branch.island and branch.level == 0:
            self._take_bucket(branch, below.hashes)
            return
        if not branch.island and branch.level == 0:
            self._drop_shelves(branch.index, bits, {item.island for item in below.branches})
        for item in below.branches:
            self._follow(item)

    def _follow(self, branch: Branch) -> None:
        """Open a branch, unless all below it is held or gone."""
        if self._base.holds(branch) or self._same_bucket(branch):
            self._kept.append(branch)
        elif branch.count:
            key = (branch.island, branch.level, branch.index)
            self._open[key] = branch
            self._unasked[key] = None
        elif branch.island:
            self.removed.update(
                entry.id for entry in self._base.entries(branch.island, _bits(branch), branch.index)
            )
        else:
            self._drop_shelves(branch.index, _bits(branch), set())

    def _same_bucket(self, branch: Branch) -> bool:
        """Return whether the cards held there are the bucket, though the held tree has another k."""
        if not branch.island or branch.level:
            return False
        entries = self._base.entries(branch.island, branch.k, branch.index)
        if len(entries) != branch.count:
            return False
        return bucket_node([entry.hash for entry in entries], one) == branch.node

    def _drop_shelves(self, index: int, bits: int, kept: set[bytes]) -> None:
        for shelf in self._base.shelves:
            if bucket_of(shelf.island, bits) == index and shelf.island not in kept:
                self.removed.update(entry.id for entry in self._base.entries(shelf.island))

    def _take_bucket(self, branch: Branch, hashes: tuple[bytes, ...]) -> None:
        entries = self._base.entries(branch.island, branch.k, branch.index)
        self.removed.update(entry.id for entry in entries if entry.hash not in hashes)
        held = {entry.hash for entry in entries}
        missing = dict.fromkeys(
            digest for digest in hashes if digest not in held and digest not in self.stash
        )
        bucket = Bucket(branch, hashes, held, set(missing))
        for digest in missing:
            if digest not in self._buckets:
                self._buckets[digest] = []
                self._free[digest] = None
            self._buckets[digest].append(bucket)
        if not missing:
            self._finish(bucket)

    def _arrived(self, digest: bytes) -> None:
        self._requested.pop(digest, None)
        self._free.pop(digest, None)
        for bucket in self._buckets.pop(digest):
            bucket.missing.discard(digest)
            if not bucket.missing:
                self._finish(bucket)

    def _finish(self, bucket: Bucket) -> None:
        raw = [self.raw(digest) for digest in bucket.hashes]
        # Both are kept by hashes that were computed here, so that each card is hashed once.
        cards = verify_bucket_cards(bucket.branch, bucket.hashes, raw, self.head.value.owner, hashed=True)
        self.entries.update((card.hash, card) for card in cards if card.hash not in bucket.held)
        self._whole.extend(bucket.hashes)

    def _held_below(self, branch: Branch) -> Iterator[bytes]:
        if branch.island:
            for entry in self._base.entries(branch.island, _bits(branch), branch.index):
                yield entry.hash
            return
        for shelf in self._base.shelves:
            if bucket_of(shelf.island, _bits(branch)) == branch.index:
                for entry in self._base.entries(shelf.island):
                    yield entry.hash


def _bits(branch: Branch) -> int:
    """Return how many first bits the keys below a branch share."""
    return max(0, branch.k - TREE_FANOUT_BITS * branch.level)
