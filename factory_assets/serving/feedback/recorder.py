"""Record what was sent: find the answers, check the values, and store what is new.

Reading requests belongs in `serving.http`, reading files in `table`; what recording one again does
is decided in `factory_resources.outcomes`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import connection_faults
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.outcome import Decision, Feedback, Source
from factory_resources.outcomes.target_values import WrongOutcomeError
from factory_resources.outcomes.targets import Targets
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import answered_rows
from factory_resources.prediction_log.lookup import AnswerFacts
from factory_resources.prediction_log.prediction_log import PredictionLog

if TYPE_CHECKING:
    from factory_resources.outcomes.store import OutcomeStore

CLOCKS = 60_000_000
"""Microseconds by which the clock of a sender may differ from that of the factory."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND = timedelta(microseconds=1)

_DAY = timedelta(days=1) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class SentOutcome:
    """What was sent of one row; nothing of it was checked."""

    id: Any
    """The id that came with the answer."""
    value: Any
    observed: Any = None
    """When it turned out: a text in ISO 8601, a time or a day; None for now."""


@dataclass(frozen=True, slots=True)
class FeedbackResult:
    """What became of one outcome that was sent."""

    decision: Decision | None
    """None if it was refused."""
    pipeline: str = ""
    """Empty if no answer has the id."""
    error: str = ""
    """Why it was refused, and what to do, in one line without values."""


class RefusedOutcomeError(Exception):
    """Why one outcome cannot be recorded, and of which pipeline it is, if known."""

    def __init__(self, why: str, pipeline: str = "") -> None:
        super().__init__(why)
        self.pipeline = pipeline


JudgedOutcome = Feedback | RefusedOutcomeError
"""What can be recorded, or why it cannot."""


class OutcomeRecorder:
    """Records outcomes in one home, used by one thread.

    Connections stay open until it is closed.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._targets = home, Targets(home)
        self._log = PredictionLog(home)
        self._opened: OutcomeStore | None = None

    def close(self) -> None:
        """Close the databases; what is recorded later opens them again."""
        self._log.close()
        if self._opened:
            self._opened.database.close()
            self._opened = None

    def judge(
        self, sent: Sequence[SentOutcome], source: Source, caller: str, may: Callable[[str], bool]
    ) -> list[JudgedOutcome]:
        """Return for each outcome what can be recorded, or why it cannot.

        Args:
            may: whether outcomes of a pipeline are taken.

        Raises:
            StorageError: the answers cannot be read.
        """
        now = time.time_ns() // 1000
        parsed = [*map(_parsed, sent)]
        requests = {ids.request_of(one)[0] for one in parsed if isinstance(one, bytes)}
        facts = self._log.facts(requests)
        answered = self._answered(facts)
        found: list[JudgedOutcome] = []
        for one, identifier in zip(sent, parsed, strict=True):
            try:
                if isinstance(identifier, RefusedOutcomeError):
                    raise identifier
                answer = _answer(identifier, facts, may)
                _require_answered(identifier, answered, answer.pipeline)
                value = self._value(one.value, answer)
                observed = _observed(one.observed, identifier, now, answer.pipeline)
                row = Feedback(identifier, answer.pipeline, value, observed, source, caller)
                found.append(row)
            except RefusedOutcomeError as error:
                found.append(error)
        return found

    def record(
        self, sent: Sequence[SentOutcome], source: Source, caller: str, may: Callable[[str], bool]
    ) -> list[FeedbackResult]:
        """Record those outcomes that can be, durably; return what became of each.

        Raises:
            StorageError: nothing of it was recorded.
        """
        judged = self.judge(sent, source, caller, may)
        decisions = iter(self.store(judged))
        return [
            FeedbackResult(next(decisions), one.pipeline)
            if isinstance(one, Feedback)
            else FeedbackResult(None, one.pipeline, str(one))
            for one in judged
        ]

    def store(self, judged: Sequence[JudgedOutcome]) -> list[Decision]:
        """Record what can be, and count the rest; return what each of those is.

        Raises:
            StorageError: nothing of it was recorded.
        """
        refused = Counter(one.pipeline for one in judged if isinstance(one, RefusedOutcomeError))
        with connection_faults(self._home, self.close):
            if self._opened is None:
                self._opened = open_outcomes(self._home)
            good = [one for one in judged if isinstance(one, Feedback)]
            return self._opened.add(good, refused)

    def _answered(self, facts: Mapping[bytes, AnswerFacts]) -> dict[bytes, Collection[int]]:
        """Return which rows of these requests got an answer; the others may have an id as well."""
        requests = {request for request, one in facts.items() if one.rows}
        return {request: answered_rows(one) for request, one in self._log.records(requests)}

    def _value(self, value: Any, answer: AnswerFacts) -> str:
        try:
            return self._targets.of(answer.pipeline, answer.version).read(value)
        except (WrongOutcomeError, ModelError) as error:
            raise RefusedOutcomeError(str(error), answer.pipeline) from error


def _parsed(sent: SentOutcome) -> bytes | RefusedOutcomeError:
    try:
        return ids.parse(sent.id if isinstance(sent.id, str) else "")
    except UnknownNameError:
        return RefusedOutcomeError(
            "this is not the id of an answer; send the one that came with the answer"
        )


def _answer(
    identifier: bytes, facts: Mapping[bytes, AnswerFacts], may: Callable[[str], bool]
) -> AnswerFacts:
    request, row = ids.request_of(identifier)
    answer = facts.get(request)
    if answer is None or not may(answer.pipeline) or row >= max(1, answer.rows):
        # Who may not send outcomes of a pipeline does not learn which ids it has.
        raise RefusedOutcomeError(
            "no answer has this id, or one of another pipeline; send the id that came with it"
        )
    if not answer.rows:
        raise RefusedOutcomeError(
            "the request with this id was refused, so that there is no answer", answer.pipeline
        )
    return answer


def _require_answered(
    identifier: bytes, answered: Mapping[bytes, Collection[int]], pipeline: str
) -> None:
    request, row = ids.request_of(identifier)
    if row not in answered.get(request, ()):
        raise RefusedOutcomeError(
            "the row with this id got no answer; leave it out, or send the id of another", pipeline
        )


def _observed(given: Any, identifier: bytes, now: int, pipeline: str) -> int | None:
    """Return a time in microseconds since 1970.

    Of the day of the answer it is the time of the answer: the same whenever it is sent again.
    """
    if given is None:
        return None
    found = time_span(given)
    if found is None:
        raise RefusedOutcomeError(
            "observed is not a time; write it in ISO 8601, as 2026-11-20T10:00:00Z", pipeline
        )
    first, last = found
    if first > now + CLOCKS:
        raise RefusedOutcomeError("observed is in the future; send what has turned out", pipeline)
    answered = ids.time_of(identifier)
    if last < answered - CLOCKS:
        raise RefusedOutcomeError(
            "observed is before the answer; send when it turned out, or leave it out", pipeline
        )
    return max(first, min(last, answered))


def time_span(given: Any) -> tuple[int, int] | None:
    """Return the first and the last microsecond since 1970 of a day, or of a time, which is both.

    It is in UTC unless it has an offset; None if it is neither.
    """
    try:
        if (day := _day(given)) is not None:
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            first = (start - _EPOCH) // _MICROSECOND
            return first, first + _DAY - 1
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        if not isinstance(moment, datetime):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        found = (moment - _EPOCH) // _MICROSECOND
        return found, found
    except (ValueError, OverflowError):
        return None


def _day(given: Any) -> date | None:
    if isinstance(given, str):
        with suppress(ValueError):
            return date.fromisoformat(given)
    return given if isinstance(given, date) and not isinstance(given, datetime) else None
