"""What every command shares: its common options, its way to the node, its output and its end.

Theory of operation. :func:`command` registers a function with typer and adds the options that all
commands have. The function gets a :class:`Session` and raises; this file alone turns what it raised into
one message and one exit code.

Rules of this file:

1. Data goes to standard output, everything else to standard error.
2. No traceback without ``--debug``.
3. Nothing heavy is imported here: ``skerry --help`` must start at once.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from skerry.client.entry import leave
from skerry.errors import NotFound, Refused, SkerryError, TransportError, Unavailable

if TYPE_CHECKING:
    import msgspec
    from rich.console import RenderableType

    from skerry.client.network import Network
    from skerry.client.operating import Operator

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOTHING_FOUND: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_UNVERIFIED: Final = 5
EXIT_REFUSED: Final = 6
EXIT_INTERRUPTED: Final = 130

_EXIT_BY_CODE: Final = {
    "E-API-NAME": EXIT_USAGE,
    "E-FETCH-INSPECTED": EXIT_UNVERIFIED,
    "E-FETCH-PIN": EXIT_UNVERIFIED,
    "E-GROUP-INVITE-TERMS": EXIT_USAGE,
    "E-GROUP-INVITE-TEXT": EXIT_USAGE,
    "E-PROTOCOL-HASH-WRONG": EXIT_UNVERIFIED,
    "E-SANDBOX-UNAVAILABLE": EXIT_REFUSED,
}
_EXIT_BY_CLASS: Final = (
    (NotFound, EXIT_NOTHING_FOUND),
    (Unavailable, EXIT_UNREACHABLE),
    (TransportError, EXIT_UNREACHABLE),
    (Refused, EXIT_REFUSED),
)

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class Session:
    """How one command was called.

    Attributes
    ----------
    json
        One JSON document on standard output instead of text.
    quiet
        Ids only, and no progress.
    color
        Whether a terminal may be coloured.
    folder
        The node's folder, or None for the default.
    debug
        Show tracebacks.
    """

    json: bool = False
    quiet: bool = False
    color: bool = True
    folder: Path | None = None
    debug: bool = False

    def network(self, *, unsafe_models: bool = False, offline: bool = False) -> Network:
        """Return the market as the node of this machine knows it; `offline` does without a node."""
        from skerry.client.network import connect

        return connect(folder=self.folder, unsafe_models=unsafe_models, offline=offline)

    def operator(self) -> Operator:
        """Return the node of this machine as its operator sees it."""
        from skerry.client.operating import operate

        return operate(self.folder)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask on a terminal; elsewhere only `yes` allows it.

        Raises
        ------
        Refused
            ``E-CLI-CONFIRM`` when the answer is no, or there is nobody to ask.
        """
        if yes:
            return
        asked = sys.stdin.isatty() and sys.stderr.isatty() and not self.json
        if asked and typer.confirm(question, err=True):
            return
        raise Refused(
            "Nothing was done",
            where=question,
            why="the answer was no" if asked else "it was not confirmed, and there is no terminal to ask on",
            todo="Say --yes to do it without being asked",
            code="E-CLI-CONFIRM",
        )

    def watched(self) -> bool:
        """Whether somebody looks at standard error, so that progress is worth drawing."""
        return not self.quiet and not self.json and sys.stderr.isatty()

    def working(self, what: str) -> AbstractContextManager[None]:
        """Show that something goes on, and for how long, where somebody watches."""
        if not self.watched():
            return contextlib.nullcontext()
        from skerry.client.showing import spinner

        return spinner(what, color=self.color)

    def note(self, text: str) -> None:
        """Say on standard error what happens, unless quiet."""
        if not self.quiet:
            typer.echo(text, err=True)

    def show(self, value: msgspec.Struct, text: RenderableType, ids: str = "") -> None:
        """Write the result: `value` as JSON, `ids` when quiet, `text` otherwise."""
        if self.json:
            import msgspec

            typer.echo(msgspec.json.encode(value))
        elif self.quiet:
            if ids:
                typer.echo(ids)
        else:
            from .output import console

            # A path or an address is one line, however narrow the terminal is, and so when it is piped.
            console(color=self.color).print(text, soft_wrap=isinstance(text, str))

    def fail(self, error: SkerryError) -> None:
        """Write an error on standard error in its five parts."""
        if self.debug:
            traceback.print_exception(error)
        if self.json:
            import msgspec

            typer.echo(msgspec.json.encode({"error": error.parts()}), err=True)
        else:
            from .output import error_text

            typer.echo(error_text(error, whole=self.debug), err=True)


_COMMON: Final = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only, and no progress.")],
    "no_color": Annotated[bool, typer.Option("--no-color", help="Do not use colours.")],
    "folder": Annotated[
        Path | None,
        typer.Option("--folder", help="The node's folder.", envvar="SKERRY_HOME", show_envvar=True),
    ],
    "debug": Annotated[bool, typer.Option("--debug", help="Show tracebacks.")],
}
_COMMON_DEFAULTS: Final = {"folder": None}


def command(app: typer.Typer, name: str | None = None) -> Callable[[Function], Function]:
    """Register a function that takes a :class:`Session` first as a command with the common options."""

    def register(function: Function) -> Function:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        @functools.wraps(function)
        def run(**values: Any) -> None:
            common = {key: values.pop(key) for key in _COMMON}
            session = Session(color=not common.pop("no_color"), **common)
            _supervised(session, functools.partial(function, session, **values))

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        parameters += [_common_parameter(key) for key in _COMMON]
        del run.__wrapped__  # typer would follow it and miss the common options
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by inspect
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name)(run)
        return function

    return register


def exit_code(error: SkerryError) -> int:
    """Return the exit code that tells scripts what kind of failure this was."""
    if error.code in _EXIT_BY_CODE:
        return _EXIT_BY_CODE[error.code]
    return next((code for kind, code in _EXIT_BY_CLASS if isinstance(error, kind)), EXIT_FAILURE)


def _common_parameter(key: str) -> inspect.Parameter:
    default = _COMMON_DEFAULTS.get(key, False)
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_COMMON[key])


def _supervised(session: Session, action: Callable[[], None]) -> None:
    """Run a command, and end it with one message and one exit code whatever happens.

    Until here an interruption ended the process at once (see :mod:`skerry.client.entry`), and so it does
    afterwards; in between it may stand in the middle of something that must be put away.
    """
    early = signal.getsignal(signal.SIGINT)
    try:
        if early is leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        action()
    except KeyboardInterrupt:
        session.note("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except SkerryError as error:
        session.fail(error)
        raise typer.Exit(exit_code(error)) from None
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - supervision point: a bug gets a message, too
        session.fail(_bug(error))
        raise typer.Exit(EXIT_FAILURE) from None
    finally:
        if early is leave:
            signal.signal(signal.SIGINT, leave)


def _bug(error: Exception) -> SkerryError:
    wrapped = SkerryError(
        "This is a bug in Skerry",
        where=" ".join(sys.argv[1:2]),
        why=f"{type(error).__name__}: {error}",
        todo="Run it again with --debug and report what it prints",
        code="E-INTERNAL",
    )
    wrapped.__cause__ = error
    return wrapped
