"""The prediction log's database on the PostgreSQL of the factory, in a schema of its own."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from factory_resources.prediction_log.store import TABLES, PredictionStore, StoredRow

if TYPE_CHECKING:
    import pyarrow

_SCHEMA = "predictions"

_BATCH = 10_000

_BEGIN, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_TO_PIPELINE, _TO_RECORD = struct.Struct(">hi16siqiqi"), struct.Struct(">iqiqi")
"""A row in the binary format of COPY, up to the bytes of its name and of its record: the number of
columns, and the length before each value."""


class PostgresStore(PredictionStore):
    """The tables on a server, which are made if they are missing.

    Args:
        address: as in `FACTORY_DATABASE_URL`.
    """

    TABLE = f"{_SCHEMA}.prediction"

    def __init__(self, address: str) -> None:
        self._server = "postgresql://" + address.partition("://")[2]
        self._raw = _connect(address)
        if not _has_tables(self._raw):
            with self._transaction("SELECT pg_advisory_xact_lock(hashtext('predictions'))"):
                self.run(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
                self.run(
                    TABLES.format(
                        missing="IF NOT EXISTS", integer="bigint", bytes="bytea", compact=""
                    )
                )

    def close(self) -> None:
        self._raw.close()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._raw.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), values)
            return [*map(_plain, cursor.fetchall())] if cursor.description else []

    def batches(self, statement: str, values: Sequence[Any]) -> Iterator[list[Any]]:
        # A named cursor keeps the rows on the server.
        with self._raw.cursor("batches", withhold=True) as cursor:
            cursor.execute(statement.replace("?", "%s"), values)
            while rows := cursor.fetchmany(_BATCH):
                yield [*map(_plain, rows)]

    @contextmanager
    def arrow(self, statement: str, longest: int) -> "Iterator[pyarrow.RecordBatchReader]":
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self._server) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            yield cursor.fetch_record_batch()

    def literal(self, content: bytes) -> str:
        return f"'\\x{content.hex()}'::bytea"

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._transaction("LOCK TABLE block IN EXCLUSIVE MODE"):
            yield

    @contextmanager
    def _transaction(self, lock: str) -> Iterator[None]:
        try:
            self.run(f"BEGIN; {lock}")
            yield
            self.run("COMMIT")
        except BaseException:
            # If the server is gone, its transaction is gone too.
            if not self._raw.closed:
                self._raw.rollback()
            raise

    def insert_rows(self, rows: Sequence[StoredRow]) -> None:
        from psycopg2.errors import UniqueViolation

        content = _copied(rows)
        self.run("SAVEPOINT copying")
        try:
            self._copy("prediction", content)
        except UniqueViolation:
            self.run("ROLLBACK TO copying")
            self.run("CREATE TEMP TABLE stage (LIKE prediction) ON COMMIT DROP")
            self._copy("stage", content)
            self.run("INSERT INTO prediction SELECT * FROM stage ON CONFLICT DO NOTHING")

    def _copy(self, table: str, content: bytes) -> None:
        with self._raw.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", BytesIO(content))


def has_postgres_store(address: str) -> bool:
    """Whether the tables were made."""
    connection = _connect(address)
    try:
        return _has_tables(connection)
    finally:
        connection.close()


def _connect(address: str) -> Any:
    import psycopg2

    server = "postgresql://" + address.partition("://")[2]
    connection = psycopg2.connect(server, options=f"-c search_path={_SCHEMA}")
    connection.autocommit = True
    return connection


def _has_tables(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('prediction') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def _copied(rows: Iterable[StoredRow]) -> bytes:
    """Return rows in the binary format of COPY."""
    pieces = [_BEGIN]
    for identifier, block, leaf, pipeline, version, count, record in rows:
        name = pipeline.encode()
        pieces += (
            _TO_PIPELINE.pack(7, 16, identifier, 8, block, 8, leaf, len(name)),
            name,
            _TO_RECORD.pack(8, version, 8, count, len(record)),
            record,
        )
    pieces.append(_END)
    return b"".join(pieces)


def _plain(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
