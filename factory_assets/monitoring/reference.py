"""What answers are compared with: the rows that a version learned from, and those it was tested on.

Answered rows are read in `answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.execution.version_lineage import Lineage
from factory_assets.ml.evaluation.recorded import read_judged_rows, recorded_outputs
from factory_assets.ml.features.target import Target
from factory_assets.ml.performance.labelled_rows import known_truth
from factory_assets.monitoring.watched import WatchedInputs
from factory_assets.results.data import SplitResult
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import fetched_paths, read_arrow, require_unchanged

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MOST = 20_000
"""Training rows that are drawn."""


@dataclass(frozen=True)
class TestedRows:
    """The judged test rows of a version, which it did not learn from."""

    inputs: pa.Table
    """The watched columns."""
    outputs: NDArray[np.float64]
    """Probabilities [rows, classes], or predictions [rows]."""
    truth: NDArray[Any]
    """Class codes, or numbers, [rows]."""


def training_schema(parts: SplitResult, home: Home) -> pa.Schema:
    """Return the columns of the training rows.

    Raises:
        StorageError: the rows are gone or were changed.
    """
    from pyarrow.parquet import read_schema

    path = fetched_paths(parts.train, home)[0]
    require_unchanged([path])
    return read_schema(path)


def training_rows(found: Lineage, inputs: WatchedInputs, home: Home, time: str | None) -> Any:
    """Return the watched columns of the rows that the version learned from, and their times if any.

    Args:
        time: the name of the column that says when a row came from.
    """
    import numpy as np
    import pyarrow as pa

    names = [*dict.fromkeys([*(c.name for c in inputs.columns), *([time] if time else [])])]
    parts = [found.parts.train]
    if found.evaluation.candidate.knows_validation:
        parts.append(found.parts.validation)
    rows = pa.concat_tables([read_arrow(part, home, names) for part in parts])
    if rows.num_rows > MOST:
        chosen = np.random.default_rng(rows.num_rows).choice(rows.num_rows, MOST, replace=False)
        rows = rows.take(np.sort(chosen))
    return inputs.of_training(rows), rows[time] if time else None


def tested_rows(found: Lineage, inputs: WatchedInputs, home: Home) -> TestedRows:
    """Return the judged test rows with what the version answered for them.

    Rows of a class that no training row has are left out: no output is about it.
    """
    names = [column.name for column in inputs.columns]
    judged, candidate = found.evaluation.predictions, found.evaluation.candidate
    rows, places = read_judged_rows(found.parts.test, judged, names, home)
    target = Target(
        column="truth", task=candidate.task, classes=candidate.classes, mean=0.0, sd=1.0
    )
    truth = target.values(read_arrow(judged, home, ["truth"]))
    outputs = recorded_outputs(found.evaluation, home)
    known = known_truth(truth, outputs)
    return TestedRows(inputs.of_training(rows.take(places[known])), outputs[known], truth[known])
