"""Read the rows of a request from JSON, by the names that the columns have in the source."""

from __future__ import annotations

from codecs import BOM_UTF8
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
        HttpError: the body is not JSON, or not rows.
    """
    if decoder is not None:
        try:
            decoded = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # What exactly is wrong with it is found below, or by the engine.
            decoded = None
        if isinstance(decoded, list):
            require_count(len(decoded), limits)
            return CompiledRequest(decoded), True
        if decoded is not None:
            return CompiledRequest((decoded,)), False
    found = parse_json(body)
    if isinstance(found, dict):
        return ObjectRequest((found,)), False
    return ObjectRequest(require_objects(found, limits)), True


def parse_json(body: bytes, remedy: str = _REMEDY) -> Any:
    """Return the value of a JSON text.

    Args:
        remedy: what to send instead of something else.

    Raises:
        HttpError: it is not JSON.
    """
    if not body:
        raise malformed("the body is empty", remedy)
    try:
        # Editors of Windows write the mark before the text.
        return msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except RecursionError as error:
        raise nested(remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise malformed(f"the body is not JSON: {reason}", remedy) from error


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
