"""One logged answer: what was asked, by whom, and what which version answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from factory_resources.prediction_log.logged_rows import (
    LOGGED_REGIONS,
    answered_places,
    unreadable_rows,
)
from factory_resources.prediction_log.one_row import logged_row
from factory_resources.prediction_log.record import PredictionRecord, WireProtocol


@dataclass(frozen=True)
class LoggedPrediction:
    """One row of a request, as it is in the prediction log."""

    id: str
    time: str
    """When it was asked: UTC, ISO 8601."""
    milliseconds: float
    """How long the answer took."""
    pipeline: str
    version: int
    caller: str
    protocol: WireProtocol
    status: int
    row: int
    """Which row of the request it is, from 0."""
    rows: int
    """How many rows the request had."""
    input: dict[str, Any] | None
    """The needed columns and the keys of the row, sensitive values replaced; None if the request
    was refused."""
    output: dict[str, Any]
    """The prediction, probabilities, set or interval, or the reasons of a refusal."""
    block: str | None
    """The block of the ledger that contains it; None as long as there is none."""


def describe_prediction(
    written: str, record: PredictionRecord, row: int, block: str | None
) -> LoggedPrediction:
    """Return what a record says of one of its rows.

    Args:
        written: the id of the row.
        row: its number, from 0.
        block: the block that contains the record.

    Raises:
        StorageError: the record was changed, so that it cannot be read.
    """
    asked = datetime.fromtimestamp(record.time / 1e6, UTC)
    return LoggedPrediction(
        id=written,
        time=asked.isoformat(timespec="milliseconds"),
        milliseconds=record.duration / 1000,
        pipeline=record.pipeline,
        version=record.version,
        caller=record.caller,
        protocol=record.protocol,
        status=record.status,
        row=row,
        rows=record.rows,
        input=_input(record, row),
        output=_output(record, row),
        block=block,
    )


def _input(record: PredictionRecord, row: int) -> dict[str, Any] | None:
    found = logged_row(record, row)
    return None if found is None else dict(found)


def _output(record: PredictionRecord, row: int) -> dict[str, Any]:
    try:
        return _output_of(record, row)
    except (AttributeError, LookupError, ValueError, TypeError) as error:
        raise unreadable_rows(error) from error


def _output_of(record: PredictionRecord, row: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(record.output)
    if record.kind == "error" or "error" in content:
        return content
    places = answered_places(content)
    if row not in places:
        # A file names each row by itself, a server all rows that break the same rules.
        broken = [
            rules
            for rows, rules in content["refused"]
            if row in (rows if isinstance(rows, list) else [rows])
        ]
        return {"prediction": None, "rules": broken[0] if broken else []}
    found: dict[str, Any] = {"prediction": content["predictions"][places[row]]}
    if "probabilities" in content:
        found["probabilities"] = content["probabilities"][places[row]]
    for name, logged in LOGGED_REGIONS.items():
        if logged in content:
            found[name] = content[logged][places[row]]
    return found
