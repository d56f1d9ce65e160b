"""What a shadow computes for a request that the champion has answered.

Both versions compute the rows one after the other in the same thread, so that their times can be
compared. When this happens, and what is done with it, belongs in `beside`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.online.answers import predictions
from factory_resources.sql.scalar.values import UndecidedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from factory_assets.serving.http.call import Call
    from factory_assets.serving.online.request_rows import RequestRows
    from factory_assets.serving.online.served_model import ScoredRequest, ServedModel

    Reading = Callable[[Call], RequestRows]
    """Returns the rows of a request, as its version reads them."""


@dataclass(frozen=True)
class ShadowAnswer:
    """What the new version computed."""

    result: ScoredRequest | str
    """What it computed, or why it did not."""
    asked: int
    """The rows of the request."""
    rows: int = 0
    """How many rows both versions scored."""
    different: int = 0
    """How many of them have another prediction."""
    seconds: float = 0.0
    champion_seconds: float = 0.0


def shadow_answer(challenger: ServedModel, call: Call, read: Reading) -> ShadowAnswer | None:
    """Score the rows of a request by both versions; None if the champion does not any more.

    Args:
        call: the request to the champion, which answered it.
    """
    try:
        asked, champion, champion_seconds = _timed(call, read)
    except Exception:  # noqa: BLE001
        # Then nothing can be said about the new version either.
        return None
    try:
        _, scored, seconds = _timed(replace(call, served=challenger), read)
    except Exception as error:  # noqa: BLE001
        # Its text may have values of the request.
        reason = error.line if isinstance(error, HttpError) else type(error).__name__
        return ShadowAnswer(reason, asked)
    if missing := {*champion.rows} - {*scored.rows}:
        return ShadowAnswer(f"{len(missing)} rows are refused that the champion answers", asked)
    before, after = _by_row(call.served, champion), _by_row(challenger, scored)
    different = sum(after[row] != value for row, value in before.items())
    return ShadowAnswer(scored, asked, len(before), different, seconds, champion_seconds)


def _timed(call: Call, read: Reading) -> tuple[int, ScoredRequest, float]:
    started = time.perf_counter()
    rows = read(call)
    try:
        scored = rows.score(call.served)
    except UndecidedError:
        scored = call.served.score(rows.objects())
    return len(rows), scored, time.perf_counter() - started


def _by_row(served: ServedModel, scored: ScoredRequest) -> dict[int, Any]:
    return dict(zip(scored.rows, predictions(served, scored), strict=True))
