"""Blobs go to who may see a card that names them: anybody, members of a group, or nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from skerry.node.groups.audience import Audience
from skerry.node.limits import SUPERSEDED_SECONDS
from skerry.protocol.card import Blob, by_hash, card_hash
from skerry.protocol.effects import CardsChanged, PutCatalogue
from tests.node.search.market import NODE, OWNER, card_of, new_store, small_rkme

GROUP = b"g" * 32


class Membership:
    """Stands for the state: who bears which token, and who is a member."""

    def __init__(self) -> None:
        self.members = {b"member"}

    def tokens(self) -> Membership:
        return self

    def groups(self) -> Membership:
        return self

    def bearer(self, token: bytes, wall: float) -> bytes:
        return token

    def may_read(self, scope: bytes, owner: bytes) -> bool:
        return scope == GROUP and owner in self.members


def test_only_what_a_live_own_card_names_is_served() -> None:
    rkme = small_rkme(np.random.default_rng(9), 0.0)
    first = card_of("one", rkme, Blob(b"s" * 32, 1)).to_bytes()
    second = card_of("two", rkme, Blob(b"t" * 32, 1)).to_bytes()
    strange = card_of("x", rkme, Blob(b"u" * 32, 1)).to_bytes()
    state = Membership()
    own = Audience(NODE, state, {"two": frozenset((GROUP,))})  # type: ignore[arg-type]

    def had(*roots: bytes, token: bytes = b"") -> list[bool]:
        return [own.may_have(root * 32, token) for root in roots]

    own.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash([first, second]), ()))
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash([first]), ()))  # told twice
    own.apply(CardsChanged(b"", b"m" * 32, OWNER, b"h", by_hash([strange]), ()))
    assert had(b"s", b"t", b"u", b"p") == [True, True, False, True]
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", {}, (card_hash(first),)))
    # The package is kept for a group, though everybody sees the card.
    assert had(b"s", b"t", b"p") == [False, True, False]
    assert had(b"s", b"t", b"p", token=b"member") == [False, True, True]
    state.members.clear()
    assert had(b"t", b"p", token=b"member") == [True, False]
    own.drop(b"")
    assert had(b"t", b"p") == [False, False]


def test_a_card_of_a_group_opens_its_blobs_to_members_alone() -> None:
    card = card_of("one", small_rkme(np.random.default_rng(9), 0.0), Blob(b"s" * 32, 1)).to_bytes()
    own = Audience(NODE, Membership(), {})  # type: ignore[arg-type]
    own.apply(CardsChanged(GROUP, NODE, OWNER, b"h", by_hash([card]), ()))
    assert [own.may_have(b"s" * 32, token) for token in (b"", b"other", b"member")] == [False, False, True]
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash([card]), ()))
    assert own.may_have(b"s" * 32, b"")
    own.apply(CardsChanged(b"", NODE, OWNER, b"h", {}, (card_hash(card),)))
    assert [own.may_have(b"p" * 32, token) for token in (b"", b"member")] == [False, True]


def test_a_replaced_version_is_there_for_a_time_and_a_withdrawn_one_not(tmp_path: Path) -> None:
    rkme = small_rkme(np.random.default_rng(9), 0.0)
    old = replace(card_of("one", rkme, Blob(b"s" * 32, 1)), package=Blob(b"p" * 32, 1), published=1000)
    new = replace(
        old, version=2, specification=Blob(b"t" * 32, 1), package=Blob(b"q" * 32, 1), published=2000
    )
    clock = [3000.0]
    store, state = new_store(tmp_path), Membership()
    own = Audience(NODE, state, {}, (), lambda: clock[0])  # type: ignore[arg-type]
    steps: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = [
        ((old.to_bytes(),), ()),
        ((new.to_bytes(),), (card_hash(old.to_bytes()),)),
        ((), (card_hash(new.to_bytes()),)),
    ]

    def served(audience: Audience) -> list[bool]:
        return [audience.may_have(root, b"") for root in (b"s" * 32, b"p" * 32, b"t" * 32, b"q" * 32)]

    seen = []
    for added, removed in steps:
        store.write_now([PutCatalogue(b"", NODE, b"head", by_hash(added), removed, own=True)])
        own.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash(added), removed))
        again = Audience(NODE, state, {}, store.read_superseded(), lambda: clock[0])  # type: ignore[arg-type]
        live = tuple(store.read().catalogues[b"", NODE].cards.values())
        again.apply(CardsChanged(b"", NODE, OWNER, b"h", by_hash(live), ()))
        assert served(again) == served(own)
        seen.append(served(own))
        if len(seen) == 2:
            clock[0] = 2000.0 + SUPERSEDED_SECONDS
            assert served(own) == [False, False, True, True]
            clock[0] = 3000.0
    assert seen == [[True, True, False, False], [True] * 4, [False] * 4]
    store.close()
