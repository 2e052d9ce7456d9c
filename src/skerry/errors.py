"""The errors of Skerry: one tree, one shape.

Every error says *what* happened, *where*, *why*, *what to do*, and carries a stable *code* that
``docs/errors.md`` documents. The same five parts are shown on the command line, as attributes in
Python and as problem+json over HTTP, so each surface only has to format them.

Rules of this file:

1. It imports nothing from Skerry: every component may import it.
2. A class answers one question: whose fault is it, and so who should act? A code names the one
   thing that happened. Callers branch on classes; people and documents use codes.
3. ``RemoteProtocolError`` and ``LocalProtocolError`` live in :mod:`skerry.protocol`, beside the
   closed list of violations that gives the first its meaning.
"""

from __future__ import annotations

from typing import ClassVar


class SkerryError(Exception):
    """Base of all errors that Skerry raises on purpose; never raised itself.

    Parameters
    ----------
    what
        One sentence: what happened.
    where
        The file, address, column, field or member that it happened to.
    why
        The cause, as far as it is known.
    todo
        What the reader can do about it.
    code
        The stable code; the class's own code where none is given.
    """

    default_code: ClassVar[str] = "E-SKERRY"

    def __init__(
        self, what: str, *, where: str = "", why: str = "", todo: str = "", code: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.todo = todo
        self.code: str = code or self.default_code

    def __str__(self) -> str:
        """Return the parts that are known, as one line."""
        text = f"{self.code} {self.what}"
        if self.where:
            text += f" ({self.where})"
        if self.why:
            text += f": {self.why}"
        if self.todo:
            text += f". {self.todo}"
        return text

    def parts(self) -> dict[str, str]:
        """Return the five parts by name, for JSON output and problem+json."""
        return {
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "todo": self.todo,
        }


class SpecificationError(SkerryError, ValueError):
    """A specification, or the data it should be made from, is not acceptable; names the field."""

    default_code = "E-SPEC"


class PackageError(SkerryError):
    """A model package is malformed or breaks a rule; names the member."""

    default_code = "E-PACKAGE"


class SandboxError(SkerryError):
    """A model did not run as it must: it crashed, hung, answered nonsense, or could not be confined."""

    default_code = "E-SANDBOX"


class StorageError(SkerryError):
    """The node's folder, database or blob store cannot be used."""

    default_code = "E-STORAGE"


class ConfigError(SkerryError):
    """The configuration is wrong; names the key and the nearest known one."""

    default_code = "E-CONFIG"


class TransportError(SkerryError):
    """Another machine could not be reached, or the connection broke; names the address tried."""

    default_code = "E-TRANSPORT"


class ClientError(SkerryError):
    """A request to a node did not succeed; never raised itself."""

    default_code = "E-CLIENT"


class NotFound(ClientError):  # noqa: N818 - DESIGN names the class; it reads as a statement in `except NotFound`
    """What was asked for does not exist, or may not be seen."""

    default_code = "E-NOTFOUND"


class Unavailable(ClientError):  # noqa: N818 - as above
    """What was asked for exists, but cannot be had now."""

    default_code = "E-UNAVAILABLE"


class Refused(ClientError):  # noqa: N818 - as above
    """The request is understood and not allowed."""

    default_code = "E-REFUSED"
