"""Verbs for who may call the node, and who did what: token list, make, revoke; audit show, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skerry.errors import Refused

from .session import Session

if TYPE_CHECKING:
    from skerry.protocol.api import AuditEntry


class Allowed(StrEnum):
    """What a token allows, each with all before it."""

    SEARCH = "search"
    PUBLISH = "publish"
    ADMIN = "admin"


def list_tokens(session: Session) -> None:
    """List the named tokens; what they are is known to their holders alone."""
    from .output import table

    tokens = session.operator().tokens()
    rows = [(one.name, one.scope, _date(one.created)) for one in tokens.tokens]
    names = "\n".join(one.name for one in tokens.tokens)
    session.show(tokens, table(("name", "scope", "made"), rows), names)


def make(
    session: Session,
    name: Annotated[str, typer.Argument(help="What the token is for, such as prometheus.")],
    scope: Annotated[Allowed, typer.Option(help="What it allows.")] = Allowed.SEARCH,
) -> None:
    """Make a token that holds until it is revoked, for a program that cannot read api.json."""
    grant = session.operator().make_token(name, scope.value)
    session.note("It is shown this once.")
    session.show(grant, grant.token, grant.token)


def revoke(session: Session, name: Annotated[str, typer.Argument(help="The token's name.")]) -> None:
    """Make a token worthless at once."""
    tokens = session.operator().revoke_token(name)
    session.show(tokens, f"{name} is revoked", name)


def show_audit(
    session: Session,
    last: Annotated[int, typer.Option("-n", min=1, help="How many of the newest acts to show.")] = 20,
) -> None:
    """Show who did what at the node, newest last."""
    from skerry.protocol.api import Audit

    from .output import table

    entries = list(session.operator().audit())[-last:]
    rows = [(one.seq, _date(one.at), one.who, one.action, one.subject, one.detail) for one in entries]
    columns = ("#seq", "when", "who", "did", "to", "more")
    session.show(Audit(entries), table(columns, rows), "\n".join(str(one.seq) for one in entries))


def export_audit(
    session: Session,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, one JSON object a line.")],
) -> None:
    """Write the whole audit log to a file, and check that no entry was changed or left out."""
    from .results import AuditExport

    count, last = _write(out, list(session.operator().audit()))
    session.note("Keep the last hash: with it a later export can be held against this one.")
    session.show(AuditExport(count, str(out), last), f"{count} entries, last hash {last}", last)


def _write(out: Path, entries: list[AuditEntry]) -> tuple[int, str]:
    """Write `entries` as the lines that they are at the node; return their number and the last one's hash."""
    import hashlib

    import msgspec

    previous = "0" * 64
    with out.open("wb") as file:
        for number, entry in enumerate(entries, start=1):
            if entry.seq != number or entry.previous != previous:
                raise Refused(
                    "The audit log was changed",
                    where=f"entry {number}",
                    why="it does not follow from the entry before it",
                    todo="Compare audit.jsonl in the node's folder with an earlier export",
                    code="E-AUDIT-CHAIN",
                )
            line = msgspec.json.encode(entry)
            previous = hashlib.sha256(line).hexdigest()
            file.write(line + b"\n")
    return len(entries), previous


def _date(at: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
