"""The versions of a pipeline as a time line: what each was made from, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from factory_assets.results.base import result_as
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.web.auditor.index import AuditIndex, IndexedAct
from factory_assets.web.auditor.records import CountedRecords
from factory_assets.web.auditor.remembered import Remembered
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelTrained, RunStarted, VerdictGiven
from factory_resources.ledger.ledger import entry_in, latest_in
from factory_resources.ledger.log import Log

PAGE = 50
"""Versions on one page."""

_METRICS = 4
"""Metrics of a line, the primary one first."""

_REMEMBERED = 5_000
"""Versions whose records need not be read again."""


@dataclass(frozen=True)
class TestMetric:
    """A metric of a version on its test rows."""

    name: str
    value: float
    interval: tuple[float, float] | None
    """95 %."""


@dataclass(frozen=True)
class ServedPeriod:
    """A time in which a version was the champion."""

    since: str
    until: str | None
    """None if it still is."""
    number: int
    """The entry by which it began."""
    stopped: str = ""
    """Since when a person has stopped it; empty if nobody has, or if it is over."""


@dataclass(frozen=True)
class VersionLine:
    """One version."""

    pipeline: str
    version: int
    trained: str
    """UTC, ISO 8601."""
    number: int
    """The entry by which it exists."""
    data_version: str | None
    """Of the split; None if the record of the training is gone."""
    code: str | None
    """The digest of the code of `train`."""
    declaration: str | None
    """The digest of the whole declaration."""
    verdict: Literal["passed", "failed", "not evaluated"]
    gates: tuple[tuple[str, bool], ...]
    metrics: tuple[TestMetric, ...]
    decisions: tuple[IndexedAct, ...] = ()
    periods: tuple[ServedPeriod, ...] = ()
    rollouts: tuple[IndexedAct, ...] = ()
    """When it began beside the champion, and how that ended, in order."""

    @property
    def name(self) -> str:
        return f"{self.pipeline}@{self.version}"

    @property
    def passed(self) -> int:
        """How many gates it passed."""
        return sum(passed for _, passed in self.gates)

    @property
    def serves(self) -> bool:
        """Whether it is the champion."""
        return any(period.until is None for period in self.periods)


class TimeLines:
    """The time lines of one home; may be used by several threads.

    Entries and records never change, so what they say of a version is read once for each verdict.
    """

    def __init__(self, home: Home, index: AuditIndex) -> None:
        self._home, self._index = home, index
        self._lines = Remembered[tuple[str, int, int], VersionLine](_REMEMBERED)
        """By pipeline, version, and the entry with its last verdict."""

    def lines(self, log: Log, pipeline: str, versions: Iterable[int]) -> list[VersionLine]:
        """Return what is known of versions, which exist."""
        made, changed = (self._index.acts(pipeline, kind) for kind in ("champion", "serving"))
        periods = served_periods(made, changed)
        return [
            replace(
                self._line(log, pipeline, version),
                decisions=tuple(self._index.acts(pipeline, "approval", version)),
                periods=periods.get(version, ()),
                rollouts=self._rollouts(pipeline, version),
            )
            for version in versions
        ]

    def champion(self, pipeline: str) -> IndexedAct | None:
        """Return the entry by which the present champion serves."""
        return next(reversed(self._index.acts(pipeline, "champion")), None)

    def _rollouts(self, pipeline: str, version: int) -> tuple[IndexedAct, ...]:
        kinds = ("rollout", "rollout_ended")
        found = (act for kind in kinds for act in self._index.acts(pipeline, kind, version))
        return tuple(sorted(found, key=lambda act: act.number))

    def _line(self, log: Log, pipeline: str, version: int) -> VersionLine:
        verdicts = self._index.acts(pipeline, "verdict", version)
        key = (pipeline, version, verdicts[-1].number if verdicts else -1)
        return self._lines.get(key, lambda: self._read(log, pipeline, version, verdicts))

    def _read(
        self, log: Log, pipeline: str, version: int, verdicts: Sequence[IndexedAct]
    ) -> VersionLine:
        act = self._index.acts(pipeline, "model_version", version)[-1]
        trained = entry_in(log, act.number)
        assert isinstance(trained, ModelTrained)
        records = CountedRecords(self._home, log)
        found = records.find(trained.record)
        parts = found.record.parts if found else {}
        run = RunStarted.subject_of(run=found.record.run_id) if found else ""
        started = latest_in(log, RunStarted, run) if found else None
        verdict = entry_in(log, verdicts[-1].number) if verdicts else None
        given = verdict if isinstance(verdict, VerdictGiven) else None
        evaluated = records.find(given.record) if given else None
        return VersionLine(
            pipeline,
            version,
            trained.time,
            act.number,
            parts.get("inputs", {}).get("split"),
            parts.get("code"),
            started[1].declaration if started else None,
            "not evaluated" if given is None else "passed" if given.passed else "failed",
            tuple(given.gates.items()) if given else (),
            _metrics(result_as(EvaluationResult, evaluated.record)) if evaluated else (),
        )


def served_periods(
    acts: Sequence[IndexedAct], changed: Sequence[IndexedAct]
) -> dict[int, tuple[ServedPeriod, ...]]:
    """Return when each version was the champion.

    Args:
        acts: all entries of the kind `champion` of a pipeline, in order.
        changed: those of the kind `serving`.
    """
    stopped = next((act.time for act in changed[-1:] if act.detail == "stopped"), "")
    periods: dict[int, tuple[ServedPeriod, ...]] = {}
    for place, act in enumerate(acts):
        until = acts[place + 1].time if place + 1 < len(acts) else None
        assert act.version is not None
        known = periods.get(act.version, ())
        period = ServedPeriod(act.time, until, act.number, "" if until else stopped)
        periods[act.version] = (*known, period)
    return periods


def _metrics(value: EvaluationResult) -> tuple[TestMetric, ...]:
    names = dict.fromkeys([value.headline, *value.intervals])
    return tuple(
        TestMetric(name, value.metrics[name], value.intervals.get(name))
        for name in [name for name in names if name in value.metrics][:_METRICS]
    )
