"""PostgreSQL by Arrow, in one transaction that can only read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from factory_resources.errors import SourceError
from factory_resources.sources.databases.parquet_writer import ReadError
from factory_resources.sources.databases.query import bound_query
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.sources.databases.query import DatabaseQuery


# A server that has gone away is noticed within minutes, not hours.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "application_name": "factory",
}

_REASONS = {
    "Connection refused": "it does not answer: connection refused",
    "timeout expired": "it does not answer in time",
    "could not translate host name": "its host is not known",
    "No such file or directory": "no server listens on its socket",
    "authentication failed": "it refuses the user or the password",
    "no password supplied": "it wants a password",
    "role ": "it refuses the user or the password",
    "pg_hba.conf": "it refuses this user from this machine",
    "SSL": "no agreement on TLS",
    "too many": "it has too many connections",
    "starting up": "it is starting up",
    "does not exist": "it has no database of that name",
}

_CASTS = {bool: "boolean", int: "bigint", float: "double precision", str: "text"}

_TABLES = (
    "SELECT CASE WHEN table_schema = 'public' THEN table_name "
    "ELSE table_schema || '.' || table_name END FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
)


@contextmanager
def stream_rows(question: "DatabaseQuery", address: str) -> "Iterator[pyarrow.RecordBatchReader]":
    """The rows, batch by batch as they are asked for.

    Raises:
        SourceError: one line that shows nothing of the URL.
    """
    sql = _sql(question)
    connection = _connected(address, question)
    try:
        with connection.cursor() as cursor:
            problem = None
            try:
                _prepare(cursor, question)
                cursor.execute(sql)
                yield cursor.fetch_record_batch()
            except _errors() as error:
                problem = _said(error, question, address, connection)
            # Outside, so that the driver's own words do not hang on to it.
            if problem:
                raise problem
    finally:
        connection.close()


def _errors() -> tuple[type[Exception], ...]:
    from adbc_driver_manager import Error

    return (Error, ReadError)


def _connected(url: str, question: "DatabaseQuery") -> Any:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    try:
        return dbapi.connect(_with_defaults(url))
    except (Error, ValueError) as error:
        # Its words may hold parts of the URL, and of a URL that is wrong even of the password.
        words = str(error)
    reason = next((r for sign, r in _REASONS.items() if sign in words), "its URL is not valid")
    raise SourceError(
        f"the database cannot be reached ({reason})",
        where=question.database,
        remedy=f"check the server, and the URL in secret {question.database}",
    )


def _with_defaults(url: str) -> str:
    given = parse_qs(urlsplit(url).query)
    added = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in given]
    return url + ("&" if "?" in url else "?") + "&".join(added)


def _sql(question: "DatabaseQuery") -> str:
    if question.table:
        return f"SELECT * FROM {'.'.join(map(identifier, question.table.split('.')))}"
    parameters = question.parameters or {}

    def place(name: str) -> str:
        # A bound statement would be answered as a whole; a setting of the transaction lets the
        # answer stream, and is no text of the statement either.
        return f"CAST(current_setting('factory.{name}') AS {_CASTS[type(parameters[name])]})"

    return bound_query(question.query or "", "postgres", parameters, place, question.name)


def _prepare(cursor: Any, question: "DatabaseQuery") -> None:
    cursor.execute("SET TRANSACTION READ ONLY")
    settings = {
        "statement_timeout": str(question.timeout * 1000),
        "timezone": "UTC",
        **{f"factory.{name}": _text(v) for name, v in (question.parameters or {}).items()},
    }
    for name, value in settings.items():
        cursor.execute("SELECT set_config($1, $2, true)", parameters=[name, value])
        cursor.fetchall()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(error: Exception, question: "DatabaseQuery", url: str, connection: Any) -> SourceError:
    words = _without_secrets(str(error), url)
    if "statement timeout" in words:
        return SourceError(
            f"gave no whole answer within {question.timeout} s",
            where=question.name,
            remedy="set source.timeout to more seconds, or ask for less",
        )
    state = getattr(error, "sqlstate", None)
    if state == "42P01" and question.table:
        return SourceError(
            f"there is no table {question.table!r}",
            where=question.name,
            remedy=suggestion(question.table, _tables(connection)),
        )
    if state == "42501":
        return SourceError(
            f"the database refuses ({_first(words)})",
            where=question.name,
            remedy="let the user of this secret read it: GRANT SELECT",
        )
    remedy = "correct source.query" if question.query else "run again when the server is well"
    return SourceError(f"the database says: {_first(words)}", where=question.name, remedy=remedy)


def _tables(connection: Any) -> list[str]:
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return [name for (name,) in cursor.fetchall()]


def _first(words: str) -> str:
    """PostgreSQL's own sentence, and its hint."""
    lines = [line.strip() for line in words.split("ERROR:")[-1].splitlines()]
    hints = [line for line in lines[1:] if line.startswith("HINT:")]
    return " ".join([lines[0].rstrip("."), *(f"({hint})" for hint in hints[:1])])


def _without_secrets(text: str, url: str) -> str:
    password = urlsplit(url).password or ""
    for hidden in filter(None, (url, password, unquote(password))):
        text = text.replace(hidden, "***")
    return text
