"""Replace values in the rows of a SQLite file, and write it anew, so that no page has them left."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from factory_resources.erasure.databases import sqlite_tables
from factory_resources.erasure.redaction import Redaction
from factory_resources.erasure.search import holds_any
from factory_resources.erasure.search_terms import SearchTerms
from factory_resources.errors import StorageError
from factory_resources.sql.engine import identifier

FILE_SUFFIXES = ("", "-wal", "-journal", "-shm")
"""Ends of the names of a database and of the files that SQLite writes beside it."""

_NOT_UNIQUE = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")
"""Names of the errors that SQLite raises if another row has a text that has to be unique."""

_ROWS = 500
"""Rows that are read at once."""

_TYPES_WITHOUT_TEXT = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DATE", "TIME", "BOOL", "BLOB")
"""Parts of declared types whose columns are left alone; SQLite stores their dates as text."""


def scrub_sqlite(path: Path, terms: SearchTerms) -> "Counter[str]":
    """Replace values in all columns of text, and count them by table and column.

    The file is written anew if any of its bytes, or of its log, has one.

    Raises:
        StorageError: it is damaged or locked, or the disk is full.
    """
    found: Counter[str] = Counter()
    files = [path.with_name(path.name + suffix) for suffix in FILE_SUFFIXES]
    if not any(holds_any(file, terms) for file in files if file.is_file()):
        return found
    with rewritten(path, "values in the database cannot be replaced", always=True) as connection:
        for table in sqlite_tables(connection):
            _scrub_table(connection, table, terms, found)
    return found


@contextmanager
def rewritten(path: Path, failure: str, *, always: bool) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for one transaction, and leave nothing of what was there before.

    Args:
        failure: the message of the error if it cannot be done.
        always: whether the file is written anew also if no row was changed.

    Raises:
        StorageError: it is damaged or locked, or the disk is full.
    """
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
            if always or connection.total_changes:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StorageError(
            f"{failure} ({error.__class__.__name__})",
            where=str(path),
            remedy="stop what uses it, free space, or restore it from a backup; then run it again",
        ) from error


def _scrub_table(
    connection: sqlite3.Connection, table: str, terms: SearchTerms, found: "Counter[str]"
) -> None:
    described = connection.execute(f"PRAGMA table_info({identifier(table)})").fetchall()
    columns = [name for _, name, kind, *_ in described if _has_text(kind)]
    keys = _keys(connection, table, described)
    if not columns:
        return
    names = ", ".join(map(identifier, [*keys, *columns]))
    for row in _with_values(
        connection, f"SELECT {names} FROM {identifier(table)}", terms, len(keys)
    ):
        key = dict(zip(keys, row, strict=False))
        for column, cell in zip(columns, row[len(keys) :], strict=True):
            redaction = Redaction(terms)
            if isinstance(cell, str) and (changed := redaction.text(cell)) != cell:
                stored = _update(connection, table, column, changed, key)
                if column in key:
                    key[column] = stored
                found[f"{table}.{column}"] += redaction.count


def _has_text(kind: str) -> bool:
    return not any(word in kind.upper() for word in _TYPES_WITHOUT_TEXT)


def _keys(connection: sqlite3.Connection, table: str, described: Sequence[Any]) -> list[str]:
    """Return the columns of the key by which a row is found again."""
    try:
        connection.execute(f"SELECT rowid FROM {identifier(table)} LIMIT 0")
    except sqlite3.OperationalError:
        return [name for _, name, *_, key in described if key]
    return ["rowid"]


def _with_values(
    connection: sqlite3.Connection, query: str, terms: SearchTerms, keys: int
) -> list[Sequence[Any]]:
    """Return the rows with values; a table that is changed while it is read gives rows twice."""
    redaction = Redaction(terms)
    changed: list[Sequence[Any]] = []
    cursor = connection.execute(query)
    while rows := cursor.fetchmany(_ROWS):
        if redaction.has_values(cell for row in rows for cell in row[keys:] if _is_text(cell)):
            changed += [row for row in rows if redaction.has_values(filter(_is_text, row[keys:]))]
    return changed


def _is_text(cell: object) -> bool:
    return isinstance(cell, str)


def _update(
    connection: sqlite3.Connection, table: str, column: str, text: str, key: dict[str, Any]
) -> str:
    """Store a text, with a number if it has to be unique; return what is stored."""
    where = " AND ".join(f"{identifier(name)} = ?" for name in key)
    statement = f"UPDATE {identifier(table)} SET {identifier(column)} = ? WHERE {where}"
    number, unique = 1, text
    while True:
        try:
            connection.execute(statement, [unique, *key.values()])
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname not in _NOT_UNIQUE:
                raise
            number += 1
            unique = f"{text} {number}"
        else:
            return unique
