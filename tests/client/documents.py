"""Running what the documents tell people to run.

A block of console or Python belongs to the person named in the comment before it, ``<!-- at: owner -->``,
which no reader sees. Each person has a node, a folder and files as the documents assume them. Blocks run in
the order in which they stand; ``$ skerry serve ... &`` starts a real node that runs to the end of the page.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from skerry.client.demo.hospitals import COLUMNS, load, pipeline
from skerry.package.build import build_package
from skerry.spec import Features, SemanticSpec, fit_table
from tests.client.cli.running import COMMAND, called

BLOCK = re.compile(r"(?:<!-- at: (\w+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
ELSEWHERE = "st-olav.example:7740#5f0c...e1"
"""The address of the first node, as the documents write it."""
SERVE_SECONDS_MAX = 60


@dataclass
class Person:
    """Somebody who follows the documents."""

    folder: Path
    environment: dict[str, str]
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    serving: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write the files that the documents speak of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own, other = load("cleveland"), load("hungarian")
        header = ",".join(COLUMNS)
        write(self.folder / "train.csv", header + ",disease", own.rows, own.labels)
        write(self.folder / "mine.csv", header, other.rows)
        few = [label if row % 8 == 0 else "" for row, label in enumerate(other.labels)]
        write(self.folder / "few_labels.csv", header + ",disease", other.rows, few)
        renamed = header.replace("age", "years").replace("trestbps", "pressure")
        write(self.folder / "renamed.csv", renamed, other.rows)
        model = pipeline().fit(own.rows, own.labels)
        joblib.dump(model, self.folder / "heart.pkl")
        write_reference_package(self.folder / "beimingwu.zip", model, own.rows, own.labels)

    def serve(self, options: list[str]) -> None:
        """Start a node and wait until it serves."""
        self.serving = subprocess.Popen(
            [COMMAND, "serve", *options], env={**os.environ, **self.environment}, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + SERVE_SECONDS_MAX
        while not (Path(self.environment["SKERRY_HOME"]) / "api.json").exists():
            assert time.monotonic() < deadline
            assert self.serving.poll() is None, "the node ended"
            time.sleep(0.1)

    def end(self) -> None:
        """Stop the node, if this person started one."""
        if self.serving is not None:
            self.serving.terminate()
            self.serving.wait(20)

    def bootstrap(self) -> str:
        """Return the address of this person's node."""
        return str(json.loads(self.run("skerry status --json"))["bootstrap"])

    def run(self, command: str) -> str:
        """Run one command and return what it printed; fail when it does."""
        done = called(*shlex.split(command)[1:], environment=self.environment, cwd=self.folder)
        assert done.exit_code == 0, f"{command}\n{done.stderr}"
        return done.stdout


def write(path: Path, header: str, rows: Any, labels: Any = None) -> None:
    """Write a CSV file; a missing value is an empty cell."""
    lines = [",".join("" if np.isnan(value) else f"{value:g}" for value in row) for row in rows]
    if labels is not None:
        lines = [f"{line},{label}" for line, label in zip(lines, labels, strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")


def write_reference_package(path: Path, model: Any, rows: Any, labels: Any) -> None:
    """Write a package as the reference engine has it: its files alone, and a specification without names."""
    semantic = SemanticSpec(
        data="Table", task="Classification", library="Scikit-learn", scenario=("Health",), license="MIT",
        name="Imported from elsewhere", description="Heart disease from ten measurements, made elsewhere.",
        input=Features(rows.shape[1], dict(enumerate(COLUMNS))), output=Features(2, {0: "no", 1: "yes"}),
    )  # fmt: skip
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    ours = path.with_suffix(".ours.zip")
    build_package(
        model, rows, labels, semantic=semantic.to_reference(),
        specification_json=fit_table(rows).to_reference_json(), path=ours,
    )  # fmt: skip
    with zipfile.ZipFile(ours) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.startswith("skerry.json"):
                target.writestr(name, source.read(name))
    ours.unlink()


def blocks(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield person, language and text of every console and Python block of a document."""
    for person, language, text in BLOCK.findall(path.read_text(encoding="utf-8")):
        if language in {"console", "python"}:
            yield person, language, text


def follow(path: Path, people: dict[str, Person]) -> int:
    """Run every block of a document, and return how many there were."""
    count = 0
    for name, language, text in blocks(path):
        assert name in people, f"nobody is named before this block:\n{text}"
        if language == "python":
            run_python(people[name], text)
        else:
            for line in text.splitlines():
                run_line(people, name, line)
        count += 1
    return count


def run_python(person: Person, text: str) -> None:
    """Run a block of Python where the person works, after the blocks before it."""
    before = dict(os.environ)
    os.environ.update(person.environment)
    try:
        with contextlib.chdir(person.folder), contextlib.redirect_stdout(None):
            exec(compile(text, "<document>", "exec"), person.namespace)
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_line(people: dict[str, Person], name: str, line: str) -> None:
    """Run one line of a console block."""
    assert line.startswith("$ skerry "), f"only commands, each on a line: {line!r}"
    command, person = line.removeprefix("$ ").split("  #")[0].strip(), people[name]
    if ELSEWHERE in command:
        command = command.replace(ELSEWHERE, people["owner"].bootstrap())
    if command.startswith("skerry serve"):
        assert command.endswith("&"), "a node in the foreground would never end"
        person.serve(shlex.split(command)[2:-1])
    elif command.startswith("skerry init"):
        subprocess.run(
            [COMMAND, *shlex.split(command)[1:]], env={**os.environ, **person.environment},
            cwd=person.folder, check=True, capture_output=True,
        )  # fmt: skip
    else:
        person.run(command)
