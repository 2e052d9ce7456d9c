"""Checks of a learnware before it is published: the reference's rules and our own, as one table.

Theory of operation. A check looks at a *subject* (the package, what its files say, and the answer of its
model to a few random rows) and returns why it fails, or nothing. Checks of form come first; only a
package whose form is right is run, in the sandbox, and only one that runs is asked the rest. A check
that could not be made because an earlier one failed, or for want of the owner's rows, is reported as
skipped, not as passed.

The rules of the reference engine are those of its semantic and statistical checkers (``learnware`` 0.3.2,
``market/easy/checker.py``); where it says that a learnware is invalid, so do we.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from skerry.errors import PackageError, SandboxError, SpecificationError
from skerry.spec import Rkme, mmd2
from skerry.spec.exposing import exposure
from skerry.spec.kinds import known_extractor, rows_of
from skerry.spec.reference import read_stat_json
from skerry.spec.semantic import dock_problems, problems

from .convert import LABELS_LEAST
from .format import Agreement, Package, read_package
from .frames import Array
from .worker import Worker

Outcome = Literal["passed", "failed", "warning", "skipped"]

TEST_ROWS: Final = 10
"""Random rows that a model is asked about; the reference's number."""
TEXT_CHARACTERS: Final = (10, 1000)
"""Shortest and longest of the random texts; the reference's numbers."""
_OUTPUT_TASKS: Final = frozenset({"classification", "regression", "feature extraction"})


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes
    ----------
    code
        Its stable name.
    sentence
        What must be so.
    todo
        What to do when it is not.
    find
        Returns why a subject fails; empty when it does not.
    runs
        Whether it needs the model's answer.
    required
        Whether a failure makes the learnware invalid; otherwise it is a warning.
    """

    code: str
    sentence: str
    todo: str
    find: Callable[[Subject], str]
    runs: bool = False
    required: bool = True


@dataclass(frozen=True)
class Result:
    """What a check found."""

    code: str
    sentence: str
    outcome: Outcome
    why: str = ""
    todo: str = ""


@dataclass(frozen=True)
class Report:
    """What all checks found.

    Attributes
    ----------
    level
        The sandbox that the model ran in; None: it ran without, or not at all.
    agreement, lane_reason
        Of a converted model: how well it agrees with the original, and why safer lanes were passed over.
    """

    package: str
    lane: str
    level: str | None
    results: tuple[Result, ...]
    agreement: Agreement | None = None
    lane_reason: str = ""

    @property
    def usable(self) -> bool:
        """Return whether no required check failed."""
        return all(result.outcome != "failed" for result in self.results)

    def to_json(self) -> str:
        """Return the report as JSON for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


@dataclass
class Subject:
    """What is checked; filled as the checks go on."""

    package: Package
    semantic: Mapping[str, Any]
    data: Any = None
    rkme: Rkme | None = None
    worker: Worker | None = None
    answer: Array | None = None
    failed: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Return ``table``, ``image`` or ``text``, as the semantic specification says."""
        return str(self.semantic["Data"]["Values"][0]).lower()

    @property
    def task(self) -> str:
        """Return the task in lower case, as the semantic specification says."""
        return str(self.semantic["Task"]["Values"][0]).lower()

    def dimension(self, key: str) -> int:
        """Return the dimension of ``Input`` or ``Output``."""
        return int(self.semantic[key]["Dimension"])


def check_package(
    path: Path, *, semantic: Mapping[str, Any] | None = None, data: Any = None, unconfined: bool = False
) -> Report:
    """Check a package and return what was found.

    Parameters
    ----------
    path
        The package zip.
    semantic
        The semantic specification, for a package that does not carry its own.
    data
        The owner's rows: the specification's points are then looked at for copies of them.
    unconfined
        Run the model without a sandbox.

    Raises
    ------
    PackageError
        The package cannot be read at all.
    SandboxError
        ``E-SANDBOX-UNAVAILABLE``: its code cannot be confined on this machine, so it was not run.
    """
    package = read_package(path)
    subject = Subject(package, semantic if semantic is not None else package.semantic or {}, data)
    results = [_apply(check, subject) for check in FORM_CHECKS]
    level = None
    try:
        if not subject.failed:
            subject.worker = Worker(package, unconfined=unconfined)
            level = subject.worker.level
        results += [_apply(check, subject) for check in RUN_CHECKS]
    except SandboxError as error:
        if error.code == "E-SANDBOX-UNAVAILABLE":  # this machine's fault, not the package's
            raise
        results += [_failure(RUN_CHECKS[0], f"{error.what}: {error.why}")]
        results += [_skipped(check) for check in RUN_CHECKS[1:]]
    finally:
        if subject.worker is not None:
            subject.worker.close()
    manifest = package.manifest
    return Report(
        package.name,
        package.lane,
        level,
        tuple(results),
        agreement=manifest.agreement if manifest else None,
        lane_reason=manifest.lane_reason if manifest else "",
    )


def _apply(check: Check, subject: Subject) -> Result:
    if subject.failed and (check.runs or check.find in _NEED_FORM):
        return _skipped(check)
    if check.find is _copies and subject.data is None:
        return _skipped(check, "no rows were given")
    try:
        why = check.find(subject)
    except (SandboxError, SpecificationError, PackageError) as error:
        why = f"{error.what}: {error.why}" if error.why else error.what
    if not why:
        return Result(check.code, check.sentence, "passed")
    if check.required:
        subject.failed.append(check.code)
        return _failure(check, why)
    return Result(check.code, check.sentence, "warning", why, check.todo)


def _failure(check: Check, why: str) -> Result:
    return Result(check.code, check.sentence, "failed", why, check.todo)


def _skipped(check: Check, why: str = "an earlier check failed") -> Result:
    return Result(check.code, check.sentence, "skipped", why, check.todo)


# --- checks of form ----------------------------------------------------------------------------------


def _semantic(subject: Subject) -> str:
    if not subject.semantic:
        return "the package carries none, and none was given"
    return "; ".join(problems(subject.semantic))


def _dock(subject: Subject) -> str:
    return "; ".join(set(dock_problems(subject.semantic)) - set(problems(subject.semantic)))


def _statistical(subject: Subject) -> str:
    if not subject.package.statistics:
        return "the package has none"
    kinds = {statistical.kind for statistical in subject.package.statistics}
    if subject.kind not in kinds:
        return f"the data are of kind {subject.kind}, the files of kind {', '.join(sorted(kinds))}"
    own = next(each for each in subject.package.statistics if each.kind == subject.kind)
    subject.rkme = read_stat_json(own.data)
    return ""


def _distance(subject: Subject) -> str:
    if subject.rkme is None:
        return ""
    distance = mmd2(subject.rkme, subject.rkme)
    return "" if np.isfinite(distance) else f"its distance to itself is {distance}"


def _dimension(subject: Subject) -> str:
    if subject.rkme is None or subject.kind != "table":
        return ""
    stated, found = subject.dimension("Input"), subject.rkme.dimension
    return "" if stated == found else f"the input has {stated} columns, the specification's points {found}"


def _agreement(subject: Subject) -> str:
    manifest = subject.package.manifest
    if manifest is None or subject.package.lane == "python":
        return ""
    if manifest.agreement is None:
        return f"the {manifest.lane} lane was taken without measuring it"
    share = manifest.agreement.labels
    return (
        "" if share >= LABELS_LEAST else f"it answers alike on {share:.2%} of {manifest.agreement.rows} rows"
    )


def _copies(subject: Subject) -> str:
    if subject.rkme is None or not known_extractor(subject.rkme):
        return ""
    rows = subject.data if subject.kind == "table" else rows_of(subject.data, subject.rkme)
    copies = exposure(subject.rkme, rows).copies
    return f"{len(copies)} of its {len(subject.rkme)} points are copies of rows" if len(copies) else ""


# --- checks of the running model ---------------------------------------------------------------------


def _runs(subject: Subject) -> str:
    worker = subject.worker
    if worker is None:
        return "it was not started"
    subject.answer = worker.predict(_test_rows(subject, worker))
    return ""


def _test_rows(subject: Subject, worker: Worker) -> Any:
    random = np.random.default_rng(0)
    if subject.kind == "text":
        lengths = random.integers(*TEXT_CHARACTERS, TEST_ROWS, endpoint=True)
        return ["".join(map(chr, random.integers(32, 127, length))) for length in lengths]
    shape = worker.input_shape or ()
    if subject.kind == "image":
        return random.integers(0, 255, (TEST_ROWS, *shape))
    return random.standard_normal((TEST_ROWS, subject.dimension("Input")))


def _input_shape(subject: Subject) -> str:
    stated = None if subject.worker is None else subject.worker.input_shape
    if subject.kind != "table" or stated == (subject.dimension("Input"),):
        return ""
    return f"the model takes rows of shape {stated}, not of {subject.dimension('Input')} columns"


def _output_shape(subject: Subject) -> str:
    declared = None if subject.worker is None else subject.worker.output_shape
    if subject.answer is None or (declared is None and subject.task not in _OUTPUT_TASKS):
        return ""
    found = subject.answer.shape[1:] or (1,)
    return "" if found == declared else f"one answer has shape {found}, the model declares {declared}"


def _regression(subject: Subject) -> str:
    if subject.task != "regression" or subject.answer is None:
        return ""
    stated, found = subject.dimension("Output"), (subject.answer.shape[1:] or (1,))[0]
    return "" if stated == found else f"it answers {found} numbers a row, the specification says {stated}"


def _classes(subject: Subject) -> str:
    if subject.task != "classification" or subject.answer is None:
        return ""
    stated, answer = subject.dimension("Output"), subject.answer
    if answer.ndim > 1 and answer.shape[1] != 1:
        return (
            "" if answer.shape[1] == stated else f"it answers {answer.shape[1]} scores for {stated} classes"
        )
    manifest = subject.package.manifest
    if manifest is not None and manifest.classes is not None:
        listed = len(manifest.classes)
        return "" if listed == stated else f"skerry.json lists {listed} classes, the specification {stated}"
    low, high = answer.min(), answer.max()
    return "" if low >= 0 and high < stated else f"its labels reach from {low} to {high}, of {stated} classes"


FORM_CHECKS: Final = (
    Check(
        "E-CHECK-SEMANTIC",
        "The semantic specification keeps to the reference's vocabulary",
        "Correct the named keys",
        _semantic,
    ),
    Check(
        "E-CHECK-DOCK",
        "Name and description have a length that the reference's dock accepts",
        "Change their length if the learnware is to be uploaded there",
        _dock,
        required=False,
    ),
    Check(
        "E-CHECK-STATISTICAL",
        "A statistical specification fits the kind of data and can be read",
        "Make it again from the training inputs",
        _statistical,
    ),
    Check(
        "E-CHECK-DISTANCE",
        "The specification has a finite distance to itself",
        "Make it again from the training inputs",
        _distance,
    ),
    Check(
        "E-CHECK-DIMENSION",
        "Semantic and statistical specification have the same number of columns",
        "Make both from the same table",
        _dimension,
    ),
    Check(
        "E-CHECK-AGREEMENT",
        "A converted model answers as the original does",
        "Publish it again; a lane that disagrees is then passed over",
        _agreement,
    ),
    Check(
        "E-CHECK-COPIES",
        "No point of the specification is a copy of a training row",
        "Use fewer points, or more rows",
        _copies,
    ),
)
RUN_CHECKS: Final = (
    Check(
        "E-CHECK-RUNS",
        "The model starts in the sandbox and answers random rows, one answer a row",
        "Run `skerry check` after changing it; the reason names what it did",
        _runs,
        runs=True,
    ),
    Check(
        "E-CHECK-INPUT",
        "The model takes the columns that the semantic specification says",
        "Correct input_shape, or Input.Dimension",
        _input_shape,
        runs=True,
    ),
    Check(
        "E-CHECK-OUTPUT",
        "An answer has the shape that the model declares",
        "Correct output_shape",
        _output_shape,
        runs=True,
    ),
    Check(
        "E-CHECK-REGRESSION",
        "A regression answers as many numbers as the semantic specification says",
        "Correct Output.Dimension",
        _regression,
        runs=True,
    ),
    Check(
        "E-CHECK-CLASSES",
        "A classifier answers with classes, or one score a class, of the semantic specification",
        "Correct Output.Dimension, or number the labels from 0",
        _classes,
        runs=True,
    ),
)
_NEED_FORM: Final = frozenset({_dock, _statistical, _distance, _dimension, _copies})
