"""The plain protocol that people type: rows as JSON objects, `POST /predict/{pipeline}`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from factory_assets.serving.http.call import Call
from factory_assets.serving.online.answers import answers
from factory_assets.serving.online.refusals import explain
from factory_assets.serving.online.request_rows import RequestRows
from factory_assets.serving.online.served_model import ScoredRequest
from factory_resources.prediction_log import ids

_SHOWN = 100
"""Reasons of a request that are told: rows of few bytes may break a rule of each column."""


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


def _entry(answer: dict[str, Any] | None, refused: RowReasons | None) -> dict[str, Any]:
    if answer is not None or refused is None:
        return answer or {}
    more = {"more_reasons": refused.more} if refused.more else {}
    return {"prediction": None, "reasons": refused.reasons, **more}


@dataclass
class RowReasons:
    """Why one row was refused."""

    reasons: list[dict[str, Any]]
    """Those that are among the first of the request."""
    more: int = 0
    """How many others there are."""


def reasons(call: Call, rows: RequestRows, scored: ScoredRequest) -> dict[int, RowReasons]:
    """Return why rows were refused, by row; what comes after the first reasons is counted only."""
    if not scored.refusals:
        return {}
    served, left = call.served, _SHOWN
    model = served.model
    picture = model.picture.name if model.picture else None
    given = rows.objects()
    found: dict[int, RowReasons] = {}
    for one in scored.refusals:
        shown = replace(one, rules=one.rules[:left])
        left -= len(shown.rules)
        row = found.setdefault(one.row, RowReasons([]))
        row.more += len(one.rules) - len(shown.rules)
        row.reasons += explain(shown, given[one.row], served.columns, model.clean, picture)
    return found
