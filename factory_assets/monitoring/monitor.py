"""A look at the answers of a champion: read what is new, compare, estimate, and say what is wrong.

What only a look with new answers needs is imported by it: most looks find nothing new.

A look is one step: a kill leaves the look before, and the next one reads the same answers again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.monitoring.alarms import (
    age_alarm,
    drift_alarm,
    performance_alarm,
    silence_alarm,
    volume_alarm,
)
from factory_assets.monitoring.answers import AnswerCounts, AnsweredRows, count_answers
from factory_assets.monitoring.champion import SEED, WatchedChampion, watched_champion
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import (
    Alarm,
    EstimatedMetric,
    MonitorReport,
    RealPerformance,
    ReportedChange,
)
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import last_outcomes
from factory_resources.outcomes.store import SETTLED
from factory_resources.prediction_log.prediction_log import PredictionLog

if TYPE_CHECKING:
    from factory_assets.monitoring.drift_states import DriftStates
    from factory_assets.monitoring.outcomes import LossComparison

_DAY = 86_400.0

_STATES = ("*.npz", "losses.json")
"""The files of a look that the next one needs."""


@dataclass(frozen=True)
class _Answers:
    """What is new since the last look."""

    requests: Sequence[tuple[bytes, int]]
    counts: AnswerCounts
    until: int
    """The last block of the log."""
    outcomes: int
    """The number of the last outcome."""
    settled: int
    """The number of the last outcome that is compared; later ones are news for the next look."""


@dataclass(frozen=True)
class _Drift:
    """What the rows of a look say about the world."""

    states: DriftStates
    findings: tuple[ReportedChange, ...]
    evidence: float
    began: int
    """The first look at this reference."""


@dataclass(frozen=True)
class _Look:
    """One look while it is taken."""

    champion: WatchedChampion
    looks: Looks
    log: PredictionLog
    before: MonitorReport | None
    """The look before."""
    now: datetime

    @property
    def same(self) -> MonitorReport | None:
        """The look before, if it was at the same version: another is compared with other rows."""
        before = self.before
        return before if before and before.version == self.champion.version else None

    @property
    def number(self) -> int:
        return self.before.number + 1 if self.before else 1

    @property
    def days(self) -> float:
        """Since the look before, or since the version serves if that is later, without the time for
        which people had stopped it."""
        return self.champion.served(self._since(self.same), self.now).total_seconds() / _DAY

    def days_since(self, report: MonitorReport | None) -> float:
        return max(0.0, (self.now - self._since(report)).total_seconds() / _DAY)

    def _since(self, report: MonitorReport | None) -> datetime:
        since = self.champion.since
        # Another version may have served in between.
        return max(since, datetime.fromisoformat(report.time)) if report else since

    @property
    def folder(self) -> Path | None:
        """Where the states of the look before are."""
        return self.looks.path(self.same.number) if self.same else None


def monitor(pipeline: Pipeline, home: Home, now: datetime | None = None) -> MonitorReport:
    """Look at what the champion answered since the last look; return what was found.

    Nothing is stored, and the last report is returned, if nothing is new; the first look at a
    version is always stored.

    Args:
        now: in UTC; by default the clock decides.

    Raises:
        DeclarationError: nothing is to be watched.
        ModelError: there is no champion, or its records are gone.
        StorageError: the log, the ledger or a look cannot be read or written.
    """
    champion, looks = watched_champion(pipeline, home), Looks(home, pipeline.name)
    with home.lock(f"watch_{pipeline.name}"), PredictionLog(home) as log:
        log.collect()
        return _take(_Look(champion, looks, log, looks.latest(), now or datetime.now(UTC)))


def _take(look: _Look) -> MonitorReport:
    answers = _new_answers(look)
    same = look.same
    rows = _sample(look, answers) if answers.counts.rows else None
    drift = _compare(look, rows) if rows else None
    news = rows is not None or answers.outcomes != (same.outcomes if same else 0)
    losses, real = _judge(look, rows) if news else (None, same.real if same else None)
    estimated = same.estimated if same else {}
    if rows is not None:
        from factory_assets.monitoring.error_cache import ErrorCache
        from factory_assets.monitoring.estimates import estimate_performance

        champion = look.champion
        estimated = estimate_performance(
            champion.pipeline,
            champion.lineage.evaluation,
            champion.tested,
            rows,
            ErrorCache(look.looks),
        )
    report = _report(look, answers, rows, drift, real, estimated)
    # The ledger may know alarms of before: what ends them has to be on the disk.
    if same and not news and not _alarms_differ(same, report):
        return same
    look.looks.store(report, lambda folder: _write(folder, look.folder, drift, losses))
    return report


def _new_answers(look: _Look) -> _Answers:
    champion = look.champion
    until = look.log.database.last_block()
    after = look.before.until if look.before else 0
    requests = champion.answered(look.log, after, until)
    outcomes = last_outcomes(champion.home, int(look.now.timestamp() * 1e6) - SETTLED)
    return _Answers(requests, count_answers(requests), until, *outcomes)


def _sample(look: _Look, answers: _Answers) -> AnsweredRows:
    return look.champion.sample(look.log, answers.requests, SEED + look.number)


def _compare(look: _Look, rows: AnsweredRows) -> _Drift:
    from factory_assets.monitoring.drift_states import ComparedRows, DriftStates

    champion = look.champion
    states = DriftStates.load(look.folder) if look.folder else DriftStates({})
    # There is no state yet if the looks before saw no rows.
    since = look.same if states.states else None
    began = since.began if since and _goes_on(since, states, champion) else look.number
    after, findings, evidence = (champion.begin() if began == look.number else states).look(
        ComparedRows(rows.inputs, rows.outputs),
        champion.classes,
        days=look.days_since(since),
        strata=champion.strata(rows),
        number=look.number,
        hidden=champion.inputs.sensitive,
    )
    return _Drift(after, findings, evidence, began)


def _goes_on(before: MonitorReport, states: DriftStates, champion: WatchedChampion) -> bool:
    """Whether what is declared now can be compared as it was in the look before."""
    seasons = champion.seasons
    return before.seasons in {None, seasons} and states.fit(
        champion.inputs, seasonal=seasons is not None
    )


def _judge(
    look: _Look, rows: AnsweredRows | None
) -> tuple[LossComparison | None, RealPerformance | None]:
    """Return what the known outcomes say; nothing if there are none."""
    from factory_assets.monitoring.outcomes import (
        LossComparison,
        known_outcomes,
        real_performance,
    )

    champion, evaluation = look.champion, look.champion.lineage.evaluation
    known = known_outcomes(
        champion.home,
        look.log,
        champion.pipeline.name,
        champion.version,
        champion.exported,
        champion.inputs,
        evaluation.candidate,
    )
    if known is None:
        return None, None
    known = replace(known, rows=champion.as_tested(known.rows))
    margin = champion.watch.worse
    losses = LossComparison.load(look.folder, margin) if look.folder else None
    losses = (losses or LossComparison.begin(margin)).after(
        known, evaluation.candidate, champion.tested, look.now
    )
    real = real_performance(champion.pipeline, evaluation, known, rows, is_worse=losses.is_worse)
    return losses, real


def _alarms_differ(before: MonitorReport, report: MonitorReport) -> bool:
    return {alarm.kind for alarm in before.alarms} != {alarm.kind for alarm in report.alarms}


def _write(
    folder: Path, before: Path | None, drift: _Drift | None, losses: LossComparison | None
) -> None:
    """Write what the next look needs; what did not change is that of the look before."""
    for file in (
        found for pattern in _STATES for found in (before.glob(pattern) if before else ())
    ):
        shutil.copy2(file, folder)
    if drift:
        drift.states.save(folder)
    if losses:
        losses.save(folder)


def _report(
    look: _Look,
    answers: _Answers,
    rows: AnsweredRows | None,
    drift: _Drift | None,
    real: RealPerformance | None,
    estimated: dict[str, EstimatedMetric],
) -> MonitorReport:
    same, counts = look.same, answers.counts
    # Without new rows, what was found before still holds.
    findings = drift.findings if drift else same.findings if same else ()
    last = _time(counts.last) or (same.last if same else None)
    return MonitorReport(
        pipeline=look.champion.pipeline.name,
        version=look.champion.version,
        number=look.number,
        began=drift.began if drift else same.began if same else look.number,
        seasons=look.champion.seasons if drift else same.seasons if same else None,
        time=look.now.isoformat(timespec="seconds"),
        days=look.days,
        until=answers.until,
        outcomes=answers.settled,
        requests=counts.requests,
        refused=counts.refused,
        rows=counts.rows,
        sampled=len(rows.ids) if rows else 0,
        first=_time(counts.first),
        last=last,
        evidence=drift.evidence if drift else same.evidence if same else 0.0,
        findings=findings,
        hidden=look.champion.inputs.hidden if rows else same.hidden if same else (),
        estimated=estimated,
        real=real,
        alarms=_alarms(look, findings, real, counts.rows, last),
    )


def _alarms(
    look: _Look,
    findings: tuple[ReportedChange, ...],
    real: RealPerformance | None,
    rows: int,
    last: str | None,
) -> tuple[Alarm, ...]:
    champion, same = look.champion, look.same
    pipeline, watch, since = champion.pipeline, champion.watch, champion.since
    before = (one for one in look.looks.newest_first() if same and one.version == same.version)
    answered = max(since, datetime.fromisoformat(last)) if last else since
    return (
        *drift_alarm(pipeline, watch, findings),
        *performance_alarm(pipeline, real),
        *volume_alarm(pipeline, watch, before, rows, look.days),
        *silence_alarm(pipeline, watch, answered, champion.served(answered, look.now)),
        *age_alarm(pipeline, watch, champion.exported, look.now),
    )


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
