"""Write the files of tables without the rows of a person; nothing names the new files yet.

Which rows these are belongs in `table_rows`, which results name the files in `stored_results`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.erasure.table_rows import StoredTableFile, relation
from factory_resources.home.home import Home
from factory_resources.sql.engine import identifier, literal
from factory_resources.tables.snapshot import TableFile, require_unchanged
from factory_resources.tables.writer import keep, prepare

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class RewrittenFile:
    """A file of a table that was written anew."""

    sha256: str
    """Of the new one."""
    gone: tuple[int, ...]
    """The numbers that the rows had which left, from 1."""


def rewrite(
    connection: "duckdb.DuckDBPyConnection",
    file: StoredTableFile,
    places: tuple[int, ...],
    numbered_by: Mapping[str, RewrittenFile],
    home: Home,
    scratch: Path,
) -> TableFile:
    """Store the file without the rows at these places; nothing names the new one yet.

    Args:
        numbered_by: the files by whose rows its own are known, by the SHA-256 that they had.

    Raises:
        StorageError: the file was changed, or the new one cannot be written.
    """
    require_unchanged([file.path])
    connection.execute("CREATE OR REPLACE TEMP TABLE dropped (place BIGINT)")
    # Writing thousands of values one by one takes longer than the file itself.
    connection.execute("INSERT INTO dropped SELECT unnest(?::BIGINT[])", [[*places]])
    columns = ", ".join(map(identifier, file.columns))
    query = (
        f"SELECT {columns} FROM (SELECT *{_renumbering(numbered_by)} FROM {relation(file)}) "
        "WHERE file_row_number NOT IN (SELECT place FROM dropped)"
    )
    staged = prepare(connection, query, table=file.table, folder=scratch)
    return keep(staged, home, file.table).files[0]


def _renumbering(numbered_by: Mapping[str, RewrittenFile]) -> str:
    """Return SQL that replaces the identity of the rows by the one that they have from now on."""
    if not numbered_by:
        return ""
    files, rows = "", ""
    for was, file in numbered_by.items():
        files += f" WHEN {literal(was)} THEN {literal(file.sha256)}"
        gone = f"[{', '.join(map(str, file.gone))}]::BIGINT[]"
        rows += f" WHEN {literal(was)} THEN _row - len(list_filter({gone}, lambda n: n < _row))"
    return (
        f" REPLACE (CASE _file{files} ELSE _file END AS _file,"
        f" CASE _file{rows} ELSE _row END AS _row)"
    )
