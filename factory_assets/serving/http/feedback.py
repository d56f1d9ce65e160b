"""`POST /feedback`: what turned out to be true of answers, on disk before it is acknowledged.

What can be recorded is decided in `serving.feedback`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from factory_assets.serving.feedback.recorder import (
    FeedbackResult,
    OutcomeRecorder,
    SentOutcome,
)
from factory_assets.serving.http.access import Access
from factory_assets.serving.http.call import read_body
from factory_assets.serving.http.errors import HttpError, malformed
from factory_assets.serving.http.limits import LimitedThread, Limits
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.http.rows import parse_json, require_count
from factory_resources.security.peer_user import Peer
from factory_resources.security.request_guard import Message, Receive

PATH = "/feedback"

_REMEDY = 'send {"id": "...", "outcome": ...}, or a list of them'

_KEYS = ("id", "outcome", "observed")


class FeedbackDesk:
    """Takes outcomes.

    Args:
        recorder: used by the thread alone.
        thread: one thread, so that predictions need not wait for a look-up.
    """

    def __init__(
        self,
        recorder: OutcomeRecorder,
        access: Access,
        metrics: Metrics,
        limits: Limits,
        thread: Executor,
    ) -> None:
        self._recorder, self._access, self._metrics = recorder, access, metrics
        self._limits = limits
        self._thread = LimitedThread(thread, limits.waiting, "too many requests with outcomes wait")

    @staticmethod
    def is_asked(scope: Message) -> bool:
        """Whether a request sends outcomes."""
        return bool(scope["path"] == PATH and scope["method"] == "POST")

    async def answer(self, headers: dict[bytes, bytes], peer: Peer, receive: Receive) -> bytes:
        """Record the outcomes of a request; return what became of each, as JSON.

        Raises:
            HttpError: the request cannot be read or is not allowed, or nothing in it can be
                recorded.
            StorageError: nothing of it was recorded.
        """
        token = self._access.token(headers, peer)
        body = await read_body(receive, headers, self._limits)
        items, several = read_outcomes(body, self._limits)
        caller = token.name if token else ""

        def may(pipeline: str) -> bool:
            return token is None or token.may_call(pipeline)

        counts, answer = await self._thread.run(lambda: self._record(items, several, caller, may))
        self._metrics.fed_back(counts)
        if isinstance(answer, HttpError):
            raise answer
        return answer

    def _record(
        self, items: Sequence[Any], several: bool, caller: str, may: Callable[[str], bool]
    ) -> tuple[Counter[tuple[str, str]], bytes | HttpError]:
        """Return how many outcomes of each pipeline were recorded or refused, and the answer."""
        sent = [_sent(item) for item in items]
        good = [one for one in sent if isinstance(one, SentOutcome)]
        recorded = iter(self._recorder.record(good, "http", caller, may) if good else ())
        results = [one if isinstance(one, FeedbackResult) else next(recorded) for one in sent]
        counts = Counter[tuple[str, str]](
            (one.pipeline, one.decision or "refused") for one in results
        )
        if not any(one.decision for one in results):
            return counts, _nothing(results)
        found = [_shown(item, result) for item, result in zip(items, results, strict=True)]
        content = {"outcomes": found, **_counts(results)} if several else found[0]
        return counts, msgspec.json.encode(content)


def read_outcomes(body: bytes, limits: Limits) -> tuple[list[Any], bool]:
    """Return the items of a request, and whether they were a list.

    Raises:
        HttpError: the body is not JSON, or neither an object nor a list; or the list is empty or
            too long.
    """
    found = parse_json(body, _REMEDY)
    if isinstance(found, dict):
        return [found], False
    if not isinstance(found, list):
        raise malformed("the body is not an outcome or a list of outcomes", _REMEDY)
    require_count(len(found), limits)
    return found, True


def _sent(item: Any) -> SentOutcome | FeedbackResult:
    if not isinstance(item, dict) or "id" not in item or "outcome" not in item:
        return FeedbackResult(None, error=f"this is not an outcome; {_REMEDY}")
    if unknown := sorted(item.keys() - {*_KEYS}):
        name = repr(unknown[0][:40])
        return FeedbackResult(None, error=f"{name} is unknown; send {', '.join(_KEYS)} only")
    return SentOutcome(item["id"], item["outcome"], item.get("observed"))


def _shown(item: Any, result: FeedbackResult) -> dict[str, Any]:
    name = {"id": item["id"]} if isinstance(item, dict) and isinstance(item.get("id"), str) else {}
    return {**name, **({"status": result.decision} if result.decision else {"error": result.error})}


def _counts(results: Sequence[FeedbackResult]) -> dict[str, int]:
    counts = Counter(result.decision or "refused" for result in results)
    return {kind: counts[kind] for kind in ("recorded", "repeated", "corrected", "refused")}


def _nothing(results: Sequence[FeedbackResult]) -> HttpError:
    reasons = [{"item": place, "error": one.error} for place, one in enumerate(results)]
    if len(results) == 1:
        return HttpError(422, "contract", results[0].error)
    what = f"none of the {len(results):,} outcomes can be recorded"
    return HttpError(422, "contract", what, "`reasons` says why", reasons=reasons)
