"""Whose fault it is: ours, or the peer's.

Strategy: functions that *make* records raise :class:`LocalProtocolError` on a bad argument, loudly, since
that is our own bug or a bad call. Functions that *read* what came from outside (``decode``, ``verify_*``,
``Handshake.receive``) raise :class:`RemoteProtocolError` and nothing else, whatever the bytes; the driver
turns it into a cost for the peer and goes on.
"""

from __future__ import annotations

from skerry.errors import SkerryError

from .violations import MEANINGS, Violation


class LocalProtocolError(SkerryError):
    """Our own bug or a bad call: a record that we may not make, or a question that has no answer."""

    default_code = "E-PROTOCOL-LOCAL"


class RemoteProtocolError(SkerryError):
    """A peer's bytes break the protocol.

    Parameters
    ----------
    violation
        Which rule.
    why
        What exactly, for the log; it may quote the peer's bytes and is escaped where it is shown.
    where
        The record, message or field.
    """

    def __init__(self, violation: Violation, why: str = "", *, where: str = "") -> None:
        code = f"E-PROTOCOL-{violation.value.upper()}"
        super().__init__(
            MEANINGS[violation],
            where=where,
            why=why,
            todo="refused; nothing of it was kept",
            code=code,
        )
        self.violation = violation
