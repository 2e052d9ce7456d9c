"""Replays a Dockerfile without an engine: every COPY and RUN, in an empty root, stage by stage.

The base image is stood in for by this machine's ``/usr`` and interpreter, mounted read-only; what the file
adds goes into a folder of its own. RUN lines are executed as they stand, by bubblewrap. Their environment
alone is changed so that pip takes dependencies from this environment instead of the network.

Rules of this file:

1. An instruction that is not understood is an error: nothing of the file is passed over.
2. Only what ``.dockerignore`` lets through can be copied.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = "/opt/base/python"
LIBRARIES = "/opt/base/libraries"
PASSIVE = {"VOLUME", "EXPOSE", "STOPSIGNAL"}
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache")
# pip reads the last one upside down: "0" means without isolation.
OFFLINE = {"HOME": "/tmp", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


@dataclass
class Stage:
    """What the instructions of one stage made."""

    root: Path
    name: str = ""
    workdir: str = "/"
    user: str = "0:0"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def command(
        self, *command: str, writable: bool, user: str = "0:0", bind: tuple[str, ...] = ()
    ) -> list[str]:
        """Return the command line that runs a command in this root."""
        uid, gid = user.split(":")
        given = {**self.environment, **OFFLINE, "PYTHONPATH": LIBRARIES}
        tops = sorted(path.name for path in self.root.iterdir())
        mounts = [f"--{'bind' if writable else 'ro-bind'}", str(self.root), "/"]
        for path in SYSTEM:
            if Path(path).is_symlink():
                mounts += [] if path[1:] in tops else ["--symlink", os.readlink(path), path]
            elif Path(path).exists():
                mounts += ["--ro-bind", path, path]
        mounts += [
            "--ro-bind",
            sys.base_prefix,
            PYTHON,
            "--ro-bind",
            sysconfig.get_paths()["purelib"],
            LIBRARIES,
        ]
        mounts += ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
        mounts += [item for one in bind for item in ("--bind", *one.split(":"))]
        variables = [item for pair in given.items() for item in ("--setenv", *pair)]
        as_user = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"] if user != "0:0" else []
        bubble = ["bwrap", "--die-with-parent", "--clearenv", *mounts, *variables, "--chdir", self.workdir]
        return [*bubble, *as_user, *command]


def replay(dockerfile: Path, context: Path, folder: Path) -> Stage:
    """Carry out a Dockerfile and return its last stage.

    Parameters
    ----------
    dockerfile, context
        The file, and the folder that COPY copies from.
    folder
        Where the roots are made.
    """
    stages: list[Stage] = []
    for keyword, rest in _instructions(dockerfile):
        if keyword == "FROM":
            named = re.fullmatch(r"python:[\w.-]+(?: AS (\w+))?", rest)
            assert named is not None, rest
            stages.append(_empty(folder / f"root-{len(stages)}", named[1] or ""))
            continue
        stage = stages[-1]
        match keyword:
            case "WORKDIR":
                stage.workdir = rest
                _inside(stage, rest).mkdir(parents=True, exist_ok=True)
            case "ENV":
                name, _, value = rest.partition("=")
                stage.environment[name] = value
            case "COPY":
                _copy(rest, stage, stages, context)
            case "RUN":
                _run(stage, rest)
            case "USER":
                stage.user = rest
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case "HEALTHCHECK":
                stage.health = json.loads(rest[rest.index("CMD ") + 4 :])
            case _:
                assert keyword in PASSIVE, f"{keyword} is not understood"
    return stages[-1]


def _instructions(dockerfile: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def _empty(root: Path, name: str) -> Stage:
    """Return a root with nothing in it but the places of mounts, and ``python`` in a place of its own."""
    for place in ("etc", "tmp", "proc", "dev", "opt/base/bin", PYTHON[1:], LIBRARIES[1:]):
        (root / place).mkdir(parents=True)
    for alias in ("python", "python3"):
        (root / "opt/base/bin" / alias).symlink_to(f"{PYTHON}/bin/python3.{sys.version_info.minor}")
    return Stage(root, name, environment={"PATH": "/opt/base/bin:/usr/bin:/bin"})


def _inside(stage: Stage, path: str) -> Path:
    return stage.root / (Path(stage.workdir) / path).as_posix().lstrip("/")


def _copy(rest: str, stage: Stage, stages: list[Stage], context: Path) -> None:
    words = shlex.split(rest)
    origin = context
    if words[0].startswith("--from="):
        name = words.pop(0).removeprefix("--from=")
        origin = next(one.root for one in stages if one.name == name)
    *sources, target = words
    for source in sources:
        path = origin / source.lstrip("/")
        assert origin is not context or _let_through(context, source), f".dockerignore keeps {source} out"
        into = _inside(stage, target)
        if path.is_dir():
            shutil.copytree(
                path, into, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            place = into / path.name if target.endswith("/") else into
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def _let_through(context: Path, source: str) -> bool:
    lines = (context / ".dockerignore").read_text().splitlines()
    return f"!{source.split('/', maxsplit=1)[0]}" in lines


def _run(stage: Stage, line: str) -> None:
    command = stage.command("/bin/sh", "-ec", line, writable=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
