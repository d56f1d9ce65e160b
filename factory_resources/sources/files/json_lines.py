"""Convert files of JSON Lines to Parquet: the keys of all records become columns."""

from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.text_errors import text_errors
from factory_resources.sql.engine import file_literal, identifier, literal

if TYPE_CHECKING:
    import duckdb


def json_to_parquet(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> dict[str, tuple[str, str]]:
    """Store the value of each key as text, in columns `c0, c1, ...`, record by record.

    Returns:
        Each key of any record to its (column, type) in the target.

    Raises:
        SourceError: a line is not a JSON object, or has a repeated or empty key.
    """
    objects = f"read_ndjson_objects({file_literal(path)}, hive_partitioning=false)"
    # A line that is not an object counts as one with the key null.
    records = (
        "SELECT keys, len(keys) <> list_unique(keys) AS twice, row_number() OVER () AS row FROM "
        "(SELECT CASE WHEN json_type(json) = 'OBJECT' THEN json_keys(json) ELSE [NULL] END AS keys "
        f"FROM {objects})"
    )
    with text_errors(name, rules.encoding, path):
        keys = connection.execute(
            "SELECT key, min(row), min(row) FILTER (twice) FROM "
            f"(SELECT unnest(keys) AS key, twice, row FROM ({records})) "
            "GROUP BY key ORDER BY lower(key), key"
        ).fetchall()
        names = [key for key, *_ in keys if key is not None]
        if not names:
            raise SourceError(
                "holds no JSON object", where=name, remedy="write one JSON object per line"
            )
        for key, first, twice in keys:
            _require_key(key, first, twice, name)
        # A JSON pointer accepts any name: only ~ and / are special in it.
        pointers = [literal("/" + n.replace("~", "~0").replace("/", "~1")) for n in names]
        cells = ", ".join(f"cells[{i + 1}] AS {identifier(f'c{i}')}" for i in range(len(names)))
        connection.execute(
            f"COPY (SELECT {cells} FROM (SELECT json_extract_string(json, [{', '.join(pointers)}])"
            f" AS cells FROM {objects})) TO {literal(str(target))} (FORMAT parquet)"
        )
    return {key: (f"c{i}", "VARCHAR") for i, key in enumerate(names)}


def _require_key(key: str | None, first: int, twice: int | None, name: str) -> None:
    """Refuse what the engine would omit silently; blank lines are not records."""
    fault = None
    if key is None:
        fault = f"record {first} is not a JSON object"
    elif not key:
        fault = f"record {first} has a key without a name"
    elif twice:
        fault = f"record {twice} has a key twice"
    if fault:
        raise SourceError(fault, where=name, remedy="write one JSON object per line, each key once")
