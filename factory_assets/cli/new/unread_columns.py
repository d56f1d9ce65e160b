"""Leave columns of Parquet out of a draft that a table cannot have as they are.

Text that its writer stored as bytes becomes text.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from factory_resources.sources.files.reader import SourceTable, parquet
from factory_resources.sql.bytes_as_text import BYTES, decoded_sql
from factory_resources.sql.engine import identifier, literal
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.frames import without_units


def without_unread_columns(
    raw: SourceTable, scratch: Path, engines: SharedEngines
) -> tuple[SourceTable, Mapping[str, str]]:
    """Return the rows with the columns that a draft can read, and why it does not read the others.

    Args:
        raw: the rows of one file.
        scratch: an empty folder for them.
        engines: they see it.
    """
    from pyarrow.parquet import read_schema

    if raw.format != "parquet":
        return raw, {}
    unread = {
        name: f"it holds {kind}, which would be bare numbers: convert them, as by {call}"
        for name, (kind, call) in without_units(read_schema(raw.path)).items()
    }
    if stored := [name for name, kind in raw.columns.values() if kind == BYTES]:
        raw, others = _with_texts(raw, stored, scratch, engines)
        unread |= dict.fromkeys(others, "it holds bytes that are no text")
    columns = {name: cell for name, cell in raw.columns.items() if name not in unread}
    return replace(raw, columns=columns), unread


def _with_texts(
    raw: SourceTable, stored: list[str], scratch: Path, engines: SharedEngines
) -> tuple[SourceTable, list[str]]:
    """Return the rows with each column of bytes as text, and the columns that have other bytes."""
    target = scratch / "texts.parquet"
    with engines.sealed(read=[raw.path], write=scratch) as connection:
        tests = (f"count({c}) > count({decoded_sql(c)})" for c in map(identifier, stored))
        [others] = connection.execute(
            f"SELECT {', '.join(tests)} FROM {parquet(raw.path)}"
        ).fetchall()
        texts = (f"{decoded_sql(c)} AS {c}" for c in map(identifier, stored))
        connection.execute(
            f"COPY (SELECT * REPLACE ({', '.join(texts)}) FROM {parquet(raw.path)}) "
            f"TO {literal(str(target))} (FORMAT parquet)"
        )
    columns = {**raw.columns, **{name: (name, "VARCHAR") for name in stored}}
    found = [name for name, other in zip(stored, others, strict=True) if other]
    return replace(raw, path=target, columns=columns), found
