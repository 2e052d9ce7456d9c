"""Quotas: the voucher pays, strangers share, and dividing oneself gains nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol import verify_head
from skerry.protocol.context import Context, StateConfig
from skerry.protocol.history import Because
from skerry.protocol.index import Held, Index
from skerry.protocol.owners import Owners
from skerry.protocol.quota import Quota
from tests.protocol.world import NOW, Lab

LABS = [Lab(f"quota {number}") for number in range(6)]
OWNERS = [lab.id for lab in LABS]
COUNTS = (0, 1, 4, 9)
HEADS = {
    (place, seq, count): verify_head(lab.head(seq=seq, count=count).to_bytes(), lab.trust, NOW)
    for place, lab in enumerate(LABS)
    for seq in (1, 2)
    for count in COUNTS
}
MOST = 10

claims = st.lists(
    st.tuples(st.integers(0, len(LABS) - 1), st.integers(1, 2), st.sampled_from(COUNTS)), max_size=24
)
vouchers = st.fixed_dictionaries({owner: st.sampled_from([b"", b"A", b"B"]) for owner in OWNERS})


class Ledger:
    """A quota, and what it allowed."""

    def __init__(self, let_in: Mapping[bytes, bytes], named: tuple[bytes, ...] = ()) -> None:
        config = StateConfig(unvouched_cards_max=MOST, vouched_cards_max=MOST)
        self.context = Context(config, LABS[0].node_signer, random.Random(1))
        self.index = Index(self.context, Owners(self.context), b"")
        self.quota = Quota(self.context, lambda owner: let_in[owner])
        self.quota.vouched = frozenset(named)
        self.let_in = let_in
        self.allowed: dict[bytes, tuple[bytes, int]] = {}
        """Node key -> its owner, and the cards that it was allowed last."""

    def claim(self, place: int, seq: int, count: int) -> bool:
        """Have a node sign a head over so many cards; return whether they may be fetched."""
        head = HEADS[place, seq, count]
        held = self.index.heads.setdefault(head.value.node_key, Held(head, {}))
        held.head = head
        if not self.quota.allows(self.index, held):
            return False
        self.allowed[head.value.node_key] = head.value.owner, count
        return True

    def total(self, voucher: bytes) -> int:
        """Return the cards allowed to all that somebody let in and nobody named."""
        return sum(
            count
            for owner, count in self.allowed.values()
            if self.let_in[owner] == voucher and owner not in self.quota.vouched
        )


@settings(deadline=None, max_examples=60)
@given(claims, vouchers, st.lists(st.integers(0, 23), max_size=3))
def test_no_quota_is_ever_exceeded_and_a_recount_changes_none(
    told: list[tuple[int, int, int]], let_in: dict[bytes, bytes], recounts: list[int]
) -> None:
    ledger = Ledger(let_in, named=(OWNERS[0],))
    for number, claim in enumerate(told):
        ledger.claim(*claim)
        assert all(ledger.total(voucher) <= MOST for voucher in (b"", b"A", b"B"))
        if number in recounts:
            before = dict(ledger.quota._totals)
            ledger.quota.recount(ledger.index)
            after = dict(ledger.quota._totals)
            assert {key: n for key, n in before.items() if n} == {key: n for key, n in after.items() if n}


@settings(deadline=None, max_examples=60)
@given(claims)
def test_to_divide_oneself_among_many_owners_gains_nothing(told: list[tuple[int, int, int]]) -> None:
    """All that one member lets in have together what it would have alone."""
    ledger = Ledger(dict.fromkeys(OWNERS, b"A"))
    for claim in told:
        ledger.claim(*claim)
    assert sum(count for _, count in ledger.allowed.values()) <= MOST


@settings(deadline=None, max_examples=60)
@given(claims, claims)
def test_one_voucher_takes_nothing_from_another(
    loud: list[tuple[int, int, int]], quiet: list[tuple[int, int, int]]
) -> None:
    """What the members whom B let in are allowed does not depend on those whom A let in."""
    let_in = {owner: b"A" if place < 3 else b"B" for place, owner in enumerate(OWNERS)}
    alone, beside = Ledger(let_in), Ledger(let_in)
    mine = [(3 + place % 3, seq, count) for place, seq, count in quiet]
    answers = [alone.claim(*claim) for claim in mine]
    for place, seq, count in loud:
        beside.claim(place % 3, seq, count)
    assert [beside.claim(*claim) for claim in mine] == answers


def test_whom_our_people_name_has_no_quota_and_refusals_carry_a_code() -> None:
    ledger = Ledger({**dict.fromkeys(OWNERS, b""), OWNERS[3]: b"A", OWNERS[4]: b"A"}, named=(OWNERS[0],))
    assert ledger.claim(0, 1, 9)
    assert ledger.claim(1, 1, 9)
    assert not ledger.claim(2, 1, 4)
    assert ledger.claim(3, 1, 9)
    assert not ledger.claim(4, 1, 4)
    reasons = [
        reason.detail.partition(":")[0]
        for owner in OWNERS
        for reason in ledger.context.history.of(owner)
        if reason.because is Because.WITHHELD
    ]
    assert reasons == ["quota-strangers", "quota-voucher"]


def test_who_is_let_in_later_moves_to_the_quota_of_its_voucher() -> None:
    let_in = dict.fromkeys(OWNERS, b"")
    ledger = Ledger(let_in)
    assert ledger.claim(1, 1, 9)
    assert not ledger.claim(2, 1, 4)
    let_in[OWNERS[1]] = b"A"
    ledger.quota.recount(ledger.index)
    assert ledger.claim(2, 1, 4)
