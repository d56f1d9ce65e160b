"""MLflow's scoring protocol: `dataframe_split`, `dataframe_records`, `inputs` and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec

from factory_assets.serving.http.call import Call
from factory_assets.serving.http.errors import HttpError, malformed
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import parse_json, require_count, require_objects
from factory_assets.serving.online.answers import predictions, regions
from factory_assets.serving.online.request_rows import (
    CompiledRequest,
    ObjectRequest,
    RequestRows,
)
from factory_assets.serving.online.served_model import ScoredRequest
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import LOGGED_REGIONS

_SHAPES = ("dataframe_split", "dataframe_records", "inputs", "instances")

_REMEDY = f"send one of: {', '.join(_SHAPES)}"


def read(call: Call, limits: Limits) -> RequestRows:
    """Return the rows of a body.

    Raises:
        HttpError: it is of another type or shape.
    """
    given = call.headers.get(b"content-type", b"application/json")
    kind = given.partition(b";")[0].strip().lower()
    if kind == b"text/csv":
        return ObjectRequest(_csv(call.body, limits))
    if kind != b"application/json":
        what = f"the header content-type is {kind.decode('latin-1')!r}"
        raise HttpError(415, "malformed", what, "send application/json or text/csv")
    found = parse_json(call.body)
    if not isinstance(found, dict):
        raise malformed("the body is not a JSON object", _REMEDY)
    shapes = [shape for shape in _SHAPES if shape in found]
    if len(shapes) != 1:
        raise malformed(f"the body has {len(shapes)} of the known keys, not one", _REMEDY)
    content = found[shapes[0]]
    match shapes[0]:
        case "dataframe_split":
            rows = _split(content, limits)
        case "dataframe_records":
            rows = require_objects(content, limits)
        case _ if isinstance(content, list):
            rows = require_objects(content, limits)
        case _:
            rows = _columns(content, limits)
    return _recoded(call, rows)


def _recoded(call: Call, rows: list[dict[str, Any]]) -> RequestRows:
    """Return rows as the compiled contract has them, if they satisfy it."""
    if call.served.compiled is None:
        return ObjectRequest(rows)
    kind = call.served.compiled.schema.row
    try:
        return CompiledRequest(msgspec.convert(rows, list[kind]))  # type: ignore[valid-type]
    except msgspec.ValidationError:
        return ObjectRequest(rows)


def _split(content: Any, limits: Limits) -> list[dict[str, Any]]:
    if not isinstance(content, Mapping):
        raise malformed("dataframe_split is not an object", 'write {"columns": [...], "data": ...}')
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        raise malformed("dataframe_split lacks `columns` or `data`", "send both as lists")
    require_count(len(data), limits)
    names = _unique([str(name) for name in columns])
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise malformed(
                f"row {number} of dataframe_split does not have {len(names)} values",
                "send one value for each column",
            )
    return [dict(zip(names, row, strict=True)) for row in data]


def _unique(names: list[str]) -> list[str]:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise malformed(f"column {name!r} is sent twice", "send each column once")
        seen.add(name)
    return names


def _columns(content: Any, limits: Limits) -> list[dict[str, Any]]:
    if not isinstance(content, Mapping) or not all(
        isinstance(values, list) for values in content.values()
    ):
        raise malformed("`inputs` is not a mapping of columns", 'write {"column": [values]}')
    sizes = {len(values) for values in content.values()}
    if len(sizes) > 1:
        raise malformed("the columns of `inputs` differ in length", "send as many values of each")
    require_count(max(sizes, default=0), limits)
    flat = {name: [_flat(value) for value in values] for name, values in content.items()}
    return [dict(zip(flat, row, strict=True)) for row in zip(*flat.values(), strict=True)]


def _flat(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _csv(body: bytes, limits: Limits) -> list[dict[str, Any]]:
    try:
        text = io.StringIO(body.decode("utf-8-sig"), newline="")
        # No more than what shows that there are too many: a line takes more room than its text.
        lines = [*islice(filter(None, csv.reader(text, strict=True)), limits.rows + 2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise malformed(f"the body is not CSV in UTF-8: {error}", "send a header and rows") from (
            error
        )
    require_count(max(0, len(lines) - 1), limits)
    names = _unique(lines[0])
    for number, line in enumerate(lines[1:]):
        if len(line) != len(names):
            raise malformed(
                f"row {number} has {len(line)} cells, the header {len(names)}",
                "send one value for each column",
            )
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def encode(call: Call, scored: ScoredRequest, identifier: bytes) -> bytes:
    """Return MLflow's answer; the ids of the predictions are beside them."""
    return msgspec.json.encode(
        {
            "predictions": predictions(call.served, scored),
            "prediction_ids": [ids.text(identifier, row) for row in scored.rows],
            "version": call.served.version,
            **{LOGGED_REGIONS[n]: values for n, values in regions(call.served, scored).items()},
        }
    )
