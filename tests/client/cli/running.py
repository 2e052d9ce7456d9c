"""Running the command line, and comparing whole sessions with what is written down.

A transcript is a text file of commands and what they answer::

    $ skerry list
    slug ...
    ! a line on standard error
    [exit 3]

Lines of standard error follow those of standard output, each after ``! ``; ``[exit 0]`` is left out. What
differs from run to run (ids, folders, ports, sizes) is replaced by a word. ``SKERRY_WRITE_TRANSCRIPTS=1``
writes the files anew, for review.

Where several people take part, a prompt says who types: ``guest$ skerry group join <invite>``. In such a
command ``<invite>`` and ``<group> <roster>`` stand for what was printed last. One that ends with ``# in a
moment`` asks for what another node did just before, and is typed again until it has arrived.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from skerry.client.cli import app

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
COMMAND = Path(sys.executable).parent / "skerry"
SECONDS_MAX = 60
MOMENT = "# in a moment"
MOMENT_SECONDS_MAX = 20

_SURROUNDINGS = {"COLUMNS": "80", "OMP_NUM_THREADS": "1"}
_HANDED_OVER = {
    "<invite>": re.compile(r"skerry-invite-1\.[\w-]+"),
    "<group> <roster>": re.compile(r"(?<=group agree )[0-9a-f]{8} [0-9a-f]{8}"),
}
_CHANGING = (
    *((pattern, word) for word, pattern in _HANDED_OVER.items()),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"^[0-9a-f]{8}(?=  )", re.MULTILINE), "<ident>"),
    (re.compile(r"\bleft [0-9a-f]{8}\b"), "left <ident>"),
    (re.compile(r"\b\d+\.\d{3,}(e-?\d+)?\b"), "<number>"),
    (re.compile(r"\b\d\.\de[+-]\d\d\b"), "<number>"),
    (re.compile(r"\bsandbox [AB]\b"), "sandbox <level>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<hash>"),
    (re.compile(r"^[0-9a-f]{12}\b", re.MULTILINE), "<beginning>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<day>"),
    (re.compile(r"/[0-9a-f]{2}/<hash>"), "/<hash>"),
    (re.compile(r"\(([0-9a-f]{8})\)"), "(<id>)"),
    (re.compile(r"\bseq \d+\b"), "seq <seq>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"\b\d+(\.\d+)? (B|kB|MB|bytes)\b"), "<size>"),
    (re.compile(r"\b\d+ (s|min)\b"), "<time>"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def skerry(
    *arguments: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end, as a process of its own."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        cwd=cwd,
        check=False,
        env={**os.environ, **_SURROUNDINGS, **(environment or {})},
    )


def called(*arguments: str, environment: Mapping[str, str], cwd: Path) -> Result:
    """Run the command line in this process: the same code, without importing numpy for every line of a
    session."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, list(arguments), env={**_SURROUNDINGS, **environment})


def session(commands: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    """Return a whole session as text."""
    return settled(
        "".join(_answered("$", command, command, environment, cwd) for command in commands), environment, cwd
    )


def settled(text: str, environment: Mapping[str, str], cwd: Path) -> str:
    """Return a session's text without what differs from run to run."""
    folders = (
        (str(cwd), "<folder>"),
        (environment["SKERRY_CACHE"], "<cache>"),
        (environment["SKERRY_HOME"], "<home>"),
    )
    for folder, word in folders:
        text = text.replace(folder, word)
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


def compare(name: str, environment: Mapping[str, str], cwd: Path) -> None:
    """Run the commands of a transcript and compare all that they answer."""
    written = _written(name)
    commands = [line.removeprefix("$ ") for line in written.splitlines() if line.startswith("$ ")]
    _hold_against(name, written, session(commands, environment, cwd))


def compare_people(name: str, environments: Mapping[str, Mapping[str, str]], cwd: Path) -> None:
    """Run a transcript in which several people take part, each in an environment, and compare all answers."""
    written, said, happened = _written(name), "", ""
    prompt = re.compile(rf"({'|'.join(environments)})\$ (.*)")
    for line in written.splitlines():
        if (typed := prompt.fullmatch(line)) is None:
            continue
        who, command = typed.groups()
        given = _with_what_was_handed_over(command, said)
        deadline = time.monotonic() + (MOMENT_SECONDS_MAX if command.endswith(MOMENT) else 0)
        while True:
            answer = _answered(f"{who}$", command, given, environments[who], cwd)
            shown = settled(answer, environments[who], cwd)
            if time.monotonic() >= deadline or written.startswith(happened + shown):
                break
            time.sleep(0.2)
        said += answer
        happened += shown
    _hold_against(name, written, happened)


def _answered(prompt: str, shown: str, command: str, environment: Mapping[str, str], cwd: Path) -> str:
    """Run `command` and return what a person saw, with the line `shown` above it."""
    done = called(*shlex.split(command, comments=True)[1:], environment=environment, cwd=cwd)
    lines = [f"{prompt} {shown}", *done.stdout.splitlines()]
    lines += [f"! {line}" for line in done.stderr.splitlines()]
    lines += [f"[exit {done.exit_code}]"] if done.exit_code else []
    return "\n".join(lines) + "\n"


def _with_what_was_handed_over(command: str, said: str) -> str:
    for word, pattern in _HANDED_OVER.items():
        if word in command:
            command = command.replace(word, pattern.findall(said)[-1])
    return command


def _written(name: str) -> str:
    return (TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8")


def _hold_against(name: str, written: str, happened: str) -> None:
    if os.environ.get("SKERRY_WRITE_TRANSCRIPTS"):
        (TRANSCRIPTS / f"{name}.txt").write_text(happened, encoding="utf-8")
    else:
        assert happened == written
