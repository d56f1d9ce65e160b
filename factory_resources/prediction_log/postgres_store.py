"""The prediction log's database on the PostgreSQL of the factory, in a schema of its own."""

import struct
from collections.abc import Iterable, Sequence
from io import BytesIO

from factory_resources.prediction_log.postgres_database import PostgresDatabase, has_postgres_table
from factory_resources.prediction_log.store import SCHEMA, PredictionStore, StoredRow

_BEGIN, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_TO_PIPELINE, _TO_RECORD = struct.Struct(">hi16siqiqi"), struct.Struct(">iqiqi")
"""A row in the binary format of COPY, up to the bytes of its name and of its record: the number of
columns, and the length before each value."""


class PostgresStore(PostgresDatabase, PredictionStore):
    """The tables on a server, which are made if they are missing.

    Args:
        address: as PostgreSQL's client library reads it.
    """

    ENGINE = "postgresql"
    TABLE = f"{SCHEMA.name}.prediction"

    def __init__(self, address: str) -> None:
        super().__init__(address, SCHEMA, locked="block")

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
    return has_postgres_table(address, SCHEMA.name, "prediction")


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
