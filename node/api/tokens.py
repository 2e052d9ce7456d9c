"""Who may call the API: tokens made at every start, and named ones that outlive it.

Theory of operation. The tokens of ``api.json`` are new at every start and serve programs of the node's own
user. A program elsewhere, such as a Prometheus server or a client behind a TLS proxy, gets a named token that
stays until it is revoked. Of those only the hashes are kept, in a file of their own beside the
database: restoring a backup must not bring a revoked token back (ADR 50).

Rules of this file:

1. A token is 256 random bits, so its SHA-256 tells nothing and can be looked up in a table.
2. A change is on the disk before it is answered, and holds from then on.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Final

import msgspec

from skerry.errors import NotFound, StorageError
from skerry.node.folder import write_private
from skerry.node.limits import TOKENS_FILE_BYTES_MAX, TOKENS_MAX
from skerry.protocol.api import Scope, TokenGrant, TokenRequest, Tokens, TokenView

from .problems import Conflict
from .routes import SCOPES, Caller, Route, caller_of, plain, typed

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from skerry.node.audit import AuditLog

SESSION: Final = "session-"
"""Begins the names of the tokens in ``api.json``; no named token may begin so."""


class Kept(msgspec.Struct, frozen=True):
    """A named token as it is on the disk."""

    name: str
    scope: Scope
    created: int
    hash: str


class TokenBook:
    """All tokens that are good now.

    Parameters
    ----------
    path
        The file with the named tokens' hashes; may be missing.

    Raises
    ------
    StorageError
        ``E-STORAGE-TOKENS`` when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.session: dict[str, str] = {scope: secrets.token_urlsafe(32) for scope in SCOPES}
        self._callers = {
            _hash(token): Caller(SESSION + scope, scope) for scope, token in self.session.items()
        }
        self._kept = {kept.name: kept for kept in _read(path)}
        self._callers.update({kept.hash: Caller(kept.name, kept.scope) for kept in self._kept.values()})

    def caller(self, token: str) -> Caller | None:
        """Return whom `token` stands for, if it is good."""
        return self._callers.get(_hash(token))

    def named(self) -> Tokens:
        """Return all named tokens, by name."""
        kept = sorted(self._kept.values(), key=lambda one: one.name)
        return Tokens([TokenView(one.name, one.scope, one.created) for one in kept])

    def make(self, name: str, scope: Scope) -> TokenGrant:
        """Make a named token.

        Raises
        ------
        Conflict
            ``E-API-CONFLICT``: the name is taken or reserved, or there are too many.
        """
        if name in self._kept or name.startswith(SESSION) or len(self._kept) >= TOKENS_MAX:
            why = "names that begin with session- are the node's own" if name.startswith(SESSION) else ""
            todo = "Choose another name, or revoke one first."
            raise Conflict("No token with this name can be made", where=name, why=why, todo=todo)
        token = secrets.token_urlsafe(32)
        kept = Kept(name, scope, int(time.time()), _hash(token))
        self._write({**self._kept, name: kept})
        self._callers[kept.hash] = Caller(name, scope)
        return TokenGrant(name, scope, token)

    def revoke(self, name: str) -> None:
        """Make a named token worthless.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-TOKEN``.
        """
        if name not in self._kept:
            raise NotFound(
                "There is no token with this name",
                where=name,
                todo="See `skerry token list`.",
                code="E-NOTFOUND-TOKEN",
            )
        gone = self._kept[name]
        self._write({key: kept for key, kept in self._kept.items() if key != name})
        del self._callers[gone.hash]

    def _write(self, kept: dict[str, Kept]) -> None:
        write_private(self._path, msgspec.json.encode(list(kept.values())))
        self._kept = kept


class TokenRoutes:
    """``/tokens``.

    Parameters
    ----------
    book
        All tokens.
    audit
        Where changes are written down.
    """

    def __init__(self, book: TokenBook, audit: AuditLog) -> None:
        self._book = book
        self._audit = audit

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (
            plain("GET", "/tokens", "admin", Tokens, self._list),
            typed("POST", "/tokens", "admin", TokenRequest, TokenGrant, self._make, status=201),
            plain("DELETE", "/tokens/{name}", "admin", Tokens, self._revoke),
        )

    async def _list(self, _: web.Request) -> Tokens:
        """List the named tokens."""
        return self._book.named()

    async def _make(self, request: web.Request, given: TokenRequest) -> TokenGrant:
        """Make a named token, which is shown this once."""
        grant = self._book.make(given.name, given.scope)
        await self._audit.note(caller_of(request), "token-made", given.name, given.scope)
        return grant

    async def _revoke(self, request: web.Request) -> Tokens:
        """Make a named token worthless at once."""
        name = request.match_info["name"]
        self._book.revoke(name)
        await self._audit.note(caller_of(request), "token-revoked", name)
        return self._book.named()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _read(path: Path) -> list[Kept]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(TOKENS_FILE_BYTES_MAX), type=list[Kept])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StorageError(
            "The named tokens cannot be read",
            where=str(path),
            why=str(error),
            todo="Restore the file, or remove it and make the tokens anew.",
            code="E-STORAGE-TOKENS",
        ) from error
