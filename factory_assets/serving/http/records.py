"""What the prediction log keeps of a request and its answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from factory_assets.serving.http.call import Call
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.online.answers import predictions, regions
from factory_assets.serving.online.request_rows import ObjectRequest, RequestRows
from factory_assets.serving.online.served_model import ScoredRequest, ServedModel
from factory_resources.ledger.factory_verify import LARGEST_RECORD
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import LOGGED_REGIONS
from factory_resources.prediction_log.record import PredictionRecord

if TYPE_CHECKING:
    from factory_resources.prediction_log.protection import Protection


_encode = msgspec.msgpack.encode


def record_of(
    call: Call,
    rows: RequestRows | None,
    result: ScoredRequest | HttpError,
    protection: Protection | None,
) -> bytes:
    """Return the bytes of the record.

    Args:
        rows: None for a request that was refused.
        protection: hides the values of sensitive columns; None if there are none.

    Raises:
        HttpError: status 413, the record of an answer has more bytes than `factory_verify` reads.
    """
    duration = int((time.perf_counter() - call.started) * 1e6)
    started = time.time_ns() // 1000 - duration
    served = call.served
    if isinstance(result, HttpError):
        status, count, asked = result.status, 0, b""
        # Reasons have values of the rows, and may be many.
        rules = {"rules": result.broken} if result.broken else {}
        answered = msgspec.json.encode({"error": result.line, **rules})
    else:
        assert rows is not None
        if result.read is not None:
            # Beside the pixels that the model reads, a file may say who took it, and where.
            rows = ObjectRequest(result.read)
        status, count = 200, len(rows)
        asked = _protected(served, rows, protection, started) if protection else rows.logged(served)
        answered = msgspec.json.encode(_content(served, result))
    record = _encode(
        PredictionRecord(
            time=started,
            duration=duration,
            pipeline=served.pipeline,
            version=served.version,
            caller=call.caller,
            protocol=call.protocol,
            kind="error" if isinstance(result, HttpError) else "answer",
            status=status,
            rows=count,
            input=asked,
            output=answered,
        )
    )
    if count and len(record) > LARGEST_RECORD:
        what = f"{count:,} rows and their answers take {len(record):,} bytes in the log"
        remedy = f"send fewer rows at once, for at most {LARGEST_RECORD:,} bytes"
        raise HttpError(413, "too_large", what, remedy)
    return record


def shadow_record(
    call: Call, challenger: ServedModel, result: ScoredRequest | str, seconds: float
) -> bytes:
    """Return the bytes of the record of what a shadow computed; the rows are in that of the answer.

    Args:
        call: the request that the champion answered.
        result: what it computed, or why it did not.
        seconds: how long that took.
    """
    duration, failed = int(seconds * 1e6), isinstance(result, str)
    content = {"error": result} if isinstance(result, str) else _content(challenger, result)
    return _encode(
        PredictionRecord(
            time=time.time_ns() // 1000 - duration,
            duration=duration,
            pipeline=challenger.pipeline,
            version=challenger.version,
            caller=call.caller,
            protocol=call.protocol,
            kind="shadow",
            status=500 if failed else 200,
            # Nobody was given an id of it.
            rows=0,
            input=b"",
            output=msgspec.json.encode({"shadow_of": ids.text(call.answer), **content}),
        )
    )


def _content(served: ServedModel, scored: ScoredRequest) -> dict[str, Any]:
    """Return the predictions and outputs of the scored rows, and which were refused."""
    content: dict[str, Any] = {"predictions": predictions(served, scored)}
    if served.model.classes:
        content["probabilities"] = scored.outputs.tolist()
    content |= {LOGGED_REGIONS[name]: values for name, values in regions(served, scored).items()}
    if isinstance(scored.rows, tuple):
        content["rows"] = scored.rows
        by_rules: dict[tuple[str, ...], list[int]] = {}
        for one in scored.refusals:
            by_rules.setdefault(one.rules, []).append(one.row)
        content["refused"] = [[rows, rules] for rules, rows in by_rules.items()]
    return content


def _protected(
    served: ServedModel, rows: RequestRows, protection: Protection, started: int
) -> bytes:
    sensitive = {c.source_name for c in served.logged_columns if c.sensitive}
    return msgspec.json.encode(
        [
            {
                name: protection.protect(cell, started) if name in sensitive else cell
                for name, cell in served.logged_cells(row).items()
            }
            for row in rows.objects()
        ]
    )
