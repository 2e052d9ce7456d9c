"""Which languages texts are written in, by ``py3langid``: naive Bayes on byte n-grams, 139 languages.

(Lui and Baldwin, "langid.py: An off-the-shelf language identification tool", 2012.) It is one wheel of 5 MB
that needs numpy alone, and the same text always gets the same answer; ``langdetect``, which the reference
engine uses, draws random numbers and ships no wheel, and ``lingua`` is a hundred megabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from skerry.spec.limits import LANGUAGE_CHARS_MAX, LANGUAGE_CHARS_MIN, LANGUAGE_TEXTS_MAX

SHARE_MIN: Final = 0.1
"""Share of the letters from which a language is named; below it lie quotations, names and mistakes."""

UNKNOWN: Final = frozenset({"zxx", "und"})
"""What stands for "no language" in ISO 639."""


def languages_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the ISO 639 codes of the languages of texts, the most frequent first.

    A text counts by its length, up to ``LANGUAGE_CHARS_MAX`` characters. Those shorter than
    ``LANGUAGE_CHARS_MIN``, which are of any language by chance, are read only where there are no others, and
    then as one. Of more than ``LANGUAGE_TEXTS_MAX`` texts evenly spaced ones are read. Empty where there is
    nothing to read.
    """
    from py3langid import classify

    step = max(1, -(-len(texts) // LANGUAGE_TEXTS_MAX))
    starts = [_letters(text[:LANGUAGE_CHARS_MAX]) for text in texts[::step]]
    long = [start for start in starts if len(start) >= LANGUAGE_CHARS_MIN]
    mass: Counter[str] = Counter()
    for start in long or [" ".join(filter(None, starts))]:
        if start:
            mass[str(classify(start)[0])] += len(start)
    total = mass.total()
    return tuple(
        code for code, chars in mass.most_common() if code not in UNKNOWN and chars >= SHARE_MIN * total
    )


def _letters(text: str) -> str:
    """Return the words of a text that have a letter."""
    return " ".join(word for word in text.split() if any(map(str.isalpha, word)))
