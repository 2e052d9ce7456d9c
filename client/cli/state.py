"""What is meant by a number: the last search, remembered beside the cache; and by ``--map old=new``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from skerry.errors import NotFound, SpecificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skerry.client.hits import Hit
    from skerry.client.network import Network
    from skerry.protocol.api import SearchAnswer

_STATE_FILE: Final = "last-search.json"
_CARD_ID_CHARACTERS: Final = 64


def remember(answer: SearchAnswer) -> None:
    """Keep what a search found."""
    import msgspec

    _path().write_bytes(msgspec.json.encode(answer))


def recall() -> SearchAnswer:
    """Return what the last search found.

    Raises
    ------
    NotFound
        ``E-CLI-NO-SEARCH`` when there was none.
    """
    import msgspec

    from skerry.client.limits import SEARCH_STATE_BYTES_MAX
    from skerry.protocol.api import SearchAnswer

    try:
        with _path().open("rb") as file:
            return msgspec.json.decode(file.read(SEARCH_STATE_BYTES_MAX), type=SearchAnswer)
    except (OSError, msgspec.DecodeError) as error:
        raise NotFound(
            "There is no last search",
            where=str(_path()),
            why=getattr(error, "strerror", None) or str(error),
            todo="Search first: `skerry search DATA`",
            code="E-CLI-NO-SEARCH",
        ) from error


def resolve(network: Network, name: str, columns_map: Mapping[str, str] | None = None) -> Hit:
    """Return the learnware that a number of the last search, or an id, stands for.

    Raises
    ------
    SpecificationError
        ``E-CLI-HIT`` when the last search had no such number.
    """
    if len(name) == _CARD_ID_CHARACTERS:
        return network.hit(name, columns_map)
    hits = network.hits(recall(), None, columns_map)
    if name.isdecimal() and 1 <= int(name) <= len(hits):
        return hits[int(name) - 1]
    raise SpecificationError(
        "That is no hit of the last search",
        where=name,
        why=f"it found {len(hits)} learnwares",
        todo="Name a number that `skerry search` showed, or the 64 hexadecimal digits of an id",
        code="E-CLI-HIT",
    )


def renamings(pairs: list[str] | None) -> dict[str, str]:
    """Return new column names by old ones, from texts ``old=new``.

    Raises
    ------
    SpecificationError
        ``E-DATA-MAP`` when one is not of this form.
    """
    renamed = {}
    for pair in pairs or ():
        old, separator, new = pair.partition("=")
        if not separator or not old or not new:
            raise SpecificationError(
                "The columns cannot be renamed like that",
                where=pair,
                why="it is not of the form old=new",
                todo="Write for instance --map hba1c=HbA1c_pct",
                code="E-DATA-MAP",
            )
        renamed[old] = new
    return renamed


def _path() -> Path:
    from skerry.client.folders import cache_folder

    return cache_folder() / _STATE_FILE
