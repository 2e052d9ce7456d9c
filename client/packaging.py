"""Making and checking packages by hand, with rows from a file.

The rules are those of :mod:`skerry.package.checks`; publishing applies them to what it built
(:mod:`.publishing`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skerry.protocol.api import CheckReport

from .data import read_file

if TYPE_CHECKING:
    from skerry.package.checks import Report


def check_file(
    path: Path, *, data: Path | None = None, target: str | None = None, unconfined: bool = False
) -> CheckReport:
    """Check a package's zip.

    Parameters
    ----------
    data, target
        File of the rows it was trained on and the column that is none of its inputs: the specification is
        then searched for copies of them.
    unconfined
        Run the model without a sandbox.

    Raises
    ------
    PackageError, SpecificationError
        The package or the rows cannot be read.
    """
    from skerry.package.checks import check_package

    rows = None if data is None else read_file(data, target)[0].values
    return as_sent(check_package(path, data=rows, unconfined=unconfined))


def as_sent(report: Report) -> CheckReport:
    """Return a report in the type that the node keeps."""
    return msgspec.convert(report, CheckReport, from_attributes=True)


def new_folder(folder: Path, *, data: Path | None = None, target: str | None = None) -> list[Path]:
    """Write the first files of a package, with the specification of the rows if there are any.

    Raises
    ------
    PackageError
        ``E-PACKAGE-FOLDER``: the folder is there and not empty, or cannot be written.
    SpecificationError
        The rows cannot be read, or their specification would copy them.
    """
    from skerry.package.scaffold import new_package
    from skerry.spec import fit_table, without_copies

    if data is None:
        return new_package(folder)
    table, _ = read_file(data, target)
    rkme = without_copies(fit_table(table.values, columns=table.columns), table.values)
    return new_package(folder, columns=table.columns, specification_json=rkme.to_reference_json())
