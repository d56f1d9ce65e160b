"""The answers of a version since the last look: how many there were, and a sample of their rows.

Where they are stored belongs in `factory_resources.prediction_log`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.monitoring.watched import WatchedInputs
from factory_resources.prediction_log.ids import row_id
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.record import PredictionRecord, decode

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_resources.prediction_log.store import PredictionStore

SAMPLE = 20_000
"""Rows of a look that are read; what is tested and estimated is computed from them."""

_AT_ONCE = 500
"""Records that are read at once."""


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
    store: PredictionStore,
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
    return read_rows(store, _draw(requests, seed), inputs, classes)


def read_rows(
    store: PredictionStore,
    drawn: Mapping[bytes, Sequence[int]],
    inputs: WatchedInputs,
    classes: int,
    version: int | None = None,
) -> AnsweredRows:
    """Read rows of requests; those without an answer, or in the archive, are left out.

    Args:
        drawn: the numbers of the rows of each request.
        version: only answers of this version; None for any.

    Raises:
        StorageError: a record cannot be read.
    """
    import numpy as np

    names = [*inputs.names]
    ids: list[bytes] = []
    cells: list[list[Any]] = []
    outputs: list[Any] = []
    wanted = [*drawn]
    for start in range(0, len(wanted), _AT_ONCE):
        records = store.records(wanted[start : start + _AT_ONCE])
        for request in sorted(records):
            record = decode(records[request])
            if record.kind != "answer" or version not in {None, record.version}:
                continue
            for row, asked, answered in _rows(record, drawn[request], names):
                ids.append(row_id(request, row))
                cells.append(inputs.read(asked, record.time))
                outputs.append(answered)
    shape = (len(outputs), classes) if classes else (len(outputs),)
    return AnsweredRows(
        ids, inputs.table(cells), np.array(outputs, dtype=np.float64).reshape(shape)
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


def _rows(
    record: PredictionRecord, rows: Sequence[int], names: Sequence[str]
) -> Iterator[tuple[int, Sequence[Any], Any]]:
    """Yield number, watched values and output of the rows that got an answer."""
    content = json.loads(record.output)
    scored = content.get("rows")
    places = range(record.rows) if scored is None else {row: i for i, row in enumerate(scored)}
    found = content.get("probabilities", content["predictions"])
    asked = logged_rows(record)
    for row in rows:
        if row in places:
            yield row, [asked[row].get(name) for name in names], found[places[row]]
