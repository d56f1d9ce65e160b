"""Read the rows of a request from JSON, by the names that the columns have in the source."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import Counter
from typing import Any

import msgspec

from factory_assets.serving.http.errors import HttpError, malformed
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.online.request_rows import CompiledRequest, ObjectRequest, RequestRows

_REMEDY = 'send one row as {"column": value, ...}, or a list of rows'


def read_rows(
    body: bytes, decoder: msgspec.json.Decoder[Any] | None, limits: Limits
) -> tuple[RequestRows, bool]:
    """Return one row or a list of rows, and whether it was a list.

    Raises:
        HttpError: the body is not JSON, or not rows, or an object has a key twice.
    """
    if decoder is not None:
        try:
            decoded = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # What exactly is wrong with it is found below, or by the engine.
            decoded = None
        if decoded is not None:
            several = isinstance(decoded, list)
            rows = decoded if several else (decoded,)
            require_count(len(rows), limits)
            # Most bodies have the keys of the contract, and no colon but those behind them.
            if body.count(b":") > len(rows) * _required_keys(rows[0]):
                require_distinct_keys(body)
            return CompiledRequest(rows), several
    found = parse_json(body)
    if isinstance(found, dict):
        return ObjectRequest((found,)), False
    return ObjectRequest(require_objects(found, limits)), True


def parse_json(body: bytes, remedy: str = _REMEDY) -> Any:
    """Return the value of a JSON text.

    Args:
        remedy: what to send instead of something else.

    Raises:
        HttpError: it is not JSON, or an object has a key twice.
    """
    if not body:
        raise malformed("the body is empty", remedy)
    # Editors of Windows write the mark before the text.
    text = body.removeprefix(BOM_UTF8)
    try:
        found = msgspec.json.decode(text)
        require_distinct_keys(text)
    except RecursionError as error:
        raise nested(remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise malformed(f"the body is not JSON: {reason}", remedy) from error
    return found


def require_distinct_keys(body: bytes) -> None:
    """Require that no object of a JSON text has a key twice: readers differ in which one counts.

    Sources are refused for it, too.

    Raises:
        HttpError: one has.
        RecursionError: it has too many levels.
    """
    # Without keys, there is nothing to compare: millions of empty objects would take a second.
    if body.count(b":") < 2:
        return
    # What is in a key that nobody reads need not be UTF-8; numbers may have any size.
    text = body.decode("utf-8", "surrogateescape")
    json.loads(text, object_pairs_hook=_distinct, parse_int=str, parse_float=str, strict=False)


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise malformed(f"the key {name[:40]!r} is sent twice", "send each key once")


def _required_keys(row: msgspec.Struct) -> int:
    return len(row.__struct_fields__) - len(row.__struct_defaults__)


def nested(remedy: str = _REMEDY) -> HttpError:
    """Return the error of a JSON text that has too many levels."""
    return malformed("the JSON is nested too deeply", remedy)


def require_objects(found: Any, limits: Limits) -> list[dict[str, Any]]:
    """Return a list of JSON objects.

    Raises:
        HttpError: it is something else, or too long.
    """
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise malformed("the body is not a row or a list of rows", _REMEDY)
    require_count(len(found), limits)
    return found


def require_count(rows: int, limits: Limits) -> None:
    """Require at least one row, and not too many.

    Raises:
        HttpError: there are none, or more than a request may have.
    """
    if not rows:
        raise malformed("there is no row", "send at least one")
    if rows > limits.rows:
        raise HttpError(
            413,
            "too_large",
            f"{rows:,} rows are more than a request may have",
            f"send at most {limits.rows:,} at once",
        )
