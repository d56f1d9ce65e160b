"""Profiles of the columns of a snapshot, with which the next snapshot is compared.

A profile is small and holds no value of a sensitive column. It is stored beside the tables by data
version; a profile that is missing is computed again from its snapshot.

Values come from a sample of the rows: many short runs of consecutive rows, evenly spread, the same
every time. So no table takes longer to read than one of a million rows. Comparing two profiles
belongs in `drift`.
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
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import file_literal, identifier

if TYPE_CHECKING:
    import duckdb


_BINS = 10

_CATEGORIES = 20
"""Largest number of frequent values that a profile holds."""

_FEW = 20
"""Fewer different values than this are no sign of an identifier."""


class ColumnProfile(BaseModel):
    """One column: deciles of numbers, most frequent values of text, otherwise only the type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    missing: float
    """Share of the rows."""
    count: int = 0
    """Number of sampled values that the other fields describe."""
    edges: tuple[float, ...] = ()
    """Bounds between bins; a value equal to a bound is in the lower bin."""
    shares: tuple[float, ...] = ()
    """Share of the values in each bin: one more than there are edges."""
    categories: dict[str, float] = {}
    """Share of each of the most frequent values; the other values are the rest."""


class Profile(BaseModel):
    """The profile of one snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    columns: dict[str, ColumnProfile]


def profile(
    connection: "duckdb.DuckDBPyConnection",
    written: "StagedRows",
    hidden: Collection[str],
) -> tuple[Profile, dict[str, Any]]:
    """Return the profile of a table, and the sampled values that it describes by column.

    Args:
        hidden: the sensitive columns, whose values are not read.
    """
    missing = missing_counts(connection, written)
    described = [
        name
        for name, kind in written.columns.items()
        if kind in {"BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN"}
        and name not in hidden
        and name not in IDENTITY
    ]
    sampled = dict(sampled_columns(connection, written, described)) if written.rows else {}
    columns = {}
    for name, kind in written.columns.items():
        if name in IDENTITY:
            continue
        share = missing[name] / max(1, written.rows)
        distribution = _distribution(kind, sampled[name]) if name in sampled else {}
        columns[name] = ColumnProfile(type=kind, missing=share, **distribution)
    return Profile(rows=written.rows, columns=columns), sampled


def _distribution(kind: str, values: Any) -> dict[str, Any]:
    """Return the fields of a profile that describe the values; none for an identifier.

    Whole numbers or texts that never repeat are an identifier.
    """
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
    """Return the distinct deciles, each of them one of the values."""
    import numpy as np

    places = np.arange(1, _BINS) / _BINS
    found = np.quantile(values.astype("float64"), places, method="inverted_cdf")
    return tuple(dict.fromkeys(found.tolist()))


def binned(values: Any, edges: tuple[float, ...]) -> list[int]:
    """Return the number of values in each bin."""
    import numpy as np

    place = np.searchsorted(edges, values.astype("float64"), side="left")
    return [int(count) for count in np.bincount(place, minlength=len(edges) + 1)]


def store_profile(
    computed: Profile, data_version: str, home: Home, hidden: Collection[str]
) -> None:
    """Store the profile of a snapshot."""
    home.write_atomic(_path(data_version, home, hidden), computed.model_dump_json().encode())


def load_profile(data_version: str, home: Home, hidden: Collection[str]) -> Profile | None:
    """Return the stored profile of a snapshot; None without one for these sensitive columns."""
    path = _path(data_version, home, hidden)
    if not path.is_file():
        return None
    try:
        return Profile.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def _path(data_version: str, home: Home, hidden: Collection[str]) -> Path:
    # Which columns are sensitive decides what a profile may hold.
    name = sha256("\n".join([data_version, *sorted(hidden)]).encode()).hexdigest()
    return home.path / "profiles" / f"{name}.json"


SAMPLE_ROWS = 20_000
"""Largest number of rows in a sample."""

_CELLS = 4_000_000
"""Largest number of cells in a sample: a wide table gives fewer rows."""

_RUNS = 25
"""Runs of consecutive rows in a sample."""

_CHUNK = 200
"""Columns in one query."""


@dataclass(frozen=True)
class StagedRows:
    """Rows in files, in order: of a stored snapshot, or of one that is not published yet."""

    files: Sequence[tuple[Path, int]]
    """Each file with its number of rows."""
    columns: Mapping[str, str]
    """DuckDB type of each column."""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.files)


def missing_counts(connection: "duckdb.DuckDBPyConnection", written: StagedRows) -> dict[str, int]:
    """Return the number of missing values of each column, from the metadata of the files."""
    rows = connection.execute(
        "SELECT column_id, sum(stats_null_count)::BIGINT "
        f"FROM parquet_metadata({_listed(written)}) GROUP BY 1"
    ).fetchall()
    counts = dict(rows)
    return {name: counts.get(i) or 0 for i, name in enumerate(written.columns)}


def newest(connection: "duckdb.DuckDBPyConnection", written: StagedRows, column: str) -> str | None:
    """Return the greatest date or time of a column in all rows, in ISO 8601; None without one.

    Raises:
        ContractError: the values are neither dates nor times.
    """
    row = connection.execute(
        "SELECT TRY_CAST(newest AS TIMESTAMP), newest IS NULL FROM "
        f"(SELECT max({identifier(column)}) AS newest FROM read_parquet({_listed(written)}))"
    ).fetchone()
    moment, is_empty = row or (None, True)
    if moment is None and not is_empty:
        raise ContractError(
            f"freshness.column: {column!r} holds {written.columns[column].lower()}, "
            "not dates or timestamps",
            remedy="choose another column, or declare its type in the contract",
        )
    return moment.isoformat() if moment else None


def sampled_columns(
    connection: "duckdb.DuckDBPyConnection", written: StagedRows, names: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Yield each column with its sampled values, without missing ones, as a NumPy array."""
    wanted = min(SAMPLE_ROWS, max(_RUNS, _CELLS // max(1, len(names))))
    runs = list(_runs(written, wanted))
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        cells = ", ".join(identifier(name) for name in chunk)
        query = " UNION ALL ".join(f"SELECT {cells} FROM {run}" for run in runs)
        found = connection.execute(query).fetchnumpy()
        for name in chunk:
            values = found[name]
            yield name, values.compressed() if hasattr(values, "compressed") else values


def _runs(written: StagedRows, wanted: int) -> Iterator[str]:
    """Yield the runs as SQL tables; the engine reads only the parts of a file that they need."""
    ends = list(accumulate(rows for _, rows in written.files))
    for first, last in _places(written.rows, wanted):
        for (path, rows), end in zip(written.files, ends, strict=True):
            low, high = max(first, end - rows), min(last, end)
            if low < high:
                before = end - rows
                yield (
                    f"{parquet(path)} WHERE file_row_number >= {low - before} "
                    f"AND file_row_number < {high - before}"
                )


def _places(rows: int, wanted: int) -> Iterator[tuple[int, int]]:
    if rows <= wanted:
        yield 0, rows
        return
    length = wanted // _RUNS
    for i in range(_RUNS):
        first = i * (rows - length) // (_RUNS - 1)
        yield first, first + length


def _listed(written: StagedRows) -> str:
    return f"[{', '.join(file_literal(path) for path, _ in written.files)}]"
