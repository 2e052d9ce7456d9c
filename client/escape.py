"""Text from other nodes, made safe to show.

A card's name, summary and owner are written by strangers. Shown raw they could recolour a terminal, move
its cursor, reverse a line with bidirectional controls, or run script in a notebook. Rules:

1. Everything that came from another node passes through :func:`visible` before it is printed and through
   :func:`html` before it enters markup. Never build rich markup from it: use ``rich.text.Text``.
2. What is dangerous is replaced by a visible sign, never dropped: a hidden difference between two names
   must not become no difference.
"""

from __future__ import annotations

import html as _html
import unicodedata
from typing import Final

from .limits import SHOWN_CHARACTERS_MAX

REPLACEMENT: Final = "�"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


def visible(text: str, characters_max: int = SHOWN_CHARACTERS_MAX) -> str:
    """Return `text` on one line, bounded, with controls, bidi marks and other invisible signs replaced."""
    cut = text if len(text) <= characters_max else text[: characters_max - 1] + "…"
    return "".join(
        REPLACEMENT if unicodedata.category(character) in _HIDDEN_CATEGORIES else character
        for character in cut
    )


def html(text: str) -> str:
    """Return `text` for use inside HTML elements and quoted attributes."""
    return _html.escape(visible(text), quote=True)
