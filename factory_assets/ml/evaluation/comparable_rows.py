"""Which test rows a candidate and a champion can be compared on: those that favour neither.

A draw may be made anew: the oldest file is gone, rows come in another order, or another seed is
declared. Then most test rows are rows that the champion has learned from. A model is better on
those, so that on all test rows no candidate would seem as good as it. Scoring the models belongs in
`champion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, file_literal, identifier, sealed
from factory_resources.tables.snapshot import Snapshot, fetched_paths, require_unchanged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def comparable_rows(
    pipeline: Pipeline,
    places: NDArray[np.int64],
    parts: SplitResult,
    learned: Sequence[Snapshot],
    home: Home,
) -> NDArray[np.int64] | None:
    """Return which judged rows both models learned from or neither did, as indices of `places`.

    None if that holds for all. Rows are the same if they agree in every column that `ingest` gives:
    a file may have another name or more rows by now, and derived columns another rule. A row that
    both learned from has a copy among the training rows, and favours neither.

    Args:
        places: [judged rows]: their positions among the test rows.
        parts: the rows of the candidate.
        learned: the rows of the champion without its test rows; empty if they are not known.

    Raises:
        StorageError: rows were changed.
    """
    import numpy as np

    names = _shared_columns(pipeline, parts, learned) if learned else []
    if not names:
        return None
    ours, theirs = (parts.train, parts.validation), learned
    files = [path for one in (parts.test, *ours, *theirs) for path in fetched_paths(one, home)]
    require_unchanged(files)
    key = f"hash({', '.join(map(identifier, names))})"
    tested = numbered(parts.test.paths(home), [file.rows for file in parts.test.files])
    with (
        home.scratch() as scratch,
        sealed(read=files, write=scratch) as connection,
        engine_errors(pipeline.name, StorageError, "free memory, then run again"),
    ):
        found = connection.execute(
            f"SELECT _order FROM (SELECT _order, {key} AS key FROM ({tested})) "
            f"WHERE (key IN ({_keys(key, ours, home)})) <> (key IN ({_keys(key, theirs, home)}))"
        ).fetchnumpy()["_order"]
    same = ~np.isin(places, found)
    return None if same.all() else np.flatnonzero(same)


def _shared_columns(
    pipeline: Pipeline, parts: SplitResult, learned: Sequence[Snapshot]
) -> list[str]:
    added = pipeline.spec.clean.columns
    return [
        name
        for name, kind in parts.test.columns.items()
        if not name.startswith("_")
        and name not in added
        and all(one.columns.get(name) == kind for one in learned)
    ]


def _keys(key: str, snapshots: Sequence[Snapshot], home: Home) -> str:
    files = ", ".join(file_literal(path) for one in snapshots for path in one.paths(home))
    return f"SELECT {key} FROM read_parquet([{files}], hive_partitioning=false)"
