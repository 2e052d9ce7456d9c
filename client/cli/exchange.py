"""Verbs for packages from and for elsewhere: import, export. The format is the reference engine's zip."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from skerry.errors import PackageError

from .cached import YesOption
from .owner import TargetOption, Walk, send
from .searcher import download
from .session import Session
from .state import resolve

_ID_CHARACTERS = 64


def import_package(
    session: Session,
    package: Annotated[
        Path, typer.Argument(help="A package of the reference engine or of Beimingwu, a zip.")
    ],
    *,
    data: Annotated[
        Path | None, typer.Option(help="The rows it was trained on, to specify them anew. They do not leave.")
    ] = None,
    target: TargetOption = None,
    columns: Annotated[
        str, typer.Option(help="Names of its columns in their order, with commas; without rows only.")
    ] = "",
    summary: Annotated[str, typer.Option(help="One sentence for the index.")] = "",
    slug: Annotated[str, typer.Option(help="Short name; by default made from the name.")] = "",
    update: Annotated[bool, typer.Option("--update", help="Replace the version that is published.")] = False,
    unsafe_models: Annotated[
        bool, typer.Option("--unsafe-models", help="Check the model without a sandbox: it may do anything.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Publish a package of the reference engine, with the specification that it brings."""
    from skerry.client.data import read_file
    from skerry.client.publishing import packaged

    network = session.network()
    table = None if data is None else read_file(data, target)[0]
    names = [name.strip() for name in columns.split(",")] if columns else None
    walk = Walk(session)
    draft = packaged(
        package,
        None if table is None else table.values,
        columns=names if table is None else table.columns,
        slug=slug,
        summary=summary,
        update=update,
        unconfined=unsafe_models,
        step=walk.step,
    )
    if table is None:
        walk.step("exposure", "not looked at: without --data nobody can tell whether points copy rows")
    send(session, network, draft, walk, yes=yes)


def export(
    session: Session,
    learnware: Annotated[
        str, typer.Argument(help="Short name of a learnware of the node, a hit's number, or an id.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
) -> None:
    """Write a learnware's package as a zip that the reference engine reads."""
    from .output import byte_size
    from .results import Exported

    network = session.network(offline=True)
    hit = resolve(network, learnware) if _is_hit(learnware) else network.own(learnware)
    path = download(session, hit)
    try:
        shutil.copyfile(path, output)
    except OSError as error:
        raise PackageError(
            "The package cannot be written",
            where=str(output),
            why=str(error),
            todo="Name a file in a folder that you may write",
            code="E-PACKAGE-FOLDER",
        ) from error
    result = Exported(hit.card.id, hit.card.package_bytes, hit.card.lane, str(output))
    session.show(result, f"{output}: {hit.title}, {byte_size(result.bytes)}", str(output))


def _is_hit(name: str) -> bool:
    return name.isdecimal() or len(name) == _ID_CHARACTERS
