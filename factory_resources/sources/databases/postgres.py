"""Read PostgreSQL through Arrow, in one read-only transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from factory_resources.boundary.allowed import require_allowed
from factory_resources.errors import QuotedData, SourceError
from factory_resources.sources.databases.parquet_writer import ReadError
from factory_resources.sources.databases.query import bound_query
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.sources.databases.query import DatabaseQuery


_PORT = 5432

# With these, a lost server is noticed within minutes, not hours.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "application_name": "factory",
}

_SECRET_OPTIONS = ("password", "sslpassword")
"""Options of a URL that no message may show."""

_REASONS = {
    # What else they say of such a file would be taken for a socket or a database that is missing.
    "certificate file": "a file of certificates cannot be read",
    "private key file": "the file of the private key cannot be read",
    "Connection refused": "it does not answer: connection refused",
    "timeout expired": "it does not answer in time",
    "could not translate host name": "its host name is unknown",
    "No such file or directory": "no server listens on its socket",
    "authentication failed": "it refuses the user or the password",
    "no password supplied": "it requires a password",
    "role ": "it refuses the user or the password",
    "pg_hba.conf": "it refuses this user from this machine",
    "SSL": "no agreement on TLS",
    "too many": "it has too many connections",
    "starting up": "it is starting up",
    "does not exist": "it has no database of that name",
}

_CASTS = {bool: "boolean", int: "bigint", float: "double precision", str: "text"}

_WITHOUT_VALUES = frozenset({"25", "42", "53", "54", "55", "57", "58"})
"""Classes of SQLSTATE that are about the query, the rights or the server, and not about a value."""

_TABLES = (
    "SELECT CASE WHEN table_schema = 'public' THEN table_name "
    "ELSE table_schema || '.' || table_name END FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
)


@contextmanager
def stream_rows(request: "DatabaseQuery", address: str) -> "Iterator[pyarrow.RecordBatchReader]":
    """Yield a reader that fetches the rows batch by batch.

    Raises:
        SourceError: one line that shows nothing of the URL.
    """
    sql = _sql(request)
    connection = _connect(address, request)
    try:
        with connection.cursor() as cursor:
            problem = None
            try:
                _prepare(cursor, request)
                cursor.execute(sql)
                yield cursor.fetch_record_batch()
            except _errors() as error:
                problem = _source_error(error, request, address, connection)
            # Outside of the except block, so that the driver's message is not chained to it.
            if problem:
                raise problem
    finally:
        connection.close()


def _errors() -> tuple[type[Exception], ...]:
    from adbc_driver_manager import Error

    return (Error, ReadError)


def _connect(url: str, request: "DatabaseQuery") -> Any:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    parts = urlsplit(url)
    if parts.hostname:
        require_allowed(parts.hostname, parts.port or _PORT, where=request.database)
    try:
        return dbapi.connect(_with_defaults(url))
    except (Error, ValueError) as error:
        # The message may contain parts of the URL, and of the password if the URL is wrong.
        message = str(error)
    reason = next((r for phrase, r in _REASONS.items() if phrase in message), "its URL is invalid")
    raise SourceError(
        f"the database cannot be reached ({reason})",
        where=request.database,
        remedy=f"check the server, and the URL in secret {request.database}",
    )


def _with_defaults(url: str) -> str:
    given = parse_qs(urlsplit(url).query)
    added = [f"{name}={value}" for name, value in _DEFAULTS.items() if name not in given]
    return url + ("&" if "?" in url else "?") + "&".join(added)


def _sql(request: "DatabaseQuery") -> str:
    if request.table:
        return f"SELECT * FROM {'.'.join(map(identifier, request.table.split('.')))}"
    parameters = request.parameters or {}

    def place(name: str) -> str:
        # The result of a statement with bound parameters would come as a whole. A setting of the
        # transaction lets it stream, and keeps the value out of the SQL text as well.
        return f"CAST(current_setting('factory.{name}') AS {_CASTS[type(parameters[name])]})"

    return bound_query(request.query or "", "postgres", parameters, place, request.name)


def _prepare(cursor: Any, request: "DatabaseQuery") -> None:
    cursor.execute("SET TRANSACTION READ ONLY")
    settings = {
        "statement_timeout": str(request.timeout * 1000),
        "timezone": "UTC",
        **{f"factory.{name}": _text(v) for name, v in (request.parameters or {}).items()},
    }
    for name, value in settings.items():
        cursor.execute("SELECT set_config($1, $2, true)", parameters=[name, value])
        cursor.fetchall()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _source_error(
    error: Exception, request: "DatabaseQuery", url: str, connection: Any
) -> SourceError:
    message = _without_secrets(str(error), url)
    if "statement timeout" in message:
        return SourceError(
            f"did not finish within {request.timeout} s",
            where=request.name,
            remedy="set source.timeout to more seconds, or read less",
        )
    state = getattr(error, "sqlstate", None)
    if state == "42P01" and request.table:
        return _no_table(request.table, _tables(connection), request.name)
    if state == "42501":
        return SourceError(
            f"the database refuses access ({_first_line(message)})",
            where=request.name,
            remedy="let the user of this secret read it: GRANT SELECT",
        )
    remedy = "correct source.query" if request.query else "check the server and run again"
    said = _first_line(message)
    problem = SourceError(f"the database reports: {said}", where=request.name, remedy=remedy)
    if "ERROR:" in message and str(state)[:2] not in _WITHOUT_VALUES:
        # It may quote a value, and is hidden where columns are sensitive.
        problem.__cause__ = QuotedData(said)
    return problem


def _no_table(table: str, tables: list[str], where: str) -> SourceError:
    if table not in tables:
        remedy = suggestion(table, tables)
        return SourceError(f"there is no table {table!r}", where=where, remedy=remedy)
    schema, _, name = table.partition(".")
    return SourceError(
        f"there is no table {name!r} in schema {schema!r}, but one whose own name has the dot",
        where=where,
        remedy=f"read it with source.query: SELECT * FROM {identifier(table)}",
    )


def _tables(connection: Any) -> list[str]:
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return [name for (name,) in cursor.fetchall()]


def _first_line(message: str) -> str:
    """Return PostgreSQL's own sentence and its hint."""
    lines = [line.strip() for line in message.split("ERROR:")[-1].splitlines()]
    hints = [line for line in lines[1:] if line.startswith("HINT:")]
    return " ".join([lines[0].rstrip("."), *(f"({hint})" for hint in hints[:1])])


def _without_secrets(text: str, url: str) -> str:
    parts = urlsplit(url)
    password = parts.password or ""
    options = parse_qs(parts.query)
    secrets = [value for name in _SECRET_OPTIONS for value in options.get(name, ())]
    for hidden in filter(None, (url, password, unquote(password), *secrets)):
        text = text.replace(hidden, "***")
    return text
