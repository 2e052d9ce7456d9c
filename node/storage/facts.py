"""What a search filters cards by, as fixed rows of bytes: 120 a card, so that a million fit memory.

Everything that is compared for equality only is a *code*: the first eight bytes of an id, or of the SHA-256
of a word in lower case. Two ids of others cannot be made to have one code (that takes 2^64 tries); whoever
makes two of their own collide confuses their own cards. What is shown and verified is read from the cards.

The layout is that of :data:`FACTS`, little-endian; ``node/search/columns.py`` reads many rows at once.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from skerry.protocol.card import Card

FACTS: Final = struct.Struct("<32s8s8s8s8s8s8s8s8s8sQII")
"""hash, id, island, owner, specification, data, task, library, license, scenarios, published, version,
place."""

CODE_BYTES: Final = 8
_SEPARATOR: Final = "\x1f"


@lru_cache(maxsize=65536)
def word_code(word: str) -> bytes:
    """Return the code of a word, whatever its case."""
    return hashlib.sha256(word.casefold().encode("utf-8", "surrogatepass")).digest()[:CODE_BYTES]


@lru_cache(maxsize=4096)
def scenario_words(scenarios: tuple[str, ...]) -> str:
    """Return a card's scenarios as one text, by which cards of the same scenarios have one code."""
    return _SEPARATOR.join(sorted({scenario.casefold() for scenario in scenarios}))


def scenarios_in(words: str) -> set[str]:
    """Return the scenarios, in lower case, in what :func:`scenario_words` gave."""
    return set(words.split(_SEPARATOR)) - {""}


def facts_of(card: Card, digest: bytes, place: int) -> bytes:
    """Return the row of a card."""
    return FACTS.pack(
        digest,
        card.id[:CODE_BYTES],
        card.island[:CODE_BYTES],
        card.owner[:CODE_BYTES],
        card.specification.root[:CODE_BYTES],
        word_code(card.data),
        word_code(card.task),
        word_code(card.library),
        word_code(card.license),
        word_code(scenario_words(card.scenarios)),
        card.published,
        card.version,
        place,
    )
