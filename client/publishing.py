"""From a fitted model and its rows to a learnware in the market.

Theory of operation. A *draft* is all that will leave: the specification, fitted here on the rows, and the
package. Making it needs no network; uploading gives the node both blobs by their content, then one
request puts the learnware into the node's catalogue, signed and durable before it is acknowledged. A kill
in between leaves blobs that nobody names, and the next attempt finds them there. The package is checked as
it was built, in the sandbox, before anything is uploaded; what was found goes to the node with the request
and stays there.

Rules of this file:

1. Rows are read and never sent; only the draft's two blobs go to the node. No point of the specification is
   a copy of a row, and nothing says how many rows there are.
2. The semantic specification is complete without being asked for: what the model and the rows show is
   filled in.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Required, TypedDict, Unpack

import numpy as np

from skerry.errors import PackageError, SpecificationError
from skerry.protocol import api

from .connection import Connection
from .fetch import Progress, no_progress
from .limits import SLUG_CHARACTERS_MAX
from .packaging import as_sent
from .requirements import IMAGE_AXES

if TYPE_CHECKING:
    from skerry.package.format import Package
    from skerry.package.inspecting import ModelFacts
    from skerry.spec import Rkme, SemanticSpec, Specification

    from .network import Network

Step = Callable[[str, str], None]
"""Called with the name of a step of publishing when it is done, and with what is to be said of it."""

_LIBRARIES: Final = {"sklearn": "Scikit-learn"}
"""The reference's name for the library whose module a model's class comes from; all else is ``Others``."""


class Words(TypedDict, total=False):
    """What an owner says about a learnware; only the name and the licence have no default.

    Attributes
    ----------
    name
        Shown in searches, at most 100 characters.
    license
        One of the reference's licences, such as ``"Apache-2.0"``.
    description
        Free text, Markdown; by default one sentence on model and rows.
    summary
        One sentence for the card; by default the beginning of the description.
    library
        The reference's word for the model's library; by default told from the model's class.
    scenario
        Fields of use in the reference's words, such as ``("Health",)``; by default ``("Others",)``.
    tags
        Free words to be found by.
    slug
        Name within this owner's learnwares; by default made from the name.
    columns
        Names of the columns, for rows without names.
    units
        Unit of a column by its name.
    update
        Replace the live version of the slug.
    groups
        The groups that see it, by name or id; without any it is public.
    public
        Whether everybody sees it, too; None: as it is for an update, else unless groups are named.
    package_groups
        The groups for which the package is kept, though the card is seen by more.
    """

    name: Required[str]
    license: Required[str]
    description: str
    summary: str
    library: str
    scenario: Sequence[str]
    tags: Sequence[str]
    slug: str
    columns: Sequence[str] | None
    units: dict[str, str]
    update: bool
    groups: Sequence[str]
    public: bool | None
    package_groups: Sequence[str] | None


@dataclass(frozen=True)
class Audience:
    """To whom a learnware is shown; the attributes are those of :class:`Words`."""

    public: bool | None = None
    groups: tuple[str, ...] = ()
    package_groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Draft:
    """All of a learnware that will leave this machine, ready to be uploaded.

    Attributes
    ----------
    slug
        Name within the owner's learnwares.
    specification
        Semantic and statistical specification.
    package
        The package's zip; gone when the draft's context ends.
    checks
        What was found when the package was checked; with its lane.
    summary, update
        See :class:`Words`.
    audience
        To whom it is shown.
    """

    slug: str
    specification: Specification
    package: Path
    checks: api.CheckReport
    summary: str
    update: bool
    audience: Audience = Audience()

    @property
    def lane(self) -> str:
        """How the package runs."""
        return self.checks.lane


def publish(
    model: Any, X: Any, y: Any = None, *, network: Network | None = None, **words: Unpack[Words]
) -> api.PublishReceipt:
    """Publish a fitted model as a learnware of this machine's node.

    Parameters
    ----------
    model
        A fitted scikit-learn or LightGBM classifier or regressor, a ``torch.nn.Module``, or a
        :class:`~skerry.package.model_files.FileModel`.
    X
        The rows it was trained on, (n, d), as the model takes them. They are read and do not leave.
    y
        Their labels or targets, if the package should be tried on them. A torch module needs them: floats
        make it a regression.
    network
        The market to publish in; by default the one of this machine's node.
    **words
        See :class:`Words`; ``name`` and ``license`` are needed.

    Raises
    ------
    SpecificationError, PackageError
        When the rows, the words or the model are not acceptable; names the field. ``E-PUBLISH-CHECKS``
        when the package fails a check; names the checks.
    SandboxError
        ``E-SANDBOX-UNAVAILABLE``: the package has code that cannot be tried in a sandbox on this machine.
    Refused
        When the slug is taken and ``update`` is not set.
    Unavailable
        When the node does not answer.
    """
    if network is None:
        from .network import connect

        network = connect()
    return network.publish(model, X, y, **words)


def silent(name: str, said: str) -> None:
    """Tell nobody."""


@contextmanager
def drafted(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    unconfined: bool = False,
    step: Step = silent,
    **words: Unpack[Words],
) -> Iterator[Draft]:
    """Give the draft of a learnware; its package file is removed at the end.

    Parameters and errors are those of :func:`publish`; `unconfined` runs the package without a sandbox, and
    `step` is told what was done.
    """
    from skerry.package.torch_models import is_module, open_module

    with tempfile.TemporaryDirectory(prefix="skerry-draft-") as folder:
        path = Path(folder) / "package.zip"
        if not is_module(model):
            yield _draft(model, X, y, path, words, unconfined=unconfined, step=step)
            return
        columns = words.get("columns") or _names(X)
        with open_module(model, X, y, columns=columns, unconfined=unconfined) as opened:
            named: Words = {"library": "PyTorch", **words}
            yield _draft(opened, X, y, path, named, unconfined=unconfined, step=step)


def packaged(
    path: Path,
    X: Any = None,
    *,
    columns: Sequence[str] | None = None,
    slug: str = "",
    summary: str = "",
    update: bool = False,
    unconfined: bool = False,
    step: Step = silent,
) -> Draft:
    """Return the draft of a package that exists already; name, task and license are those it states.

    Parameters
    ----------
    path
        The package's zip.
    X
        The rows that its model was trained on; without them the package's own specification is taken.
    columns
        The names of their columns, or of the columns of the package's specification.
    slug, summary, update
        See :class:`Words`.
    unconfined
        Run the model without a sandbox.
    step
        Told what was done.

    Raises
    ------
    PackageError
        The package breaks a rule; ``E-PUBLISH-CHECKS`` when it fails a check, ``E-PACKAGE-SPECIFICATION``
        when it has no specification of a table and no rows were given.
    SpecificationError
        The rows are not acceptable, or not those of the package.
    """
    from skerry.package.format import read_package
    from skerry.spec import SemanticSpec, Specification, TypedColumn, fit_table

    package = read_package(path)
    step("inspect", f"{package.name}: lane {package.lane}")
    rkme = _brought(package, columns) if X is None else _guarded(fit_table(X, columns=columns), X, step)
    checks = _checked(path, X, unconfined=unconfined, step=step)
    typed = tuple(TypedColumn(column.name, column.unit) for column in rkme.columns or ())
    semantic = replace(SemanticSpec.from_reference(package.semantic or {}), columns=typed)
    return Draft(
        slug=slug or slug_of(semantic.name),
        specification=Specification(semantic, rkme),
        package=path,
        checks=checks,
        summary=summary or semantic.description.split("\n")[0],
        update=update,
    )


def _brought(package: Package, columns: Sequence[str] | None) -> Rkme:
    """Return the specification in a package, its columns named where names are given."""
    from skerry.spec import Column, Island, Rkme

    table = next((one for one in package.statistics if one.kind == "table"), None)
    if table is None:
        raise PackageError(
            "The package has no specification of a table",
            where=str(package.path),
            why=f"it has {', '.join(one.kind for one in package.statistics) or 'none'}",
            todo="Give the rows that it was trained on: --data ROWS",
            code="E-PACKAGE-SPECIFICATION",
        )
    rkme = Rkme.from_reference_json(table.data)
    if columns is None:
        return rkme
    named = tuple(Column(name) for name in columns)
    return replace(rkme, island=Island("table", named, rkme.dimension))


def _fitted(model: Any, X: Any, facts: ModelFacts, words: Words) -> Rkme:
    """Return the specification of the training data, of whatever kind they are."""
    from skerry.reuse.inputs import is_text
    from skerry.spec import fit_image, fit_table, fit_text

    responses = _responder(model, X, facts)
    if is_text(X):
        return fit_text(X, responses=responses)
    if getattr(X, "ndim", 2) in IMAGE_AXES:
        return fit_image(X, responses=responses)
    return fit_table(X, columns=words.get("columns"), units=words.get("units"), responses=responses)


def _guarded(rkme: Rkme, X: Any, step: Step) -> Rkme:
    """Return a specification without copies of rows, and say how close its points come to them."""
    from skerry.spec import exposure, rows_of, without_copies

    if rkme.kind != "table":
        X = rows_of(X, rkme)
    step("specify", f"{len(rkme)} weighted points of {len(X)} rows, {len(rkme.to_bytes())} bytes")
    kept = without_copies(rkme, X)
    found = exposure(kept, X)
    nearest = float(found.distances.min())
    usual = f"rows themselves are {found.neighbour_distance:.2f} apart"
    dropped = f"; {len(rkme) - len(kept)} points were left out" if len(kept) < len(rkme) else ""
    step("exposure", f"no copies; the nearest point is {nearest:.2f} spreads from a row, {usual}{dropped}")
    return kept


def _draft(model: Any, X: Any, y: Any, path: Path, words: Words, *, unconfined: bool, step: Step) -> Draft:
    from skerry.package.build import build_package, inspect_model
    from skerry.spec import Specification

    facts = inspect_model(model, X)
    outputs = f"{len(facts.classes)} classes" if facts.classes is not None else f"{facts.outputs} numbers"
    step("inspect", f"{facts.task}: {facts.inputs} columns to {outputs}")
    rkme = _guarded(_fitted(model, X, facts, words), X, step)
    semantic = _semantic(model, facts, rkme, words)
    package = build_package(
        model,
        X,
        y,
        semantic=semantic.to_reference(),
        specification_json=rkme.to_reference_json(),
        path=path,
    )
    step("convert", _lane(package))
    return Draft(
        slug=words.get("slug") or slug_of(words["name"]),
        specification=Specification(semantic, rkme),
        package=path,
        checks=_checked(path, X, unconfined=unconfined, step=step),
        summary=words.get("summary") or semantic.description.split("\n")[0],
        update=words.get("update", False),
        audience=_audience(words),
    )


def _audience(words: Words) -> Audience:
    kept = words.get("package_groups")
    return Audience(
        public=words.get("public"),
        groups=tuple(words.get("groups") or ()),
        package_groups=None if kept is None else tuple(kept),
    )


def _lane(package: Package) -> str:
    """Return which lane a model went into, how far it agrees, and why no safer one was taken."""
    manifest = package.manifest
    text = f"lane {package.lane}"
    if manifest is not None and manifest.agreement is not None:
        agreement = manifest.agreement
        text += (
            f", {agreement.labels:.2%} of answers agree, differing by {agreement.difference_max:.1e} at most"
        )
    if manifest is not None and manifest.lane_reason:
        text += f"; not safer: {manifest.lane_reason}"
    return text


def _checked(path: Path, X: Any, *, unconfined: bool, step: Step) -> api.CheckReport:
    from skerry.package.checks import check_package

    report = as_sent(check_package(path, data=X, unconfined=unconfined))
    passed = sum(result.outcome == "passed" for result in report.results)
    ran = f"in sandbox {report.level}" if report.level else "without a sandbox"
    step("check", f"{passed} of {len(report.results)} checks passed, {ran}")
    if not report.usable:
        failed = [result for result in report.results if result.outcome == "failed"]
        raise PackageError(
            "The package fails checks, so it is not published",
            where=", ".join(result.code for result in failed),
            why="; ".join(result.why for result in failed),
            todo="; ".join(result.todo for result in failed),
            code="E-PUBLISH-CHECKS",
        )
    return report


def upload(draft: Draft, connection: Connection, progress: Progress = no_progress) -> api.PublishReceipt:
    """Give a draft to the node and return its receipt: the change is signed and durable.

    `progress` is called with the bytes of the package that are there and with its size.
    """
    specification = draft.specification.to_bytes()
    named = connection.upload(specification, len(specification))
    size = draft.package.stat().st_size
    with draft.package.open("rb") as file:
        packed = connection.upload(_Watched(file, size, progress), size)
    request = api.PublishRequest(
        slug=draft.slug,
        specification=named.root,
        package=packed.root,
        lane=draft.lane,
        summary=draft.summary,
        update=draft.update,
        checks=draft.checks,
        public=draft.audience.public,
        groups=list(draft.audience.groups),
        package_groups=None if draft.audience.package_groups is None else list(draft.audience.package_groups),
    )
    return connection.post("/learnwares", request, api.PublishReceipt)


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress) -> None:
        self._file = file
        self._size = size
        self._progress = progress

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        data = self._file.read(size)
        self._progress(self._file.tell(), self._size)
        return data


def slug_of(name: str) -> str:
    """Return a name as a slug: small letters, digits and hyphens.

    Raises
    ------
    SpecificationError
        ``E-PUBLISH-SLUG`` when nothing of the name is left.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_CHARACTERS_MAX].strip("-")
    if not slug:
        raise SpecificationError(
            "No slug can be made from the name",
            where=name,
            why="it has no letter from a to z and no digit",
            todo="Give one with slug= or --slug",
            code="E-PUBLISH-SLUG",
        )
    return slug


def _semantic(model: Any, facts: ModelFacts, rkme: Rkme, words: Words) -> SemanticSpec:
    from skerry.spec import Features, SemanticSpec, TypedColumn

    columns = rkme.columns or ()
    classes = tuple(str(label) for label in facts.classes or ())
    return SemanticSpec(
        data=rkme.kind.capitalize(),
        task=facts.task,
        library=words.get("library") or _LIBRARIES.get(type(model).__module__.split(".")[0], "Others"),
        scenario=tuple(words.get("scenario") or ("Others",)),
        license=words["license"],
        name=words["name"],
        description=words.get("description") or _describe(model, facts, rkme),
        input=Features(rkme.dimension, {index: column.name for index, column in enumerate(columns)})
        if rkme.kind == "table"
        else None,
        output=Features(len(classes) or facts.outputs, dict(enumerate(classes))),
        columns=tuple(TypedColumn(column.name, column.unit) for column in columns),
        classes=classes,
        language=str(rkme.meta.get("languages", "")).partition(" ")[0],
        tags=tuple(words.get("tags", ())),
    )


def _describe(model: Any, facts: ModelFacts, rkme: Rkme) -> str:
    kind = facts.task.capitalize()
    if hasattr(model, "get_params"):  # an estimator; a model in a file has no class to name here
        kind += f" by {type(getattr(model, 'steps', [('', model)])[-1][1]).__name__}"
    return f"{kind}, trained on {f'{rkme.dimension} columns' if rkme.kind == 'table' else f'{rkme.kind}s'}."


def _responder(model: Any, X: Any, facts: ModelFacts) -> Callable[[Any], Any]:
    """Return a function from points (K, d) to the model's answers there, (K, outputs) numbers."""
    as_input = _namer(X, facts.columns)
    if facts.classes is None:
        return lambda points: model.predict(as_input(points))
    if "predict_proba" in facts.methods:
        return lambda points: model.predict_proba(as_input(points))
    classes = np.asarray(facts.classes)
    return lambda points: np.asarray(model.predict(as_input(points)))[:, None] == classes[None, :]


def _names(X: Any) -> list[str] | None:
    """Return the names of a frame's columns; an array has none."""
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True, pass_through=True)
    return list(frame.columns) if isinstance(frame, nw.DataFrame) else None


def _namer(X: Any, columns: Sequence[str] | None) -> Callable[[Any], Any]:
    """Return what gives an array (K, d) the form of X: a model fitted on a frame wants the names."""
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if columns is None or not isinstance(frame, nw.DataFrame):
        return lambda points: points
    backend = frame.implementation
    return lambda points: nw.from_numpy(points, schema=list(columns), backend=backend).to_native()
