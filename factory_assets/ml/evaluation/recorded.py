"""The judged test rows of an evaluation, and what it recorded of them.

Judging them belongs in `test_set`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.results.evaluation import EvaluationResult
from factory_assets.spec import IDENTITY
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray


def read_judged_rows(
    test: Snapshot, predictions: Snapshot, columns: Sequence[str], home: Home
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the test rows, and the positions of the evaluated ones in prediction order.

    Of rows of one place in the same content, as of a file and its copy, the later ones were
    evaluated: of the last rows of a unit that are equally late, the later one is.

    Raises:
        ModelError: an evaluated row is not among the test rows.
    """
    import numpy as np
    import pandas as pd

    rows = read_arrow(test, home, [*IDENTITY, *columns])
    wanted = read_arrow(predictions, home, IDENTITY)
    if wanted.equals(rows.select(IDENTITY).cast(wanted.schema)):
        return rows, np.arange(rows.num_rows)
    places, evaluated = (
        pd.MultiIndex.from_frame(_numbered(table.to_pandas()))
        for table in (rows.select(IDENTITY), wanted)
    )
    found = places.get_indexer(evaluated)
    if (found < 0).any():
        raise ModelError(
            f"{int((found < 0).sum())} evaluated rows are not among the test rows",
            where=test.table,
            remedy="evaluate again",
        )
    return rows, found


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Number rows of the same identity from the last one."""
    return rows.assign(copy=rows.groupby([*IDENTITY]).cumcount(ascending=False))


def recorded_outputs(verdict: EvaluationResult, home: Home) -> NDArray[Any]:
    """Return the trained model's outputs for the evaluated rows."""
    import numpy as np

    classes = verdict.candidate.classes
    names = [f"p_{i}" for i in range(len(classes))] or ["prediction"]
    table = read_arrow(verdict.predictions, home, names)
    columns = [table[name].to_numpy() for name in names]
    return np.stack(columns, axis=1) if classes else columns[0]
