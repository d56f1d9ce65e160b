"""A sample of the rows of Parquet files: many short stretches, evenly spread. The same every time.

What is told of a sample is told of the table as far as chance allows; but nothing here reads a
table of any size for longer than one of a million rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import identifier, literal

if TYPE_CHECKING:
    import duckdb

ROWS = 20_000
_CELLS = 4_000_000
_STRETCHES = 25
_CHUNK = 200


@dataclass(frozen=True)
class Written:
    """Rows in files, in order: of a snapshot, or of one that is not published yet."""

    files: Sequence[tuple[Path, int]]
    """Each file with its number of rows."""
    columns: Mapping[str, str]
    """Column to DuckDB type."""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.files)


def missing(connection: "duckdb.DuckDBPyConnection", written: Written) -> dict[str, int]:
    """Column to the number of its missing values, all rows counted: the files themselves say it."""
    rows = connection.execute(
        "SELECT column_id, sum(stats_null_count)::BIGINT "
        f"FROM parquet_metadata({_listed(written)}) GROUP BY 1"
    ).fetchall()
    found = dict(rows)
    return {name: found.get(i) or 0 for i, name in enumerate(written.columns)}


def newest(connection: "duckdb.DuckDBPyConnection", written: Written, column: str) -> str | None:
    """The greatest value of a date or timestamp, ISO 8601, of all rows; None without one."""
    row = connection.execute(
        f"SELECT max({identifier(column)})::TIMESTAMP FROM read_parquet({_listed(written)})"
    ).fetchone()
    return row[0].isoformat() if row and row[0] else None


def columns_of(
    connection: "duckdb.DuckDBPyConnection", written: Written, names: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Each column with its present values in the sample, as a NumPy array."""
    wanted = min(ROWS, max(_STRETCHES, _CELLS // max(1, len(names))))
    stretches = list(_stretches(written, wanted))
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        cells = ", ".join(identifier(name) for name in chunk)
        query = " UNION ALL ".join(f"SELECT {cells} FROM {stretch}" for stretch in stretches)
        found = connection.execute(query).fetchnumpy()
        for name in chunk:
            values = found[name]
            yield name, values.compressed() if hasattr(values, "compressed") else values


def _stretches(written: Written, wanted: int) -> Iterator[str]:
    """Tables of consecutive rows; the engine reads no more of a file than it needs for them."""
    ends = list(accumulate(rows for _, rows in written.files))
    for first, last in _places(written.rows, wanted):
        for (path, rows), end in zip(written.files, ends, strict=True):
            low, high = max(first, end - rows), min(last, end)
            if low < high:
                own = end - rows
                yield (
                    f"{parquet(path)} WHERE file_row_number >= {low - own} "
                    f"AND file_row_number < {high - own}"
                )


def _places(rows: int, wanted: int) -> Iterator[tuple[int, int]]:
    if rows <= wanted:
        yield 0, rows
        return
    length = wanted // _STRETCHES
    for i in range(_STRETCHES):
        first = i * (rows - length) // (_STRETCHES - 1)
        yield first, first + length


def _listed(written: Written) -> str:
    return f"[{', '.join(literal(str(path)) for path, _ in written.files)}]"
