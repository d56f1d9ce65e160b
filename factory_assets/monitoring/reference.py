"""What answers are compared with: the rows that a version learned from, and those it was tested on.

Answered rows are read in `answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.execution.version_lineage import Lineage
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.evaluation.recorded import read_judged_rows
from factory_assets.ml.features.target import Target
from factory_assets.ml.performance.labelled_rows import known_truth
from factory_assets.monitoring.watched import WatchedInputs
from factory_assets.results.data import SplitResult
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.snapshot import fetched_paths, read_arrow, require_unchanged

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MOST = 20_000
"""Training rows, and test rows, that are drawn."""

_PREFIX = "tested-"

_ROUNDING = 2e-6
"""By how much the graph may give another output for the same row, as a share of the output and of
the range of all outputs: alone, a row is rounded otherwise than beside others."""


@dataclass(frozen=True)
class TestedRows:
    """Judged test rows of a version, which it did not learn from."""

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
    import pyarrow as pa

    names = [*dict.fromkeys([*(c.name for c in inputs.columns), *([time] if time else [])])]
    parts = [found.parts.train]
    if found.evaluation.candidate.knows_validation:
        parts.append(found.parts.validation)
    rows = pa.concat_tables([read_arrow(part, home, names) for part in parts])
    if rows.num_rows > MOST:
        rows = rows.take(_draw(rows.num_rows))
    return inputs.of_training(rows), rows[time] if time else None


def tested_rows(
    found: Lineage, inputs: WatchedInputs, model: OnnxModel, kept: Path, home: Home
) -> TestedRows:
    """Return judged test rows with what the served graph answers for them.

    The evaluation recorded what the trained model computes, which differs in the last digits. Where
    many rows have the same output, that would break every tie with an answer in the same way.

    Rows of a class that no training row has are left out: no output is about it.

    Args:
        kept: the folder in which the answers are kept for the next look.
    """
    names = [column.name for column in inputs.columns]
    judged, candidate = found.evaluation.predictions, found.evaluation.candidate
    rows, places = read_judged_rows(found.parts.test, judged, names, home)
    drawn = _draw(len(places))
    target = Target(
        column="truth", task=candidate.task, classes=candidate.classes, mean=0.0, sd=1.0
    )
    truth = target.values(read_arrow(judged, home, ["truth"]))[drawn]
    outputs = _served_outputs(found, model, drawn, kept, home)
    known = known_truth(truth, outputs)
    table = inputs.of_training(rows.take(places[drawn][known]))
    return TestedRows(table, outputs[known], truth[known])


def as_tested(outputs: NDArray[np.float64], tested: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return outputs; those that differ from one of test rows by rounding alone, as that one.

    If many rows have the same output, a last digit would else part all answers from the test rows:
    callers ask for single rows, while test rows are computed together.

    Args:
        outputs, tested: probabilities [rows, classes], or predictions [rows].
    """
    import numpy as np

    if outputs.ndim == 2:
        columns = zip(outputs.T, tested.T, strict=True)
        return np.stack([as_tested(*pair) for pair in columns], axis=1)
    if not len(tested):
        return outputs
    known = np.unique(tested)
    places = np.searchsorted((known[1:] + known[:-1]) / 2, outputs)
    nearest = known[places]
    rounding = _ROUNDING * (known[-1] - known[0] + np.abs(outputs))
    return np.where(np.abs(outputs - nearest) <= rounding, nearest, outputs)


def _draw(rows: int) -> NDArray[np.int64]:
    """Return the ascending indices of all rows, or of some drawn at random."""
    import numpy as np

    if rows <= MOST:
        return np.arange(rows)
    return np.sort(np.random.default_rng(rows).choice(rows, MOST, replace=False))


def _served_outputs(
    found: Lineage, model: OnnxModel, drawn: NDArray[np.int64], kept: Path, home: Home
) -> NDArray[np.float64]:
    """Return the outputs for judged rows, as kept by the look before or computed.

    Raises:
        StorageError: the disk cannot be written.
    """
    import numpy as np

    judged, version = found.evaluation.predictions, found.evaluation.candidate.version
    path = kept / f"{_PREFIX}{version}-{judged.data_version}.npy"
    try:
        outputs: NDArray[np.float64] = np.load(path, allow_pickle=False)
        if len(outputs) == len(drawn):
            return outputs
    except (OSError, ValueError, EOFError):
        # It is computed again.
        pass
    rows, places = read_judged_rows(found.parts.test, judged, model.columns, home)
    outputs = model.outputs(rows, places[drawn])
    with home.scratch() as scratch, storage_errors(path):
        made = scratch / path.name
        np.save(made, outputs)
        kept.mkdir(parents=True, exist_ok=True)
        for former in kept.glob(f"{_PREFIX}*.npy"):
            former.unlink(missing_ok=True)
        made.rename(path)
    return outputs
