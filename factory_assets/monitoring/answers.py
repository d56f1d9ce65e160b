"""The answers of a version since the last look: how many there were, and a sample of their rows.

Where they are stored belongs in `factory_resources.prediction_log`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.monitoring.watched import WatchedInputs
from factory_resources.prediction_log.ids import row_id
from factory_resources.prediction_log.logged_rows import logged_outputs, logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SAMPLE = 20_000
"""Rows of a look that are read; what is tested and estimated is computed from them."""


@dataclass(frozen=True)
class AnswerCounts:
    """How much a version answered."""

    requests: int
    refused: int
    """Requests without an answer."""
    rows: int
    first: int | None
    """When the first of them was asked, in milliseconds since 1970; None if there is none."""
    last: int | None


@dataclass(frozen=True)
class AnsweredRows:
    """A random sample of the rows that a version answered, in the order of their ids."""

    ids: Sequence[bytes]
    inputs: pa.Table
    """The watched columns."""
    outputs: NDArray[np.float64]
    """Probabilities [rows, classes], or predictions [rows]."""


def count_answers(requests: Sequence[tuple[bytes, int]]) -> AnswerCounts:
    """Count requests, each given as its id and its number of rows."""
    ends = [*requests[:1], *requests[-1:]]
    times = [int.from_bytes(found[:6], "big") for found, _ in ends]
    return AnswerCounts(
        requests=len(requests),
        refused=sum(not rows for _, rows in requests),
        rows=sum(rows for _, rows in requests),
        first=times[0] if times else None,
        last=times[-1] if times else None,
    )


def sample_rows(
    log: PredictionLog,
    requests: Sequence[tuple[bytes, int]],
    inputs: WatchedInputs,
    classes: int,
    seed: int,
) -> AnsweredRows:
    """Draw rows at random from all rows of these requests, and read them as `read_rows` does.

    Args:
        classes: how many the model has; 0 if it predicts a number.

    Raises:
        StorageError: a record cannot be read.
    """
    return read_rows(log, _draw(requests, seed), inputs, classes)


def read_rows(
    log: PredictionLog,
    drawn: Mapping[bytes, Sequence[int]],
    inputs: WatchedInputs,
    classes: int,
    version: int | None = None,
) -> AnsweredRows:
    """Read rows of requests; those without an answer are left out.

    Args:
        drawn: the numbers of the rows of each request.
        version: only answers of this version; None for any.

    Raises:
        StorageError: a record cannot be read.
    """
    import numpy as np

    found: list[tuple[bytes, list[Any], Any]] = []
    for request, record in log.records(drawn.keys()):
        if record.kind != "answer" or version not in {None, record.version}:
            continue
        asked, outputs = logged_rows(record), logged_outputs(record)
        for row in drawn[request]:
            if row in outputs:
                cells = [asked[row].get(name) for name in inputs.names]
                found.append((row_id(request, row), inputs.read(cells, record.time), outputs[row]))
    found.sort(key=lambda one: one[0])
    shape = (len(found), classes) if classes else (len(found),)
    return AnsweredRows(
        [identifier for identifier, _, _ in found],
        inputs.table([cells for _, cells, _ in found]),
        np.array([output for _, _, output in found], dtype=np.float64).reshape(shape),
    )


def _draw(requests: Sequence[tuple[bytes, int]], seed: int) -> dict[bytes, list[int]]:
    """Return which rows of which requests are read, each row equally likely."""
    import numpy as np

    ends = np.cumsum([rows for _, rows in requests])
    total = int(ends[-1]) if len(ends) else 0
    if total <= SAMPLE:
        return {request: [*range(rows)] for request, rows in requests if rows}
    chosen = np.sort(np.random.default_rng(seed).choice(total, SAMPLE, replace=False))
    places = np.searchsorted(ends, chosen, side="right")
    drawn: dict[bytes, list[int]] = {}
    for place, row in zip(places.tolist(), chosen.tolist(), strict=True):
        request, rows = requests[place]
        drawn.setdefault(request, []).append(row - (int(ends[place]) - rows))
    return drawn
