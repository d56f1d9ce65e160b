"""Record the outcomes in a file, which is read as a source of a pipeline would be."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.data.sources.discovery import discover
from factory_assets.serving.feedback.table import (
    OutcomeColumns,
    OutcomeCounts,
    record_from_table,
)
from factory_assets.spec import FileSource
from factory_resources.errors import FactoryError, SourceError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import pyarrow as pa


def record_from_file(
    pipeline: str, file: Path, home: Home, columns: OutcomeColumns
) -> OutcomeCounts:
    """Record the outcomes in a file of any format that a source may have, all or none.

    Raises:
        SourceError: the file cannot be read.
        DataError: a column is missing, or a row is wrong.
        ModelError: the pipeline has no champion.
        StorageError: a database cannot be read or written.
    """
    table = read_whole(file, home)
    try:
        return record_from_table(pipeline, table, home, source="file", columns=columns)
    except FactoryError as error:
        error.where = f"{file}: {error.where}" if error.where else str(file)
        raise


def read_whole(file: Path, home: Home) -> pa.Table:
    """Return the rows of a file; the columns of text are texts.

    Raises:
        SourceError: it cannot be read.
    """
    source = FileSource(files=(escape(str(file.absolute())),))
    with home.scratch() as scratch:
        [handle] = discover(source, SourceContext(file.parent, home, scratch / "file"))
        try:
            return read_source(handle, scratch / "read")
        except SourceError as error:
            # No declaration has this file as a source, whose encoding could be set.
            if "source.encoding" in error.remedy:
                error.remedy = "save it as UTF-8"
            raise


def read_source(handle: SourceHandle, folder: Path) -> pa.Table:
    """Return the rows of a source under the names that its columns have there; texts are texts.

    Args:
        folder: does not exist yet.

    Raises:
        SourceError: it cannot be read.
    """
    from pyarrow.parquet import ParquetFile

    folder.mkdir()
    read = handle.read(folder)
    stored = {kept: name for name, (kept, _) in read.columns.items()}
    table = ParquetFile(read.path).read()
    return table.rename_columns([stored.get(name, name) for name in table.column_names])
