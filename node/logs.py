"""Logging: one line an event on stderr, for people or as JSON.

Rules of this file:

1. Nothing unescaped from others: a name must not forge a line or move the cursor.
2. No secret: what is called a token, key or the like is not written, and neither is what looks like one.
3. Every line of a request of the local API carries its id, and every line about a peer that peer's key.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from .config import LogSection

SECRET_NAMES: Final = re.compile(r"token|secret|password|authorization|private", re.IGNORECASE)
"""Names of values that are never written."""
SECRET_TEXTS: Final = re.compile(r"(?i)\bbearer\s+\S+|-----BEGIN [A-Z ]*PRIVATE KEY-----.*")
"""What a secret looks like where a library quotes one."""
REDACTED: Final = "[secret]"


def configure(section: LogSection) -> None:
    """Set up logging for the whole process; called once, by the daemon."""
    level = getattr(logging, section.level.upper())
    renderer: Any = structlog.processors.JSONRenderer()
    if section.format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _no_secrets,
            _one_line,
            *([structlog.processors.format_exc_info] if section.format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way, from warnings on.
    # All but aiohttp's own complaints: it logs a traceback for everybody who sends it what is no HTTP.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")


def _one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters, so that text from another node cannot forge lines or move the cursor."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode("ascii")
    return event


def _no_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what nobody who reads a log may learn."""
    for key, value in event.items():
        if SECRET_NAMES.search(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = SECRET_TEXTS.sub(REDACTED, value)
    return event
