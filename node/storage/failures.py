"""What the database or the disk refuses, as errors that help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DatabaseError

from skerry.errors import StorageError
from skerry.node.folder import folder_error

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC")


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Translate what SQLAlchemy, SQLite and the operating system raise.

    Raises
    ------
    StorageError
        ``E-STORAGE-FULL`` when there is no room, ``E-STORAGE-DATABASE`` for anything else with the database,
        ``E-STORAGE-FOLDER`` for what the operating system refuses.
    """
    import sqlite3

    try:
        yield
    except DatabaseError as error:
        raise _database_error(path, error.orig) from error
    except sqlite3.DatabaseError as error:
        raise _database_error(path, error) from error
    except OSError as error:
        raise folder_error(path, error) from error


def _database_error(path: Path, error: BaseException | sqlite3.DatabaseError | None) -> StorageError:
    if getattr(error, "sqlite_errorname", "") in FULL:
        return StorageError(
            "There is no room left for the node's database",
            where=str(path),
            why=str(error),
            todo="Free space on this disk, then start the node again; all that it acknowledged is there.",
            code="E-STORAGE-FULL",
        )
    return StorageError(
        "The node's database cannot be used",
        where=str(path),
        why=str(error),
        todo="Check the free space; if the file is damaged, restore a backup.",
        code="E-STORAGE-DATABASE",
    )
