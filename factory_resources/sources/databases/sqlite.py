"""Read SQLite through Arrow, from a file opened read-only.

SQLite has types for values, not for columns. So the query runs twice: first to find the types of
its values, within a limit of time and without the right to write, then through Arrow with these
types. The second run fails if a value of another type was written in between.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from factory_resources.errors import SourceError
from factory_resources.sources.databases.parquet_writer import ReadError
from factory_resources.sources.databases.query import bound_query
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.sources.databases.query import DatabaseQuery


_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}

_STEPS = 10_000
"""Instructions of SQLite's virtual machine between two checks of the time limit."""

_EXACT = 1 << 53
"""Up to here a double holds every whole number."""

_EXAMPLES = {"INTEGER": "0", "REAL": "0.0", "TEXT": "''"}

_SUITABLE = {
    "INTEGER": ("null", "blank", "integer", "long"),
    "REAL": ("null", "blank", "integer", "real"),
    "TEXT": ("null", "blank", "integer", "long", "real", "text"),
}
"""The results of `_type_of` for the values that a column of each type can hold without loss."""

_OVERFLOW = "integer overflow"
"""The message of the error that `_cast` provokes if a value does not suit its column."""


@contextmanager
def stream_rows(request: "DatabaseQuery", address: str) -> "Iterator[pyarrow.RecordBatchReader]":
    """Yield a reader that fetches the rows batch by batch.

    Raises:
        SourceError: the database cannot be read; the message is one line.
    """
    import pyarrow
    from adbc_driver_manager import Error
    from adbc_driver_sqlite import dbapi

    uri = _uri(address)
    sql, values = _sql(request)
    names, kinds = _columns(request, uri, sql, values)
    casts = ", ".join(
        f"{_cast(identifier(name), kind)} AS {identifier(name)}"
        for name, kind in zip(names, kinds, strict=True)
    )
    # The driver takes the types of the first rows, so an example row comes first; it is removed.
    examples = ", ".join(_EXAMPLES[kind] for kind in kinds)
    typed = f"SELECT {examples} UNION ALL SELECT {casts} FROM (\n{sql}\n)"
    try:
        with dbapi.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute(typed, parameters=values or None)
            reader = cursor.fetch_record_batch()
            schema = pyarrow.schema(
                [field.with_name(n) for field, n in zip(reader.schema, names, strict=True)]
            )
            yield pyarrow.RecordBatchReader.from_batches(schema, _without_first(reader, names))
    except (Error, ReadError) as error:
        changed = _OVERFLOW in str(error)
        reason = "it was written while it was read" if changed else str(error).splitlines()[0]
        raise SourceError(
            f"broke off ({reason})",
            where=request.name,
            remedy="run again; if another program is writing the database, wait until it is done",
        ) from error


def _without_first(
    reader: "pyarrow.RecordBatchReader", names: Sequence[str]
) -> "Iterator[pyarrow.RecordBatch]":
    skip = 1
    for batch in reader:
        yield batch.slice(skip).rename_columns(names)
        skip = 0


def _sql(request: "DatabaseQuery") -> tuple[str, list[int | float | str | bool]]:
    if request.table:
        return f"SELECT * FROM {identifier(request.table)}", []
    parameters = request.parameters or {}
    numbers = {name: i for i, name in enumerate(parameters, start=1)}

    def place(name: str) -> str:
        return f"?{numbers[name]}"

    sql = bound_query(request.query or "", "sqlite", parameters, place, request.name)
    return sql, list(parameters.values())


def column_names(request: "DatabaseQuery", address: str) -> tuple[str, ...]:
    """Return the names of the columns of a table or query; no row is read.

    Raises:
        SourceError: the database cannot be read, or refuses the query.
    """
    sql, values = _sql(request)
    with _reading(request, _uri(address)) as connection:
        return tuple(_names(connection, sql, values))


def _columns(
    request: "DatabaseQuery", uri: str, sql: str, values: Sequence[int | float | str | bool]
) -> tuple[list[str], list[str]]:
    with _reading(request, uri) as connection:
        names = _names(connection, sql, values)
        seen = ", ".join(f"group_concat(DISTINCT {_type_of(identifier(n))})" for n in names)
        row = connection.execute(f"SELECT {seen} FROM (\n{sql}\n)", values).fetchone()
    return names, [_kind(n, s, request.name) for n, s in zip(names, row, strict=True)]


@contextmanager
def _reading(request: "DatabaseQuery", uri: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection that may only read, for as long as the source may take."""
    deadline = time.monotonic() + request.timeout
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            connection.set_authorizer(_authorize_reading)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            yield connection
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _source_error(error, request, uri) from error
    except OverflowError as error:
        raise SourceError(
            "a parameter is a whole number beyond 64 bits, which SQLite does not have",
            where=request.name,
            remedy="write it as a text or with a decimal point in source.parameters",
        ) from error


def _names(
    connection: sqlite3.Connection, sql: str, values: Sequence[int | float | str | bool]
) -> list[str]:
    cursor = connection.execute(f"SELECT * FROM (\n{sql}\n) LIMIT 0", values)
    return [name for name, *_ in cursor.description]


def _uri(address: str) -> str:
    return f"file:{quote(address)}?mode=ro"


def _authorize_reading(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _type_of(cell: str) -> str:
    """Return SQL for the type of a value.

    It is `long` if it is an integer that a real would round, and `blank` if it is a text of blanks,
    which is what SQLite makes of an empty cell of a CSV file, whatever the column is.
    """
    exact = f"{cell} BETWEEN -{_EXACT} AND {_EXACT}"
    return (
        f"CASE WHEN typeof({cell}) = 'integer' AND NOT {exact} THEN 'long' "
        f"WHEN typeof({cell}) = 'text' AND trim({cell}, char(32, 9, 10, 13)) = '' THEN 'blank' "
        f"ELSE typeof({cell}) END"
    )


def _cast(cell: str, kind: str) -> str:
    """Return SQL for a cell as a value of its column's type; it fails if the cell does not suit."""
    suitable = ", ".join(f"'{one}'" for one in _SUITABLE[kind])
    value = f"CAST({cell} AS {kind})"
    if kind != "TEXT":
        value = f"CASE WHEN typeof({cell}) = 'text' THEN NULL ELSE {value} END"
    # The cell stands in the failing branch, so that SQLite does not compute it before all rows.
    fails = f"abs(-{(1 << 63) - 1} - ({cell} IS NOT NULL))"
    return f"CASE WHEN {_type_of(cell)} IN ({suitable}) THEN {value} ELSE {fails} END"


def _kind(name: str, seen: str | None, where: str) -> str:
    kinds = set((seen or "").split(",")) - {"null", "blank", ""}
    if "blob" in kinds:
        raise SourceError(
            f"column {name!r} holds binary values, which a table cannot store",
            where=where,
            remedy=f"leave it out or cast it in source.query: hex({identifier(name)})",
        )
    if kinds and kinds <= {"integer", "long"}:
        return "INTEGER"
    return "REAL" if kinds and kinds <= {"integer", "real"} else "TEXT"


def _source_error(error: Exception, request: "DatabaseQuery", uri: str) -> SourceError:
    message = str(error)
    if "interrupted" in message:
        return SourceError(
            f"did not finish within {request.timeout} s",
            where=request.name,
            remedy="set source.timeout to more seconds, or read less",
        )
    if "no such table" in message and request.table:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            ).fetchall()
        return SourceError(
            f"there is no table {request.table!r}",
            where=request.name,
            remedy=suggestion(request.table, [name for (name,) in rows]),
        )
    remedy = "correct source.query" if request.query else "check the file"
    return SourceError(f"the database reports: {message}", where=request.name, remedy=remedy)
