"""What an operator asks of the node: tokens, the audit log, why something is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.protocol import api

from .connection import Connection, find, segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Operator:
    """A node as its operator sees it; made by :func:`operate`.

    Parameters
    ----------
    connection
        The way to the node, with a token of scope admin.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tokens(self) -> api.Tokens:
        """Return the named tokens."""
        return self._connection.get("/tokens", api.Tokens)

    def make_token(self, name: str, scope: api.Scope) -> api.TokenGrant:
        """Make a named token; it is shown this once."""
        return self._connection.post("/tokens", api.TokenRequest(name, scope), api.TokenGrant)

    def revoke_token(self, name: str) -> api.Tokens:
        """Make a named token worthless, and return those that are left."""
        return self._connection.delete(f"/tokens/{segment(name)}", api.Tokens)

    def audit(self) -> Iterator[api.AuditEntry]:
        """Yield the whole audit log, oldest entry first."""
        cursor: int | None = 0
        while cursor is not None:
            page = self._connection.get(f"/audit?cursor={cursor}", api.Audit)
            yield from page.entries
            cursor = page.next

    def why(self, subject: str, owner: str = "") -> api.WhyAnswer:
        """Return all that the node knows about why a node, an owner or a card is absent."""
        return self._connection.get(f"/why/{segment(subject)}?owner={segment(owner)}", api.WhyAnswer)


def operate(folder: Path | str | None = None) -> Operator:
    """Return the running node of this machine.

    Raises
    ------
    Unavailable
        When no node runs here; says how to start one.
    """
    return Operator(find(folder))
