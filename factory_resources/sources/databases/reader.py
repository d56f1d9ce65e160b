"""Tables and queries of databases as sources: read-only, streamed, in a fixed order.

A database guarantees no order of rows. They are sorted, so that the same content gives the same
bytes, the same digest and the same row numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret
from factory_resources.sources.databases.parquet_writer import write_sorted
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.files.discovery import find_files
from factory_resources.sources.files.reader import SourceTable
from factory_resources.store.location import is_readable

Dialect = Literal["postgres", "sqlite"]

SQLITE = "sqlite:"

_POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Address:
    """The address of a database. It contains secrets, which `repr` does not show."""

    dialect: Dialect
    url: str
    """For PostgreSQL the URL with user and password, for SQLite the path."""

    def __repr__(self) -> str:
        return f"Address({self.dialect})"


def read_database(request: DatabaseQuery, folder: Path, home: Home, scratch: Path) -> SourceTable:
    """Read a table or query into the common form; its digest is that of its content.

    Args:
        folder: the base of a relative SQLite path.
        scratch: an empty folder for this source alone.

    Raises:
        SourceError: there is no such secret, the server refuses, the query is not one SELECT, or a
            column's type cannot be stored. Never shows user, password or URL.
    """
    address = address_of(request.database, folder, home)
    if address.dialect == "postgres":
        from factory_resources.sources.databases.postgres import stream_rows
    else:
        from factory_resources.sources.databases.sqlite import stream_rows
    with stream_rows(request, address.url) as reader:
        table = write_sorted(reader, request.name, request.key, scratch)
    return replace(table, name=request.name)


def address_of(database: str, folder: Path, home: Home) -> Address:
    """Return the address that `database` stands for.

    Raises:
        SourceError: there is no such secret or file, or the secret is not a supported URL.
    """
    if database.startswith(SQLITE):
        return Address("sqlite", _file(database.removeprefix(SQLITE), folder))
    url = secret(database, home).strip()
    if url.startswith(_POSTGRES):
        if is_readable(url):
            return Address("postgres", url)
        raise SourceError(
            f"secret {database} contains a URL that cannot be read",
            remedy="in its user and password write %25 for %, %2F for /, %40 for @, %5B for [, "
            "%3F for ? and %23 for #",
        )
    if url.startswith("sqlite:///"):
        # An absolute path has a fourth slash, as in SQLAlchemy's URLs.
        try:
            return Address("sqlite", _file(unquote(url.removeprefix("sqlite:///")), folder))
        except SourceError:
            # Not `from error`: its message has the path, which is part of the secret.
            raise SourceError(
                f"secret {database} leads to no file that can be read",
                remedy="write four slashes before a path from the root, as in sqlite:////path, and "
                "three before one from the folder of the defs.yaml",
            ) from None
    raise SourceError(
        f"secret {database} does not contain the URL of a supported database",
        remedy="write postgresql://user:password@host/name or sqlite:///path",
    )


def dialect_of(database: str) -> Dialect:
    """Return the dialect of its queries, as far as it is known without the secret."""
    return "sqlite" if database.startswith(SQLITE) else "postgres"


def _file(path: str, folder: Path) -> str:
    files = find_files((path,), folder)
    if len(files) != 1:
        raise SourceError(f"{len(files)} files match {path!r}", remedy="name one database")
    return str(files[0].path.absolute())
