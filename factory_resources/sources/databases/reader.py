"""Tables and queries of databases as sources: read only, streamed, in an order of their own.

A database promises no order of rows. They are sorted here, so that the same content gives the same
bytes, the same digest and the same row numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret
from factory_resources.sources.databases.parquet_writer import store
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.files.discovery import find_files
from factory_resources.sources.files.reader import SourceTable

Dialect = Literal["postgres", "sqlite"]

SQLITE = "sqlite:"

_POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Address:
    """Where a database is. Holds what nobody may see, and does not show it."""

    dialect: Dialect
    url: str
    """Of PostgreSQL the URL with user and password, of SQLite the path."""

    def __repr__(self) -> str:
        return f"Address({self.dialect})"


def read_database(question: DatabaseQuery, folder: Path, home: Home, scratch: Path) -> SourceTable:
    """Bring the answer into the common form; its digest is that of its content.

    Args:
        folder: where a relative path of SQLite starts.
        scratch: an empty folder of its own.

    Raises:
        SourceError: no such secret, the server says no, the query is no single SELECT, or a column
            is of a type that no table holds. Never shows user, password or URL.
    """
    address = address_of(question.database, folder, home)
    if address.dialect == "postgres":
        from factory_resources.sources.databases.postgres import stream_rows
    else:
        from factory_resources.sources.databases.sqlite import stream_rows
    with stream_rows(question, address.url) as reader:
        raw = store(reader, question.name, question.key, scratch)
    return replace(raw, name=question.name)


def address_of(database: str, folder: Path, home: Home) -> Address:
    """The address that `database` stands for.

    Raises:
        SourceError: there is no such secret or file, or the secret is no URL of a known kind.
    """
    if database.startswith(SQLITE):
        return Address("sqlite", _file(database.removeprefix(SQLITE), folder))
    url = secret(database, home).strip()
    if url.startswith(_POSTGRES):
        return Address("postgres", url)
    if url.startswith("sqlite:///"):
        # An absolute path has a fourth slash, as in SQLAlchemy's URLs.
        return Address("sqlite", _file(unquote(url.removeprefix("sqlite:///")), folder))
    raise SourceError(
        f"secret {database} holds no URL of a database that can be read",
        remedy="write postgresql://user:password@host/name or sqlite:///path",
    )


def dialect_of(database: str) -> Dialect:
    """The dialect of its queries, as far as that is known without the secret."""
    return "sqlite" if database.startswith(SQLITE) else "postgres"


def _file(path: str, folder: Path) -> str:
    found = find_files((path,), folder)
    if len(found) != 1:
        raise SourceError(f"{len(found)} files match {path!r}", remedy="name one database")
    return str(found[0].path.absolute())
