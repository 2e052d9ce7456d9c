"""What a group asks of the learnwares that are shown to it, as its admins sign it in the roster.

Rules of this file:

1. An empty policy admits everything, and stands in no roster: rosters without one are read as having it.
2. Every node judges a card by the same words, so the owner hears the reason before anything is signed, and
   the others do not show what breaks the policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from .card import Card
from .encoding import Natural
from .limits import GROUP_MEMBERS_MAX, POLICY_WORDS_MAX, WORD_CHARACTERS_MAX

PolicyWords = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=WORD_CHARACTERS_MAX)], ...],
    Meta(max_length=POLICY_WORDS_MAX),
]

REQUIRABLE = ("summary", "data", "task", "library", "scenarios", "license", "tags", "language", "classes")
"""The card fields that a policy may require: those that may be empty."""


class GroupPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """A group's policy; empty words and zeros ask for nothing."""

    lanes: PolicyWords = ()
    """The only lanes that are admitted."""
    required: PolicyWords = ()
    """Card fields that must not be empty."""
    cards_max: Natural = 0
    """Learnwares of one owner in the group."""
    package_bytes_max: Natural = 0
    """Size of one package."""
    signers: Annotated[int, Meta(ge=0, le=GROUP_MEMBERS_MAX)] = 0
    """How many admins sign a roster, as soon as there are so many (m of *m of n*)."""
    admins: Annotated[int, Meta(ge=0, le=GROUP_MEMBERS_MAX)] = 0
    """How many admins there may be (n of *m of n*)."""

    @property
    def asks_nothing(self) -> bool:
        """Whether every learnware keeps to it."""
        return not (self.lanes or self.required or self.cards_max or self.package_bytes_max)

    def threshold(self, admins: int) -> int:
        """Return how many of so many admins must sign the next roster."""
        return max(1, min(self.signers, admins))


NO_POLICY = GroupPolicy()


def breaches(policy: GroupPolicy, card: Card) -> list[str]:
    """Return why a card may not be shown to a group, one sentence a rule; nothing when it may."""
    found = []
    if policy.lanes and card.lane not in policy.lanes:
        found.append(f"lane {card.lane!r} is not one of {', '.join(policy.lanes)}")
    empty = [name for name in policy.required if not getattr(card, name, "")]
    if empty:
        found.append(f"the card must have {', '.join(empty)}")
    if policy.package_bytes_max and card.package.size > policy.package_bytes_max:
        found.append(f"the package has {card.package.size} bytes, at most {policy.package_bytes_max} may be")
    return found


def over_quota(policy: GroupPolicy, cards: Iterable[Card]) -> set[bytes]:
    """Return the ids of one owner's cards that are over the group's quota: those published last."""
    if not policy.cards_max:
        return set()
    ranked = sorted(cards, key=lambda card: (card.published, card.id))
    return {card.id for card in ranked[policy.cards_max :]}
