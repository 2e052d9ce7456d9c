"""The libraries that a package asks for: an environment a package, made once by uv.

Theory of operation. ``requirements.txt`` or conda's ``environment.yaml`` is read as data into *requirements*.
uv resolves them to a lock with hashes, installs the locked wheels into a virtual environment named by
the digest of the requirements, and the worker then runs that environment's interpreter. Packages with
equal requirements share it, and once it stands nothing is fetched again.

Rules:

1. Wheels only. Building a source distribution executes it, so none is ever built.
2. Arguments are lists, never a shell's text; a requirement is a name, extras and version bounds, and
   nothing else that uv's files could mean: no options, no addresses, no paths.
3. Nothing of an environment runs outside the sandbox: bytecode is compiled by its interpreter without
   its site folder, whose ``.pth`` files are code.
4. A requirement that cannot be had is left out *and reported*.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from skerry.errors import PackageError

from . import limits
from .format import Package, PlainLoader

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_BOUND: Final = r"(?:===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+"
_REQUIREMENT: Final = re.compile(rf"({_NAME})\s*(\[[A-Za-z0-9._, -]*\])?\s*({_BOUND}(?:\s*,\s*{_BOUND})*)?")
_CONDA: Final = re.compile(rf"(?:[A-Za-z0-9._/-]+::)?({_NAME})\s*(?:=([^=\s]+)(?:=\S+)?|({_BOUND}))?")
_PYTHON_VERSION: Final = re.compile(r"3\.\d{1,2}(\.\d{1,3})?")
_CONDA_ONLY: Final = frozenset(
    {
        *(
            "_libgcc_mutex",
            "_openmp_mutex",
            "blas",
            "bzip2",
            "ca-certificates",
            "cudatoolkit",
            "intel-openmp",
        ),
        *("ld_impl_linux-64", "libblas", "libcblas", "libffi", "libgcc-ng", "libgfortran-ng", "libgomp"),
        *("liblapack", "libstdcxx-ng", "libuuid", "mkl", "ncurses", "openssl", "pip", "readline"),
        *("setuptools", "sqlite", "tk", "wheel", "xz", "zlib"),
    }
)
"""Packages of conda that PyPI does not have or that a wheel brings along."""
_COMPLETE: Final = "complete.json"


@dataclass(frozen=True)
class Requirements:
    """What a package asks for.

    Attributes
    ----------
    python
        Its version, such as ``3.8``; None for any.
    lines
        Requirements as uv reads them, sorted.
    ignored
        Lines that are no requirement here, each with the reason.
    """

    python: str | None
    lines: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return the name of the environment that satisfies them: packages with equal ones share it."""
        return hashlib.sha256(json.dumps([self.python, self.lines]).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """An environment that stands.

    Attributes
    ----------
    python
        Its interpreter, for :class:`skerry.package.worker.Worker`.
    unavailable
        Requirements that no index had a wheel for: it runs without them.
    """

    python: Path
    unavailable: tuple[str, ...]


def read_requirements(file_name: str, text: str) -> Requirements:
    """Read a package's requirements file.

    Parameters
    ----------
    file_name
        ``requirements.txt`` or ``environment.yaml``.

    Raises
    ------
    PackageError
        ``E-PACKAGE-REQUIREMENTS``: it is no such file, or too long.
    """
    if file_name == "environment.yaml":
        python, lines = _conda_lines(text)
    else:
        python, lines = None, [line.split("#")[0].strip() for line in text.splitlines()]
    if len(lines) > limits.REQUIREMENTS_MAX:
        raise _requirements_error(file_name, f"it has {len(lines)} lines, at most {limits.REQUIREMENTS_MAX}")
    kept, ignored = [], []
    for line in filter(None, lines):
        line = line.split(";")[0].strip()
        if len(line) <= limits.REQUIREMENT_CHARACTERS_MAX and _REQUIREMENT.fullmatch(line):
            kept.append(re.sub(r"\s+", "", line))
        else:
            ignored.append(f"{line[: limits.REQUIREMENT_CHARACTERS_MAX]!a} is no name with versions")
    return Requirements(python, tuple(sorted(set(kept))), tuple(ignored))


def missing_here(requirements: Requirements) -> list[str]:
    """Return the requirements that this interpreter does not satisfy: other or absent versions of pins."""
    found = []
    if requirements.python and not _this_python().startswith(requirements.python):
        found.append(f"python=={requirements.python}")
    for line in requirements.lines:
        match = _REQUIREMENT.fullmatch(line)
        assert match is not None
        name, _, bound = match.groups()
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(line)
            continue
        if bound and bound.startswith("==") and bound.strip("= ") != version:
            found.append(line)
    return found


def environment_for(package: Package, store: EnvironmentStore) -> Environment | None:
    """Return the environment that a package asks for, made if need be; None when this interpreter will do.

    Raises
    ------
    PackageError
        From :func:`read_requirements` and :meth:`EnvironmentStore.environment`.
    """
    if package.requirements is None:
        return None
    requirements = read_requirements(*package.requirements)
    return store.environment(requirements) if missing_here(requirements) else None


class EnvironmentStore:
    """Environments by the digest of their requirements.

    Parameters
    ----------
    folder
        Where they lie.
    index
        Arguments that tell uv where wheels are, such as ``["--index-url", ...]`` or
        ``["--no-index", "--find-links", FOLDER]``; by default uv's own settings.
    """

    def __init__(self, folder: Path, index: Sequence[str] = ()) -> None:
        self.folder: Path = Path(folder)
        self._index = list(index)

    def environment(self, requirements: Requirements) -> Environment:
        """Return the environment for `requirements`, made now if it does not stand yet.

        Raises
        ------
        PackageError
            ``E-PACKAGE-ENVIRONMENT``: uv is missing, cannot resolve what is left, or cannot install it.
        """
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        place = self.folder / requirements.digest
        with _locked(self.folder / f"{requirements.digest}.lock"):
            if not (place / _COMPLETE).is_file():
                shutil.rmtree(place, ignore_errors=True)
                self._make(place, requirements)
        unavailable = json.loads((place / _COMPLETE).read_text())["unavailable"]
        return Environment(place / "bin" / "python", tuple(unavailable))

    def _make(self, place: Path, requirements: Requirements) -> None:
        _uv("venv", "--python", requirements.python or sys.executable, "--no-project", str(place))
        source, lock = place / "requirements.in", place / "requirements.lock"
        lines = [*requirements.lines, "numpy"]  # the worker's own end of the pipe needs it
        unavailable = self._lock(place, source, lock, lines)
        self._install(place, lock)
        _compile(place)
        (place / _COMPLETE).write_text(json.dumps({"unavailable": unavailable}))

    def _lock(self, place: Path, source: Path, lock: Path, lines: Sequence[str]) -> list[str]:
        """Write the lock file and return the lines that had to be left out."""
        try:
            self._resolve(place, source, lock, lines)
        except PackageError:
            unavailable = [line for line in lines if not self._is_available(place, source, lock, line)]
            if not unavailable:
                raise
            self._resolve(place, source, lock, [line for line in lines if line not in unavailable])
            return unavailable
        return []

    def _is_available(self, place: Path, source: Path, lock: Path, line: str) -> bool:
        try:
            self._resolve(place, source, lock, [line], "--no-deps")
        except PackageError:
            return False
        return True

    def _resolve(self, place: Path, source: Path, lock: Path, lines: Sequence[str], *options: str) -> None:
        source.write_text("".join(f"{line}\n" for line in lines))
        python = ["--python", str(place / "bin" / "python")]
        wheels = ["--only-binary", ":all:", "--generate-hashes", "--no-header"]
        _uv(
            "pip",
            "compile",
            *python,
            *wheels,
            *options,
            *self._index,
            "--output-file",
            str(lock),
            str(source),
        )

    def _install(self, place: Path, lock: Path) -> None:
        python = ["--python", str(place / "bin" / "python")]
        _uv("pip", "sync", *python, "--only-binary", ":all:", "--require-hashes", *self._index, str(lock))


def _this_python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _conda_lines(text: str) -> tuple[str | None, list[str]]:
    """Return the Python version and the requirements of a conda environment file."""
    try:
        document = yaml.load(text, PlainLoader)  # noqa: S506 - a SafeLoader that refuses more
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _requirements_error("environment.yaml", f"it is no plain YAML: {error}") from error
    entries = document.get("dependencies", []) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _requirements_error("environment.yaml", "it has no list of dependencies")
    python, lines = None, []
    for entry in entries:
        if isinstance(entry, dict):
            lines += [str(line).strip() for line in entry.get("pip") or []]
            continue
        name, version, bound = _conda_parts(str(entry))
        if name == "python":
            python = version if version and _PYTHON_VERSION.fullmatch(version) else None
        elif name not in _CONDA_ONLY:
            lines.append(f"{name}=={version}" if version else f"{name}{bound}")
    return python, lines


def _conda_parts(entry: str) -> tuple[str, str, str]:
    """Return name, pinned version and other bound of one line, such as ``numpy=1.22.0=py38_0``."""
    match = _CONDA.fullmatch(entry.strip())
    return (match[1], match[2] or "", match[3] or "") if match else (entry, "", "")


def _requirements_error(where: str, why: str) -> PackageError:
    return PackageError(
        "The requirements cannot be read",
        where=where,
        why=why,
        todo="List the libraries as name==version, one a line",
        code="E-PACKAGE-REQUIREMENTS",
    )


def _environment_error(why: str, todo: str) -> PackageError:
    return PackageError(
        "The environment of the package cannot be made", why=why, todo=todo, code="E-PACKAGE-ENVIRONMENT"
    )


def _uv(*arguments: str) -> None:
    _run([_uv_program(), *arguments, "--quiet", "--no-config"])


def _uv_program() -> str:
    try:
        import uv
    except ImportError as error:
        raise _environment_error("uv is not installed", "Install skerry[environments]") from error
    return uv.find_uv_bin()


def _compile(place: Path) -> None:
    """Compile the installed modules once, so that no worker has to; without the environment's own code."""
    program = str(place / "bin" / "python")
    compiler = [program, "-I", "-S", "-m", "compileall", "-q", "-q", "-j", "0", str(place / "lib")]
    subprocess.run(compiler, check=False, timeout=limits.ENVIRONMENT_SECONDS_MAX)  # noqa: S603 - as in `_run`


def _run(command: list[str]) -> None:
    try:
        subprocess.run(  # noqa: S603 - an argument list of our own, without a shell
            command, check=True, capture_output=True, text=True, timeout=limits.ENVIRONMENT_SECONDS_MAX
        )
    except subprocess.CalledProcessError as error:
        raise _environment_error(
            str(error.stderr).strip()[-limits.ERROR_CHARACTERS_MAX :],
            "Check the versions it asks for and the package index",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _environment_error(str(error), "Check uv and the connection to the package index") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, so that two of them do not make one environment."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
