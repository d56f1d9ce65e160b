"""Read what holds for one pipeline from its declaration, the records and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from factory_assets.declarations.carbon_file import green_hours
from factory_assets.execution.standing import Standing, standing_in
from factory_assets.execution.standing_text import standing_text
from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.results.base import result_as
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Champion
from factory_assets.spec import Pipeline, Schedule
from factory_assets.spec.watch import MONITOR
from factory_assets.web.pages.pipeline_state import (
    CandidateWaiting,
    DeclaredSchedule,
    Headline,
    PipelineState,
    Serving,
    Trouble,
)
from factory_resources.erasure.manifest import is_gone
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import champion_in, latest_in, stopped_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollouts import replaced_in_a_row, rollout_in
from factory_resources.ledger.watch_entries import AlarmsChanged
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records

_REPLACED = 3
"""Roll-outs in a row that were replaced, from which on a person is told."""


def read_state(pipeline: Pipeline, log: Log | None, home: Home) -> PipelineState:
    """Return the state of a pipeline.

    Args:
        log: None if there is no ledger yet.
    """
    watch, schedule = pipeline.spec.watch, pipeline.spec.schedule
    state = PipelineState(
        pipeline.name,
        pipeline.spec.purpose,
        _risk(pipeline),
        trains=pipeline.spec.train is not None,
        retrains=bool(watch and watch.retrain),
        look_job=f"{pipeline.name}_{MONITOR}" if watch else None,
        look=DeclaredSchedule(watch.look.cron, watch.look.timezone, watch.look.enabled)
        if watch
        else None,
        schedule=_schedule(schedule) if schedule else None,
    )
    if log is None:
        return state
    try:
        return _read(state, pipeline, log, home)
    except FactoryError as error:
        trouble = Trouble("records", (str(error),))
        return replace(state, troubles=(trouble,), is_readable=False)


def read_broken(name: str, problems: Sequence[str], log: Log | None, home: Home) -> PipelineState:
    """Return the state of a pipeline whose declaration is wrong: what served, serves on.

    Args:
        log: as for `read_state`.
    """
    trouble = Trouble("declaration", tuple(problems))
    state = PipelineState(name, troubles=(trouble,), is_readable=False)
    if log is None:
        return state
    try:
        serving = _serving(log, name, home)
        stopped = _stopped(name, serving, home)
    except FactoryError as error:
        return replace(state, troubles=(trouble, Trouble("records", (str(error),))))
    return replace(state, serving=serving, troubles=(trouble, *stopped))


def _read(state: PipelineState, pipeline: Pipeline, log: Log, home: Home) -> PipelineState:
    serving, records = _serving(log, pipeline.name, home), Records(home)
    deployed = records.latest(pipeline.name, "deploy")
    status = standing_in(log, pipeline, deployed) if deployed else None
    rollout = rollout_in(log, pipeline.name)
    troubles = [
        *_stopped(pipeline.name, serving, home),
        *_gates(records.latest(pipeline.name, "evaluate"), serving),
        *_rollouts(pipeline, log),
        *_alarms(pipeline, log, home),
        *_unsent(pipeline, home),
        *_unrecorded(pipeline, home),
    ]
    return replace(
        state,
        serving=serving,
        waiting=_waiting(deployed, status),
        rollout=standing_text(
            Standing("rolls out", rollout[0], rollout=rollout[1]),
            pipeline.name,
            rollout[1].version,
            home,
        )
        if rollout
        else None,
        troubles=tuple(troubles),
    )


def _schedule(declared: Schedule) -> DeclaredSchedule:
    return DeclaredSchedule(
        declared.cron, declared.timezone, declared.enabled, green_hours(declared)
    )


def _risk(pipeline: Pipeline) -> str:
    risk = pipeline.spec.risk
    return f"{risk.tier} ({risk.area})" if risk.area else risk.tier


def _serving(log: Log, pipeline: str, home: Home) -> Serving | None:
    found = champion_in(log, pipeline)
    if found is None:
        return None
    champion, records = found[1], Records(home)
    record = records.find(pipeline, "deploy", Path(champion.record).stem)
    key = next(iter(record.inputs.get("evaluate", ())), None) if record else None
    verdict = records.find(pipeline, "evaluate", key) if key else None
    return Serving(
        champion.version,
        champion.time,
        stopped_in(log, pipeline) is not None,
        headline_of(result_as(EvaluationResult, verdict)) if verdict else None,
    )


def headline_of(value: EvaluationResult) -> Headline:
    """Return the primary metric of an evaluation."""
    name = value.headline
    return Headline(name, value.metrics.get(name), value.intervals.get(name))


def _waiting(deployed: Record | None, status: Standing | None) -> CandidateWaiting | None:
    if deployed is None or status is None or status.rule is None:
        return None
    if status.status not in {"waits", "approved"}:
        return None
    return CandidateWaiting(
        result_as(Champion, deployed).version,
        status.rule.by,
        max(0, status.rule.signatures - status.given),
        status.since or deployed.finished,
        frozenset(filter(None, (one.person for one in status.counted))),
    )


def _stopped(name: str, serving: Serving | None, home: Home) -> list[Trouble]:
    if serving is None or not serving.stopped:
        return []
    # It may be a later version than the one that was champion when the person acted.
    told = f"a person stopped it; version {serving.version} serves after: factory resume {name}"
    if is_gone(home, name, serving.version):
        told = (
            f"an erasure removed the files of version {serving.version}, so that it does not "
            f"serve; train a new version: factory run {name}"
        )
    return [Trouble("stopped", (told,))]


def _gates(record: Record | None, serving: Serving | None) -> list[Trouble]:
    """Return the failed gates of the newest candidate, unless it serves nonetheless."""
    if record is None:
        return []
    value = result_as(EvaluationResult, record)
    version = value.candidate.version
    if value.passed or (serving and serving.version == version):
        return []
    failed = tuple(gate.explanation for gate in value.gates if not gate.passed)
    return [Trouble(f"gates failed by version {version}", failed)]


def _rollouts(pipeline: Pipeline, log: Log) -> list[Trouble]:
    """Return that versions come faster than they roll out, so that none becomes champion."""
    replaced = replaced_in_a_row(log, pipeline.name) if pipeline.spec.deploy.rollout else 0
    if replaced < _REPLACED:
        return []
    mode = "canary" if pipeline.spec.deploy.canary else "shadow"
    detail = (
        f"a newer version replaced each of the last {replaced} before it could become champion; "
        f"lower deploy.{mode}.for and .answers so that they end before the next training, or train "
        "less often"
    )
    return [Trouble("roll-outs do not end", (detail,))]


def _alarms(pipeline: Pipeline, log: Log, home: Home) -> list[Trouble]:
    found = latest_in(log, AlarmsChanged, AlarmsChanged.subject_of(pipeline=pipeline.name))
    if pipeline.spec.watch is None or found is None or not found[1].open:
        return []
    report = Looks(home, pipeline.name).latest()
    alarms = report.alarms if report else ()
    said: dict[str, str] = {alarm.kind: f"{alarm.what}; {alarm.remedy}" for alarm in alarms}
    return [Trouble(f"alarm: {kind}", (said.get(kind, ""),)) for kind in found[1].open]


def _unsent(pipeline: Pipeline, home: Home) -> list[Trouble]:
    """Return the alerts that no look could send: of them, nobody would know otherwise."""
    if pipeline.spec.watch is None:
        return []
    try:
        alarms = known_alarms(Looks(home, pipeline.name)).alarms
    except StorageError as error:
        return [Trouble("alerts", (str(error),))]
    return [Trouble(f"alert not sent: {one.kind}", one.unsent) for one in alarms if one.unsent]


def _unrecorded(pipeline: Pipeline, home: Home) -> list[Trouble]:
    """Return that declared outcomes could not be recorded: without them, nothing can be worse."""
    watch = pipeline.spec.watch
    if watch is None or watch.outcomes is None:
        return []
    problems = Looks(home, pipeline.name).outcome_problems()
    return [Trouble("outcomes not recorded", problems)] if problems else []
