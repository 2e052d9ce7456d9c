"""Verbs for the cache of fetched learnwares: cache ls, cache rm, cache verify."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from .session import EXIT_UNVERIFIED, Session

if TYPE_CHECKING:
    from skerry.client.cache import Cache, CachedLearnware
    from skerry.protocol.api import CardView

    from .results import CacheEntry

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with yes.")]


def ls(session: Session) -> None:
    """List the learnwares in the cache, and what they take of the disk."""
    from .output import byte_size, table
    from .results import CacheListing

    cache = _cache()
    entries = [_entry(cache, one) for one in cache.learnwares()]
    listing = CacheListing(str(cache.folder), cache.total_bytes(), entries)
    rows = [
        (one.id[:12], f"{one.name} v{one.version}", one.owner, byte_size(one.bytes), _day(one.fetched))
        for one in entries
    ]
    shown = table(("#id", "learnware", "owner", "#size", "#fetched"), rows)
    session.show(listing, shown, "\n".join(one.id for one in entries))
    session.note(f"{byte_size(listing.bytes)} in {listing.folder}")


def rm(
    session: Session,
    learnware: Annotated[str, typer.Argument(help="A learnware's id or the beginning of it; or `all`.")],
    *,
    yes: YesOption = False,
) -> None:
    """Remove a learnware from the cache, or all; it can be fetched again while its owner has it."""
    from .output import byte_size
    from .results import Freed

    cache = _cache()
    if learnware == "all":
        count = len(cache.learnwares())
        session.confirm(f"Remove {count} learnwares, {byte_size(cache.total_bytes())}?", yes=yes)
        freed = cache.remove()
    else:
        freed = cache.remove(_whole_id(cache, learnware))
    session.show(Freed(freed), f"{byte_size(freed)} freed")


def verify(session: Session) -> None:
    """Hash everything in the cache again and remove what is damaged."""
    from .results import Verified

    with session.working("hashing everything again"):
        cards = [hit.card for hit in _cache().verify()]
    ids = [card.id for card in cards]
    text = "\n".join(f"damaged, and removed: {_named(card)}" for card in cards)
    session.show(Verified(ids), text or "everything is as it was fetched", "\n".join(ids))
    if cards:
        raise typer.Exit(EXIT_UNVERIFIED)


def _cache() -> Cache:
    from skerry.client.cache import Cache

    return Cache()


def _whole_id(cache: Cache, beginning: str) -> str:
    """Return the id that begins like this, or what was given when none or several do."""
    found = {one.hit.card.id for one in cache.learnwares() if one.hit.card.id.startswith(beginning)}
    return found.pop() if len(found) == 1 and beginning else beginning


def _entry(cache: Cache, one: CachedLearnware) -> CacheEntry:
    from .results import CacheEntry

    card = one.hit.card
    path = str(cache.blobs.path(bytes.fromhex(card.package)))
    owner = f"{card.owner_name or 'unnamed'} ({card.owner[:8]})"
    return CacheEntry(card.id, card.name or card.slug, card.version, owner, one.bytes, one.fetched, path)


def _named(card: CardView) -> str:
    from skerry.client.escape import visible

    return visible(f"{card.name or card.slug} v{card.version}")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
