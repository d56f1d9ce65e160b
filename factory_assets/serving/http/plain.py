"""The plain protocol that people type: rows as JSON objects, `POST /predict/{pipeline}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from factory_assets.serving.http.call import Call
from factory_assets.serving.online.answers import answers
from factory_assets.serving.online.refusals import explain
from factory_assets.serving.online.request_rows import RequestRows
from factory_assets.serving.online.served_model import ScoredRequest
from factory_resources.prediction_log import ids


def encode(
    call: Call,
    rows: RequestRows,
    scored: ScoredRequest,
    identifier: bytes,
    *,
    several: bool,
    moved: Sequence[Any] | None,
) -> bytes:
    """Return the answer as JSON: one object for one row, else a list in the order of the rows.

    A refused row has its reasons in place of a prediction.

    Args:
        moved: the explanation of each scored row, if it was asked for.
    """
    served = call.served
    head: dict[str, Any] = {"pipeline": served.pipeline, "version": served.version}
    if served.model.threshold is not None:
        head["threshold"] = served.model.threshold
    if served.model.regions:
        head["coverage"] = served.model.regions.coverage
    entries = dict(zip(scored.rows, answers(served, scored), strict=True))
    if moved is not None:
        for row, inputs in zip(scored.rows, moved, strict=True):
            entries[row]["moved_by"] = inputs
    refused = reasons(call, rows, scored)
    found = [
        {"id": ids.text(identifier, row), **_entry(entries.get(row), refused.get(row))}
        for row in range(len(rows))
        if row in entries or row in refused
    ]
    if several or len(found) != 1:
        return msgspec.json.encode({**head, "predictions": found})
    return msgspec.json.encode({"id": found[0].pop("id"), **head, **found[0]})


def _entry(answer: dict[str, Any] | None, refused: list[dict[str, Any]] | None) -> dict[str, Any]:
    if answer is not None:
        return answer
    return {"prediction": None, "reasons": refused}


def reasons(
    call: Call, rows: RequestRows, scored: ScoredRequest
) -> dict[int, list[dict[str, Any]]]:
    """Return why rows were refused, by row."""
    if not scored.refusals:
        return {}
    served = call.served
    given = rows.objects()
    found: dict[int, list[dict[str, Any]]] = {}
    for one in scored.refusals:
        described = explain(one, given[one.row], served.columns, served.model.clean)
        found.setdefault(one.row, []).extend(described)
    return found
