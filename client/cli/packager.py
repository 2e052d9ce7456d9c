"""Verbs of whoever makes a package: check, package new, package pack, package publish."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cached import YesOption
from .owner import (
    DataOption,
    GroupOption,
    PackageGroupOption,
    PublicOption,
    TargetOption,
    Walk,
    lane_lines,
    send,
)
from .session import EXIT_FAILURE, Session

if TYPE_CHECKING:
    from skerry.protocol.api import CheckReport


def check(
    session: Session,
    package: Annotated[
        str, typer.Argument(help="A package's zip; or the short name of a learnware of the node.")
    ],
    *,
    data: Annotated[
        Path | None, typer.Option(help="The rows it was trained on: the specification must copy none.")
    ] = None,
    target: TargetOption = None,
    unsafe_models: Annotated[
        bool, typer.Option("--unsafe-models", help="Run the model without a sandbox: it may do anything.")
    ] = False,
) -> None:
    """Check a package as publishing does; of a learnware of the node, show what was found then."""
    from skerry.client.packaging import check_file

    if Path(package).suffix or Path(package).exists():
        with session.working("checking"):
            report = check_file(Path(package), data=data, target=target, unconfined=unsafe_models)
    else:
        report = session.network().checks(package)
    failed = [result.code for result in report.results if result.outcome == "failed"]
    session.show(report, "\n".join(_report_lines(report)), "\n".join(failed))
    if not report.usable:
        raise typer.Exit(EXIT_FAILURE)


def new(
    session: Session,
    place: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to make.")],
    *,
    data: Annotated[
        Path | None, typer.Option(help="The rows it was trained on, for its specification. They stay here.")
    ] = None,
    target: TargetOption = None,
) -> None:
    """Write the first files of a package for a model that cannot be converted, to be filled in."""
    from skerry.client.packaging import new_folder

    from .results import Files

    paths = [str(path) for path in new_folder(place, data=data, target=target)]
    session.show(Files(paths), "\n".join(paths), "\n".join(paths))


def pack(
    session: Session,
    place: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder with learnware.yaml and what it names.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
) -> None:
    """Pack a folder into a package's zip."""
    from skerry.package.scaffold import pack_folder

    from .results import PackedFile

    package = pack_folder(place, output)
    size = output.stat().st_size
    value = PackedFile(package.name, package.lane, size, str(output))
    session.show(value, f"{output}: {package.name}, {size} bytes, lane {package.lane}", str(output))


def publish(
    session: Session,
    package: Annotated[Path, typer.Argument(help="A package's zip; it states name, task and license.")],
    *,
    data: DataOption,
    target: TargetOption = None,
    summary: Annotated[str, typer.Option(help="One sentence for the index.")] = "",
    slug: Annotated[str, typer.Option(help="Short name; by default made from the name.")] = "",
    update: Annotated[bool, typer.Option("--update", help="Replace the version that is published.")] = False,
    group: GroupOption = None,
    public: PublicOption = False,
    package_group: PackageGroupOption = None,
    unsafe_models: Annotated[
        bool, typer.Option("--unsafe-models", help="Check the model without a sandbox: it may do anything.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Publish a package that was made by hand, with a specification of its rows."""
    from skerry.client.data import read_file
    from skerry.client.publishing import Audience, packaged

    network = session.network()
    table, _ = read_file(data, target)
    walk = Walk(session)
    draft = packaged(
        package,
        table.values,
        columns=table.columns,
        slug=slug,
        summary=summary,
        update=update,
        unconfined=unsafe_models,
        step=walk.step,
    )
    kept = None if package_group is None else tuple(package_group)
    audience = Audience(True if public else None, tuple(group or ()), kept)
    send(session, network, replace(draft, audience=audience), walk, yes=yes)


def _report_lines(report: CheckReport) -> list[str]:
    from skerry.client.escape import visible

    lines = lane_lines(report)
    for result in report.results:
        skipped = f": {result.why}" if result.outcome == "skipped" else ""
        lines.append(f"{result.outcome:<8} {result.code:<19} {result.sentence}{skipped}")
        if result.outcome in {"failed", "warning"}:
            lines += [f"  why: {result.why}", f"  what to do: {result.todo}"]
    return [visible(line) for line in lines]
