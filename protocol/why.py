"""Why a peer, an owner or a card is not here, answered from what is held and from the log of refusals.

How things stand now comes first, then what happened, newest first. A 32-byte id does not tell what it names,
so all three meanings are tried; an id of which nobody ever spoke gets the one reason ``never-heard``. A card
that never came cannot be told from its id alone: who asks names its owner too, and learns which of the
owner's heads does not hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .context import Context
from .effects import WhyReport
from .events import Why
from .history import Because, Reason
from .index import Held, Index
from .limits import WHY_CARDS_MAX, WHY_REASONS_MAX
from .owners import Owners


def explain(
    question: Why,
    context: Context,
    owners: Owners,
    indexes: Mapping[bytes, Index],
    nodes: Mapping[bytes, object],
) -> WhyReport:
    """Return all that is known about why the subject is absent.

    Parameters
    ----------
    question
        The subject, and for a card its owner.
    context, owners, indexes
        The parts of the state that know.
    nodes
        The node records that are known, by node key.
    """
    held = [item for index in indexes.values() for item in index.heads.values()]
    reasons = [
        *_of_peer(question.subject, context, nodes),
        *_of_owner(question.subject, owners, held),
        *_of_card(question, owners, held),
        *context.history.of(question.subject),
    ]
    return WhyReport(
        question.token, question.subject, tuple(reasons[:WHY_REASONS_MAX]) or (Reason(Because.NEVER_HEARD),)
    )


def _of_peer(key: bytes, context: Context, nodes: Mapping[bytes, object]) -> Iterator[Reason]:
    peer = context.peers.get(key)
    if peer is not None:
        score = f"score {peer.score.value(context.now):.1f}"
        yield Reason(Because.DISCONNECTED if peer.closing else Because.PRESENT, score)
    elif key in nodes:
        yield Reason(Because.NOT_CONNECTED, "its node record is known")


def _of_owner(owner: bytes, owners: Owners, held: list[Held]) -> Iterator[Reason]:
    trust = owners.get(owner)
    if trust is None:
        return
    if trust.frozen:
        yield Reason(Because.FROZEN, f"after charter {trust.charter.version}")
    heads = [item for item in held if item.head.value.owner == owner]
    if not heads:
        yield Reason(Because.NO_HEAD, f"charter {trust.charter.version} of epoch {trust.charter.epoch}")
    for item in heads:
        yield from _of_catalogue(item)


def _of_catalogue(item: Held) -> Iterator[Reason]:
    where = _where(item)
    if item.other is not None:
        yield Reason(Because.DISPUTED, where)
    if not item.whole:
        yield Reason(Because.NOT_WHOLE, where)
    elif item.other is None:
        yield Reason(Because.PRESENT, f"{where}, {item.head.value.count} cards")


def _of_card(question: Why, owners: Owners, held: list[Held]) -> Iterator[Reason]:
    holding = [item for item in _asked(question, held) if item.catalogue.find(question.subject) is not None]
    for item in holding:
        entry = item.catalogue.find(question.subject)
        if entry is not None and entry.hash in item.hidden:
            yield Reason(Because.WITHHELD, _where(item))
        elif item.other is not None:
            yield Reason(Because.DISPUTED, _where(item))
        else:
            yield Reason(Because.PRESENT, _where(item))
    if holding or not question.owner:
        return
    trust = owners.get(question.owner)
    if trust is None:
        yield Reason(Because.NEVER_HEARD, "its owner")
        return
    if trust.frozen:
        yield Reason(Because.FROZEN, f"after charter {trust.charter.version}")
    of_owner = [item for item in held if item.head.value.owner == question.owner]
    if not of_owner:
        yield Reason(Because.NO_HEAD, "of its owner")
    for item in of_owner:
        yield Reason(Because.NOT_IN_HEAD if item.whole else Because.NOT_WHOLE, _where(item))


def _asked(question: Why, held: list[Held]) -> Iterator[Held]:
    """Yield the catalogues to look into: those of the owner, or those that cost little to look into."""
    left = WHY_CARDS_MAX
    for item in held:
        if question.owner:
            if item.head.value.owner == question.owner:
                yield item
        elif not item.rests:
            yield item
        elif item.head.value.count <= left:
            left -= item.head.value.count
            yield item


def _where(item: Held) -> str:
    value = item.head.value
    return f"key {value.node_key.hex()} epoch {value.epoch} seq {value.seq}"
