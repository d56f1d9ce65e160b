"""Log the answers of a scored file, and give each its id.

The rows of a file are logged by thousands, column by column, as those of a request that comes in
arrays. What the log keeps belongs in `factory_resources.prediction_log`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from math import isfinite
from typing import TYPE_CHECKING, Any

from factory_assets.data.transforms.narrowing import needed_columns
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.serving.broken_rules import rules_in
from factory_assets.serving.declared_log import as_sensitive_as_declared, protection_of
from factory_assets.serving.logged_keys import LoggedKey, keys_beside
from factory_assets.serving.online.column_request import encode_columns
from factory_assets.spec import Column
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import LARGEST_RECORD
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import LOGGED_REGIONS
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode

if TYPE_CHECKING:
    import pyarrow as pa

    from factory_assets.serving.scoring_rows import ScoringRows
    from factory_resources.prediction_log.protection import Protection


_ROWS, _BYTES = 5_000, LARGEST_RECORD // 2
"""Of one record, at most, unless one row has more."""


def log_answers(
    pipeline: str,
    version: int,
    model: OnnxModel,
    rows: ScoringRows,
    result: pa.Table,
    home: Home,
    started: int,
) -> pa.Array:
    """Make the answers durable and return their ids.

    Args:
        rows: the rows that were scored, with their number in `_row`, and the keys.
        result: the answers to all rows in the order of the file, with `_row`.
        started: when the file was given, in nanoseconds since 1970.

    Raises:
        StorageError: the log cannot be written.
    """
    import pyarrow as pa

    columns = as_sensitive_as_declared(pipeline, needed_columns(model))
    keys = keys_beside([*rows.keys], columns)
    protection = protection_of(pipeline, [*columns, *(key.column for key in keys)], home)
    given, texts = ids.PredictionIds(), []
    duration = (time.time_ns() - started) // 1000
    log = PredictionLog(home)
    journal = log.journal()

    def encoded(part: pa.Table) -> tuple[bytes, bytes]:
        asked = _asked(part, rows, columns, keys, protection, started // 1000)
        return asked, _answered(part, model)

    try:
        for part, asked, answered in _parts(result, encoded):
            base = given.take(part.num_rows)
            texts += [ids.text(base, row) for row in range(part.num_rows)]
            record = PredictionRecord(
                time=started // 1000,
                duration=duration,
                pipeline=pipeline,
                version=version,
                caller="",
                protocol="file",
                kind="answer",
                status=200,
                rows=part.num_rows,
                input=asked,
                output=answered,
            )
            journal.append(base, encode(record))
            journal.flush()
    finally:
        journal.close()
    with log:
        log.collect()
    return pa.array(texts, pa.string())


def _parts(
    result: pa.Table, encoded: Callable[[pa.Table], tuple[bytes, bytes]]
) -> Iterator[tuple[pa.Table, bytes, bytes]]:
    """Yield the answers of each record, with its input and output, in the order of the rows."""
    starts = range(0, result.num_rows, _ROWS)
    waiting = [result.slice(start, _ROWS) for start in reversed(starts)]
    while waiting:
        part = waiting.pop()
        asked, answered = encoded(part)
        half = part.num_rows // 2
        if half and len(asked) + len(answered) > _BYTES:
            waiting += [part.slice(half), part.slice(0, half)]
        else:
            yield part, asked, answered


def _asked(
    part: pa.Table,
    rows: ScoringRows,
    columns: Sequence[Column],
    keys: Sequence[LoggedKey],
    protection: Protection | None,
    asked: int,
) -> bytes:
    """Return the columns and the keys of the rows; those of a refused row are missing."""
    import pyarrow.compute as pc

    places = pc.index_in(part["_row"], rows.scorable["_row"])
    scored = rows.scorable.take(places)
    found = [(column, _cells(scored[column.name])) for column in columns]
    numbers = scored["_row"].to_pylist()
    for key in keys:
        # The rows of a file are counted from 1.
        values = [None if number is None else rows.keys[key][number - 1] for number in numbers]
        found.append((key.column, values))
    cells: dict[str, Any] = {}
    for column, values in found:
        if column.sensitive and protection is not None:
            values = [None if v is None else protection.protect(v, asked) for v in _as_list(values)]
        cells[column.source_name] = values
    return encode_columns(cells)


def _cells(column: pa.ChunkedArray) -> Any:
    """Return an array of numbers, NaN if missing, or a list."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        return column.to_numpy()
    plain = (int, bool, str, type(None))
    return [v if isinstance(v, plain) else str(v) for v in column.to_pylist()]


def _as_list(values: Any) -> list[Any]:
    cells: list[Any] = values if isinstance(values, list) else values.tolist()
    return [None if cell != cell else cell for cell in cells]


def _regions(rows: pa.Table, model: OnnxModel) -> dict[str, list[Any]]:
    """Return the sets or intervals, as the log has those of a request."""
    if model.regions is None:
        return {}
    if not model.classes:
        ends = zip(rows["low"].to_pylist(), rows["high"].to_pylist(), strict=True)
        finite = [[end if isfinite(end) else None for end in pair] for pair in ends]
        return {LOGGED_REGIONS["interval"]: finite}
    chosen = zip(*(rows[f"set_{name}"].to_pylist() for name in model.classes), strict=True)
    sets = [[*compress(model.classes, one)] for one in chosen]
    found: dict[str, list[Any]] = {LOGGED_REGIONS["set"]: sets}
    if model.regions.abstain:
        found[LOGGED_REGIONS["abstained"]] = rows["abstained"].to_pylist()
    return found


def _answered(part: pa.Table, model: OnnxModel) -> bytes:
    import pyarrow as pa

    reasons = part["reason"].to_pylist()
    scored = [i for i, reason in enumerate(reasons) if reason is None]
    rows = part.take(pa.array(scored, pa.int64()))
    content: dict[str, Any] = {"predictions": rows["prediction"].to_pylist()}
    if model.classes:
        shares = [rows[f"p_{name}"].to_pylist() for name in model.classes]
        content["probabilities"] = list(zip(*shares, strict=True))
    content |= _regions(rows, model)
    content["rows"] = scored
    content["refused"] = [
        [i, [*rules_in(reason)]] for i, reason in enumerate(reasons) if reason is not None
    ]
    return json.dumps(content).encode()
