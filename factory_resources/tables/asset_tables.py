"""Tables of a user's own Dagster assets: one Parquet file each, below the home; never a pickle."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from factory_resources.errors import DataError
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.frames import REMEDY, to_arrow

if TYPE_CHECKING:
    import pyarrow


def path_of(home: Home, key: Sequence[str]) -> Path:
    """Return the path of the table of the asset with this key; it need not exist yet."""
    return home.path.joinpath("assets", *key[:-1], f"{key[-1]}.parquet")


def save_table(value: object, path: Path, name: str) -> "pyarrow.Table":
    """Store a table atomically: readers see either the old or the new one.

    Raises:
        DataError: it is not a table, or has columns that Parquet cannot store.
        StorageError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    kind = {"kind": type(value).__module__.partition(".")[0]}
    # Other metadata, such as the version of pandas, does not belong to the content.
    try:
        table = to_arrow(value).replace_schema_metadata(kind)
    except TypeError as error:
        raise _data_error(str(error), name) from error
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            try:
                pyarrow.parquet.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException as error:
                Path(file.name).unlink(missing_ok=True)
                if isinstance(error, pyarrow.ArrowException):
                    raise _data_error(f"a table that cannot be stored ({error})", name) from error
                raise
    return table


def load_table(path: Path, name: str, requested: str) -> object:
    """Return the table in the kind in which it was yielded, or in the requested kind.

    Args:
        requested: `pandas`, `polars` or `pyarrow`; anything else means the kind that was yielded.

    Raises:
        DataError: there is no table.
    """
    import pyarrow.parquet

    if not path.is_file():
        raise DataError(
            "has yielded no table yet", where=f"asset {name}", remedy="materialise it first"
        )
    table = pyarrow.parquet.ParquetFile(path).read()
    yielded = (table.schema.metadata or {}).get(b"kind", b"").decode()
    match requested if requested in {"pandas", "polars", "pyarrow"} else yielded:
        case "pandas":
            return table.to_pandas()
        case "polars":
            import polars

            return polars.from_arrow(table)
        case _:
            return table


def _data_error(what: str, name: str) -> DataError:
    return DataError(
        f"yielded {what}",
        where=f"asset {name}",
        remedy=f"yield {REMEDY}",
    )
