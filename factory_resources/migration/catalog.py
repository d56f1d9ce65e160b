"""The tables of a schema of PostgreSQL: their columns, their kinds, and which refers to which.

PostgreSQL declares exact types, which SQLite does not, so its catalog describes both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.migration.values import Kind

_KINDS: dict[str, Kind] = {
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "real": "number",
    "double precision": "number",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "json": "text",
    "date": "text",
    "USER-DEFINED": "text",
    "bytea": "bytes",
    "boolean": "boolean",
    "timestamp without time zone": "moment",
}
"""`USER-DEFINED` is an enumeration; `json` is stored as it is written, unlike `jsonb`."""

_COLUMNS = """\
SELECT c.table_name, c.column_name, c.data_type
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
ORDER BY c.table_name, c.ordinal_position
"""

"""Without columns that the database computes from others."""

_REFERENCES = """\
SELECT one.relname, two.relname FROM pg_constraint r
JOIN pg_class one ON one.oid = r.conrelid JOIN pg_class two ON two.oid = r.confrelid
WHERE r.contype = 'f' AND one.relnamespace = to_regnamespace(quote_ident(%s))
"""


@dataclass(frozen=True)
class StoredColumn:
    """A column of a table."""

    name: str
    kind: Kind
    type: str
    """As PostgreSQL names it."""

    @property
    def selected(self) -> str:
        """What PostgreSQL is asked for, so that the column comes as a plain value."""
        quoted = f'"{self.name}"'
        if self.kind == "moment":
            return f"to_char({quoted}, 'YYYY-MM-DD HH24:MI:SS.US')"
        if self.kind == "boolean":
            return f"{quoted}::int"
        return f"{quoted}::text" if self.type in ("json", "date", "USER-DEFINED") else quoted


@dataclass(frozen=True)
class StoredTable:
    """A table that both engines have."""

    schema: str
    name: str
    columns: tuple[StoredColumn, ...]

    @property
    def address(self) -> str:
        """Its name in PostgreSQL."""
        return f'"{self.schema}"."{self.name}"'

    @property
    def names(self) -> str:
        """Its columns, separated by commas."""
        return ", ".join(f'"{column.name}"' for column in self.columns)

    @property
    def selected(self) -> str:
        """What PostgreSQL is asked for, separated by commas."""
        return ", ".join(column.selected for column in self.columns)

    def place(self, name: str) -> int:
        """Return the place of a column in a row."""
        return [column.name for column in self.columns].index(name)

    @property
    def kinds(self) -> list[Kind]:
        return [column.kind for column in self.columns]


def run(connection: Any, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement on PostgreSQL and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def tables_of(connection: Any, schema: str) -> list[StoredTable]:
    """Return the tables of a schema; a table comes after those to which it refers.

    Raises:
        StorageError: a column has a type that is not known here.
    """
    columns: dict[str, list[StoredColumn]] = {}
    for table, name, kind in run(connection, _COLUMNS, [schema]):
        if kind not in _KINDS:
            raise StorageError(
                f"column {name} of table {schema}.{table} has the type {kind}",
                remedy="this version of the factory cannot carry it over",
            )
        columns.setdefault(table, []).append(StoredColumn(name, _KINDS[kind], kind))
    order: dict[str, set[str]] = {name: set() for name in columns}
    for one, two in run(connection, _REFERENCES, [schema]):
        if one != two and two in order:
            order[one].add(two)
    names = TopologicalSorter(order).static_order()
    return [StoredTable(schema, name, tuple(columns[name])) for name in names]
