"""The default text extractor: hashed word and character n-grams under a fixed random projection.

It needs no weights and no language. Words carry the topic; n-grams of characters carry what words miss:
endings and misspellings. Where writing has no spaces (Chinese, Japanese, Thai and others), each character
counts as a word, so that its pairs of characters are what pairs of words are elsewhere. Each n-gram falls
into one of ``BUCKETS`` by MurmurHash3 (Weinberger et al., "Feature hashing for large scale multitask
learning", 2009; scikit-learn's ``HashingVectorizer``), and counts c enter as ``1 + log c``. Words and
characters are projected apart to ``DIMENSION`` columns by a matrix of signs (Achlioptas, "Database-friendly
random projections", 2003), which keeps angles within about ``1 / sqrt(DIMENSION)``; both parts are brought to
length one, characters enter with ``CHARACTER_SHARE``, and the sum is brought to length one again.

The signs are the bits of SHAKE-128 of the extractor's id, so every machine has the same. Frequent English
words are left out: they say nothing about the topic, and without a corpus there is no other measure of
frequency.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from skerry.spec.limits import CHARACTER_NGRAM_CHARS_MAX
from skerry.spec.rkme import Floats

HASHED: Final = "skerry/hashed-ngrams/1"
DIMENSION: Final = 256
BUCKETS: Final = 1 << 14
CHARACTER_SHARE: Final = 0.2
"""Length of the characters' part beside the words' part of length 1. On newsgroups 0.5 hid the topics: the
first hit lacked one of the searcher's two in two searches of ten, and in none at 0."""

_UNSPACED: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Burmese; Khmer
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"  # Kana; Han
)
_WORD: Final = re.compile(r"\w")
_TOKEN: Final = rf"(?u)[{_UNSPACED}]|[^\W{_UNSPACED}]+"


class HashedNgrams:
    """Texts as rows (n, 256) float32."""

    id: Final = HASHED
    dimension: Final = DIMENSION

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the rows of texts; zeros where a text has no letter and no digit."""
        words, characters = _vectorisers()
        rows: Floats = _unit(_damped(words.transform(texts)) @ _signs())
        starts = [text[:CHARACTER_NGRAM_CHARS_MAX] if _WORD.search(text) else "" for text in texts]
        rows += CHARACTER_SHARE * _unit(_damped(characters.transform(starts)) @ _signs())
        return _unit(rows)


@lru_cache(maxsize=1)
def _vectorisers() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, HashingVectorizer

    shared = {"n_features": BUCKETS, "alternate_sign": False, "norm": None, "dtype": np.float32}
    words = HashingVectorizer(
        ngram_range=(1, 2), token_pattern=_TOKEN, stop_words=list(ENGLISH_STOP_WORDS), **shared
    )
    return words, HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), **shared)


@lru_cache(maxsize=1)
def _signs() -> Floats:
    """Return the projection (BUCKETS, DIMENSION) float32 of +1 and -1; lengths do not matter here."""
    bits = np.frombuffer(hashlib.shake_128(HASHED.encode()).digest(BUCKETS * DIMENSION // 8), np.uint8)
    return np.unpackbits(bits).reshape(BUCKETS, DIMENSION).astype(np.float32) * 2 - 1


def _damped(counts: Any) -> Any:
    counts.data = 1 + np.log(counts.data)
    return counts


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
