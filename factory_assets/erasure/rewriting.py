"""Write the files of tables without the rows of a person; nothing names the new files yet.

Which rows these are belongs in `table_rows`, which results name the files in `stored_results`.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from factory_assets.erasure.table_rows import StoredTableFile, relation
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import file_literal, identifier, literal, sealed
from factory_resources.sql.row_marks import is_none_of
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


class TableRewriter:
    """Writes files of tables without some rows, with the same types, in the same order.

    Args:
        files: those that it may read.
        scratch: a folder on the home's own file system.
    """

    def __init__(self, files: Sequence[StoredTableFile], home: Home, scratch: Path) -> None:
        self._home, self._scratch, self._stack = home, scratch, ExitStack()
        self._files = files

    def __enter__(self) -> Self:
        paths = [file.path for file in self._files]
        read, write = paths, self._scratch
        self._strict = self._stack.enter_context(sealed(read=read, write=write))
        # It writes every column as one that may have missing values.
        self._lenient = self._stack.enter_context(
            sealed(read=read, write=write, statistics="ignored")
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rewrite(
        self,
        file: StoredTableFile,
        places: tuple[int, ...],
        numbered_by: Mapping[str, RewrittenFile],
    ) -> TableFile:
        """Store the file without the rows at these places.

        Args:
            numbered_by: the files by whose rows its own are known, by the SHA-256 that they had.

        Raises:
            StorageError: the file was changed, or the new one cannot be written.
        """
        require_unchanged([file.path])
        optional = self._optional(file)
        engine = self._lenient if optional == file.columns.keys() else self._strict
        rows = f"{relation(file)} WHERE {is_none_of(places)}"
        if numbered_by:
            rows = self._renumbered(engine, rows, numbered_by)
        cells = ", ".join(self._cell(name, optional, engine) for name in file.columns)
        query = f"SELECT {cells} FROM {rows}"
        staged = prepare(engine, query, table=file.table, folder=self._scratch)
        return keep(staged, self._home, file.table).files[0]

    def _optional(self, file: StoredTableFile) -> set[str]:
        """Return the columns that may have missing values, whether or not they have some."""
        query = (
            f"SELECT name FROM parquet_schema({file_literal(file.path)}) "
            "WHERE repetition_type = 'OPTIONAL'"
        )
        names = {name for (name,) in self._strict.execute(query).fetchall()}
        return names & file.columns.keys()

    def _cell(self, name: str, optional: set[str], engine: "duckdb.DuckDBPyConnection") -> str:
        """Return SQL for a column that stays one that may have missing values, if it is one."""
        cell = identifier(name)
        if engine is self._strict and name in optional:
            return f"list_extract([{cell}], 1) AS {cell}"
        return cell

    def _renumbered(
        self,
        engine: "duckdb.DuckDBPyConnection",
        rows: str,
        numbered_by: Mapping[str, RewrittenFile],
    ) -> str:
        """Return rows with the identity that they have from now on, in their order.

        They are stored first: of a formula the engine does not know that no value is missing.
        """
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE gone "
            "(file VARCHAR, row BIGINT, number BIGINT, now VARCHAR)"
        )
        for was, file in numbered_by.items():
            # Before the first row that left, none is gone.
            numbers = [0, *file.gone]
            engine.execute(
                "INSERT INTO gone SELECT ?, unnest(?::BIGINT[]), unnest(range(?)), ?",
                [was, numbers, len(numbers), file.sha256],
            )
        path = self._scratch / f"{uuid4().hex}.parquet"
        engine.execute(
            "COPY (SELECT stored.* EXCLUDE (_place) REPLACE "
            "(coalesce(gone.now, stored._file) AS _file, "
            "stored._row - coalesce(gone.number, 0) AS _row) "
            f"FROM (SELECT *, file_row_number AS _place FROM {rows}) AS stored "
            "ASOF LEFT JOIN gone ON stored._file = gone.file AND stored._row > gone.row "
            f"ORDER BY stored._place) TO {literal(str(path))} (FORMAT parquet)"
        )
        return parquet(path)
