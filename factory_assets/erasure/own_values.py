"""Which values of a person nobody else has, so that they are searched for in the whole home.

Finding the rows of the person belongs in `table_rows`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from factory_assets.erasure.common_words import common_words
from factory_assets.erasure.table_rows import (
    OWN_COLUMNS,
    PersonalRows,
    StoredTableFile,
    relation,
    values_at,
)
from factory_resources.erasure.values import Value, is_searchable
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb

_COMPARED_AS: Mapping[str, str] = {
    # A number with a fraction would be rounded to another one.
    "BIGINT": "CASE WHEN regexp_full_match(text, '-?[0-9]+') THEN TRY_CAST(text AS BIGINT) END",
    "VARCHAR": "text",
    "DOUBLE": "TRY_CAST(text AS DOUBLE)",
    "DATE": "TRY_CAST(text AS TIMESTAMP)",
    "TIMESTAMP": "TRY_CAST(text AS TIMESTAMP)",
}
"""Type of a column to SQL for the value of the person that is compared with its cells."""


@dataclass(frozen=True)
class PersonalValues:
    """The values in rows of a person."""

    own: Mapping[str, frozenset[Value]]
    """Those by which the person is found, by pipeline: no other row has them."""
    short: int
    """How many others are too short to be told from others."""
    shared: Mapping[str, frozenset[str]]
    """Each text that other rows have, too, to the pipelines of these."""


def personal_values(
    connection: "duckdb.DuckDBPyConnection", rows: PersonalRows, files: Collection[StoredTableFile]
) -> PersonalValues:
    """Return the values in rows of a person, and which of them nobody else has.

    Other rows are compared in whatever column of whatever table: a quarantine or a test part may
    have one row only from a town in which many people live.

    Args:
        connection: an engine that reads the files.
        files: those of all tables in the home.
    """
    candidates: dict[str, set[Value]] = {}
    short: set[object] = set()
    words = common_words(files)
    for file, places in rows.positions.items():
        for some in values_at(connection, file, places).values():
            for value in some:
                if isinstance(value, str) and value.casefold() in words:
                    short.add(value)
                elif isinstance(value, str | int | float | date) and is_searchable(value):
                    candidates.setdefault(file.pipeline, set()).add(value)
                else:
                    short.add(value)
    texts = {_as_text(value): value for some in candidates.values() for value in some}
    having: dict[str, set[str]] = {}
    if texts:
        connection.execute(
            "CREATE TEMP TABLE candidate AS SELECT unnest(?::VARCHAR[]) AS text", [[*texts]]
        )
        for file in files:
            for text in _had_by_others(connection, file, rows.positions.get(file, ())):
                having.setdefault(text, set()).add(file.pipeline)
    return PersonalValues(
        own={
            pipeline: frozenset(value for value in some if _as_text(value) not in having)
            for pipeline, some in candidates.items()
        },
        short=len(short),
        shared={
            text: frozenset(pipelines)
            for text, pipelines in having.items()
            if isinstance(texts[text], str)
        },
    )


def _as_text(value: Value) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _had_by_others(
    connection: "duckdb.DuckDBPyConnection", file: StoredTableFile, places: Iterable[int]
) -> set[str]:
    """Return the candidates that the rows elsewhere in a file have."""
    connection.execute("CREATE OR REPLACE TEMP TABLE own (place BIGINT)")
    connection.execute("INSERT INTO own SELECT unnest(?::BIGINT[])", [[*places]])
    found: set[str] = set()
    for name, kind in file.columns.items():
        if name in OWN_COLUMNS or kind not in _COMPARED_AS:
            continue
        # The few candidates are looked up, so that the many cells need not be remembered.
        query = (
            f"SELECT DISTINCT candidate.text FROM {relation(file)} AS stored JOIN (SELECT text, "
            f"{_COMPARED_AS[kind]} AS asked FROM candidate) AS candidate "
            f"ON stored.{identifier(name)} = candidate.asked "
            "WHERE stored.file_row_number NOT IN (SELECT place FROM own)"
        )
        found.update(text for (text,) in connection.execute(query).fetchall())
    return found
