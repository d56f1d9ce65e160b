"""What is remembered of a snapshot's columns, so that the next one can be compared with it.

Small, and without a value of a sensitive column. Kept beside the tables by data version; a profile
that is gone is made again from its snapshot.

A sample of the rows of Parquet files: many short stretches, evenly spread. The same every time.

What is told of a sample is told of the table as far as chance allows; but nothing here reads a
table of any size for longer than one of a million rows.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_assets.spec import IDENTITY
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import identifier, literal

if TYPE_CHECKING:
    import duckdb


_BINS = 10

_CATEGORIES = 20

_FEW = 20
"""Fewer different values than this are no sign of an identifier."""


class ColumnProfile(BaseModel):
    """One column: of a number the deciles, of text the most frequent values, else only the type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    missing: float
    """Share of the rows."""
    count: int = 0
    """Of the sampled values that the rest is about."""
    edges: tuple[float, ...] = ()
    """Bounds between bins, each bound within the lower bin."""
    shares: tuple[float, ...] = ()
    """Share of the values in each bin, one more than edges."""
    categories: dict[str, float] = {}
    """Most frequent values with their share; the others together are the rest."""


class Profile(BaseModel):
    """One snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    columns: dict[str, ColumnProfile]


def profile(
    connection: "duckdb.DuckDBPyConnection",
    written: "StagedRows",
    hidden: Collection[str],
) -> tuple[Profile, dict[str, Any]]:
    """The profile, and the sampled values of each column that it looked at.

    Args:
        hidden: the sensitive columns, of which no value is looked at.
    """
    absent = missing(connection, written)
    looked_at = [
        name
        for name, kind in written.columns.items()
        if kind in {"BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN"}
        and name not in hidden
        and name not in IDENTITY
    ]
    sampled = dict(columns_of(connection, written, looked_at)) if written.rows else {}
    columns = {}
    for name, kind in written.columns.items():
        if name in IDENTITY:
            continue
        share = absent[name] / max(1, written.rows)
        found = _distribution(kind, sampled[name]) if name in sampled else {}
        columns[name] = ColumnProfile(type=kind, missing=share, **found)
    return Profile(rows=written.rows, columns=columns), sampled


def _distribution(kind: str, values: Any) -> dict[str, Any]:
    """Nothing of what never repeats, except measures: that is an identifier."""
    import numpy as np

    if not len(values):
        return {}
    if kind in {"BIGINT", "DOUBLE"}:
        if kind == "BIGINT" and len(values) > _FEW and len(np.unique(values)) == len(values):
            return {}
        edges = quantiles(values)
        shares = tuple(count / len(values) for count in binned(values, edges))
        return {"count": len(values), "edges": edges, "shares": shares}
    counted = Counter(str(value) for value in values.tolist())
    if len(counted) == len(values) and len(values) > _FEW:
        return {}
    most = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_CATEGORIES]
    return {"count": len(values), "categories": {name: n / len(values) for name, n in most}}


def quantiles(values: Any) -> tuple[float, ...]:
    """The different deciles, each one of the values."""
    import numpy as np

    places = np.arange(1, _BINS) / _BINS
    found = np.quantile(values.astype("float64"), places, method="inverted_cdf")
    return tuple(dict.fromkeys(found.tolist()))


def binned(values: Any, edges: tuple[float, ...]) -> list[int]:
    """How many values are in each bin."""
    import numpy as np

    place = np.searchsorted(edges, values.astype("float64"), side="left")
    return [int(count) for count in np.bincount(place, minlength=len(edges) + 1)]


def store_profile(made: Profile, data_version: str, home: Home, hidden: Collection[str]) -> None:
    """Remember the profile of a snapshot."""
    home.write_atomic(_path(data_version, home, hidden), made.model_dump_json().encode())


def load_profile(data_version: str, home: Home, hidden: Collection[str]) -> Profile | None:
    """The profile of a snapshot, as long as the same columns are sensitive."""
    path = _path(data_version, home, hidden)
    if not path.is_file():
        return None
    try:
        return Profile.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def _path(data_version: str, home: Home, hidden: Collection[str]) -> Path:
    # What may be remembered depends on what is sensitive now.
    name = sha256("\n".join([data_version, *sorted(hidden)]).encode()).hexdigest()
    return home.path / "profiles" / f"{name}.json"


ROWS = 20_000

_CELLS = 4_000_000

_STRETCHES = 25

_CHUNK = 200


@dataclass(frozen=True)
class StagedRows:
    """Rows in files, in order: of a snapshot, or of one that is not published yet."""

    files: Sequence[tuple[Path, int]]
    """Each file with its number of rows."""
    columns: Mapping[str, str]
    """Column to DuckDB type."""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.files)


def missing(connection: "duckdb.DuckDBPyConnection", written: StagedRows) -> dict[str, int]:
    """Column to the number of its missing values, all rows counted: the files themselves say it."""
    rows = connection.execute(
        "SELECT column_id, sum(stats_null_count)::BIGINT "
        f"FROM parquet_metadata({_listed(written)}) GROUP BY 1"
    ).fetchall()
    found = dict(rows)
    return {name: found.get(i) or 0 for i, name in enumerate(written.columns)}


def newest(connection: "duckdb.DuckDBPyConnection", written: StagedRows, column: str) -> str | None:
    """The greatest value of a date or timestamp, ISO 8601, of all rows; None without one."""
    row = connection.execute(
        f"SELECT max({identifier(column)})::TIMESTAMP FROM read_parquet({_listed(written)})"
    ).fetchone()
    return row[0].isoformat() if row and row[0] else None


def columns_of(
    connection: "duckdb.DuckDBPyConnection", written: StagedRows, names: Sequence[str]
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


def _stretches(written: StagedRows, wanted: int) -> Iterator[str]:
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


def _listed(written: StagedRows) -> str:
    return f"[{', '.join(literal(str(path)) for path, _ in written.files)}]"
