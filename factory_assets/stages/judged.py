"""The rows that are judged: which of the test rows, in which slices, and what was said of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from factory_assets.results.model import Candidate
from factory_assets.spec import IDENTITY, LastRow
from factory_assets.stages.fairness import Grouping
from factory_assets.stages.features import read_names
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.sql.expressions import suggestion
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tables.writer import write

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MOST_SLICES = 50
"""Values of one column that are judged apart, the most frequent first."""


def judged_rows(test: pa.Table, last: LastRow | None) -> NDArray[np.int64]:
    """The places of all test rows; or of the last of each unit, in the order in which they stand.

    Of rows with an equal order the later one is the last; a missing order comes first.

    Raises:
        DataError: when there is no such column.
    """
    import numpy as np

    if last is None:
        return np.arange(test.num_rows)
    for place, name in (("by", last.by), ("order", last.order)):
        _require(test, name, f"evaluate.last.{place}")
    frame = test.select([last.by, last.order]).to_pandas().reset_index(names="place")
    ordered = frame.sort_values(last.order, kind="stable", na_position="first")
    places = ordered.groupby(last.by, dropna=False, sort=False)["place"].last()
    return np.sort(places.to_numpy())


def group_rows(table: pa.Table, column: str) -> Grouping:
    """The rows by the values of a protected column.

    Raises:
        DataError: when there is no such column.
    """
    import numpy as np

    found = list(slice_rows(table, column, "evaluate.protected"))
    codes = np.full(table.num_rows, -1)
    for code, (_, rows) in enumerate(found):
        codes[rows] = code
    return Grouping(column, tuple(name for name, _ in found), codes)


def slice_rows(
    table: pa.Table, column: str, where: str = "evaluate.slices"
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each value of the column, most frequent first, with the places of its rows.

    Raises:
        DataError: when there is no such column.
    """
    import numpy as np

    _require(table, column, where)
    encoded = read_names(table, column)
    names = [*encoded.dictionary.to_pylist(), "(missing)"]
    codes = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(names))
    ranked = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
    for code in ranked[:MOST_SLICES]:
        if counts[code]:
            yield names[code], np.flatnonzero(codes == code)


def keep_predictions(
    rows: pa.Table, candidate: Candidate, outputs: NDArray[Any], home: Home, table: str
) -> Snapshot:
    """Store `_file, _row, truth` and `p_0 … p_k` (in the order of the classes) or `prediction`.

    Args:
        rows: the judged rows; the snapshot keeps their order.
        outputs: [rows, classes] or [rows].
    """
    import pyarrow as pa

    columns = {**{name: rows[name] for name in IDENTITY}, "truth": rows[candidate.target]}
    if candidate.classes:
        columns |= {f"p_{code}": outputs[:, code] for code in range(len(candidate.classes))}
    else:
        columns["prediction"] = outputs
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        connection.register("predictions", pa.table(columns))
        return write(
            connection, "SELECT * FROM predictions", home=home, table=table, folder=scratch
        )


def _require(table: pa.Table, name: str, where: str) -> None:
    if name not in table.column_names:
        shown = [column for column in table.column_names if not column.startswith("_")]
        raise DataError(f"there is no column {name!r}", where=where, remedy=suggestion(name, shown))
