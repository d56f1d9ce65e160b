"""Find out the state of a factory, without Dagster and without anything that changes the home.

What is read of pipelines is left for the next call, so that only what changed is read again.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from factory_assets.cli.running import running_address
from factory_assets.cli.status.home_needs import home_needs
from factory_assets.cli.status.report import (
    Backup,
    Disk,
    EndedRun,
    FactoryStatus,
    Need,
    NextRun,
    OpenRun,
    WaitingVersion,
    Watched,
    Witnesses,
)
from factory_assets.cron import next_tick
from factory_assets.declarations.folders import settings_file
from factory_assets.execution.disk_watermark import declared_keep
from factory_assets.web.pages.pipeline_state import DeclaredSchedule, PipelineState
from factory_assets.web.pages.pipeline_states import PipelineStates
from factory_assets.web.pages.waits import trainings_put_off, waits_of
from factory_resources.home.disk_space import disk_space, growth, samples
from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive
from factory_resources.home.serving_faults import serving_faults
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.registry import Registry, alias_moved
from factory_resources.tracking.run_history import (
    PROCESS_TAG,
    StoredRun,
    started_by,
    stored_runs,
    switched_schedules,
)

_NIGHT = timedelta(hours=24)

_SOON = 7.0
"""Days before the disk is full within which a person is told."""


def read_status(home: Home, now: datetime) -> FactoryStatus:
    """Return the state of the factory.

    Raises:
        StorageError: a database of the home cannot be read.
        DeclarationError: `factory.yaml` is wrong.
    """
    states = PipelineStates(home)
    states.load()
    pipelines = states.all()
    states.store()
    runs = stored_runs(home, now - _NIGHT)
    switched = switched_schedules(home)
    last, next_runs = [*_last_runs(runs)], [*_next_runs(pipelines, switched, now)]
    disk, address = _disk(home, now), running_address(home)
    witnesses, entries, backup = _ledger(home, now)
    waiting = [
        WaitingVersion(pipeline=wait.pipeline, version=wait.version, text=wait.text, role=wait.role)
        for wait in (
            *(wait for state in pipelines for wait in waits_of(state)),
            *trainings_put_off(pipelines, home),
        )
    ]
    registry = Registry(home)
    known = registry.versions()
    needs = [
        *_troubles(pipelines),
        *_deleted(pipelines, known),
        # Without a ledger, the alias itself says which version serves.
        *(_moved(pipelines, known, registry.aliases()) if entries else ()),
        *_not_served(home),
        *_failures(last, pipelines),
        *_asked(waiting),
        *home_needs(home, entries, now),
        *_machine(disk, witnesses),
        *_not_up(len(next_runs) + _looks(pipelines, switched), address),
    ]
    return FactoryStatus(
        form=1,
        time=_text(now),
        home=str(home.path),
        address=address,
        pipelines=len(pipelines),
        serving=sum(1 for state in pipelines if state.serving and not state.serving.stopped),
        undeclared=_undeclared(pipelines, known, registry),
        running=tuple(_open(run) for run in runs if run.state == "running"),
        queued=tuple(_open(run) for run in runs if run.state == "queued"),
        night=tuple(last),
        next=tuple(next_runs),
        watched=tuple(_watched(state, home) for state in pipelines if state.look_job),
        waiting=tuple(waiting),
        disk=disk,
        entries=entries,
        witnesses=witnesses,
        backup=backup,
        needs=tuple(needs),
    )


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(seconds: float) -> str:
    return _text(datetime.fromtimestamp(seconds, UTC))


def _open(run: StoredRun) -> OpenRun:
    since = _moment(run.started) if run.started else run.created
    identity = run.tags.get(PROCESS_TAG)
    return OpenRun(
        run=run.run_id,
        pipelines=run.pipelines,
        since=since,
        by=started_by(run.tags),
        is_alive=run.state == "queued" or identity is None or is_alive(identity),
    )


def _last_runs(runs: Iterable[StoredRun]) -> Iterator[EndedRun]:
    """Yield the last run of each pipeline that has ended, by name.

    Not one whose process died, if it is retried: that is not over.
    """
    last: dict[str, StoredRun] = {}
    for run in runs:
        if run.is_over:
            last.update(dict.fromkeys(run.pipelines, run))
    for name, run in sorted(last.items()):
        yield EndedRun(
            pipeline=name,
            run=run.run_id,
            state=run.state,
            ended=_moment(run.ended) if run.ended else None,
            by=started_by(run.tags),
        )


def _next_runs(
    pipelines: Sequence[PipelineState], switched: Mapping[str, bool], now: datetime
) -> list[NextRun]:
    ticks: dict[DeclaredSchedule, datetime | None] = {}
    found: list[tuple[datetime, str]] = []
    for state in pipelines:
        one = state.schedule
        if one is None or not switched.get(f"{state.name}_schedule", one.enabled):
            continue
        if one not in ticks:
            ticks[one] = _next_time(one, now)
        if tick := ticks[one]:
            found.append((tick, state.name))
    return [NextRun(pipeline=name, at=_text(tick)) for tick, name in sorted(found)]


def _next_time(schedule: DeclaredSchedule, now: datetime) -> datetime | None:
    if schedule.green:
        chosen = schedule.green.next(now)
        return chosen.at if chosen else None
    return next_tick(schedule.cron, schedule.timezone, now) if schedule.cron else None


def _looks(pipelines: Iterable[PipelineState], switched: Mapping[str, bool]) -> int:
    """Return how many schedules look at the answers of a version that serves."""
    return sum(
        switched.get(f"{state.look_job}_schedule", state.look.enabled)
        for state in pipelines
        if state.look and state.serving and not state.serving.stopped
    )


def _watched(state: PipelineState, home: Home) -> Watched:
    try:
        # Each look gets its name there when it is complete.
        last = _moment(os.stat(home.watch / state.name).st_mtime)
    except OSError:
        last = None
    prefix = "alarm: "
    alarms = (one.what for one in state.troubles if one.what.startswith(prefix))
    return Watched(
        pipeline=state.name,
        last_look=last,
        alarms=tuple(alarm.removeprefix(prefix) for alarm in alarms),
    )


def _disk(home: Home, now: datetime) -> Disk:
    space = disk_space(home)
    keep, grows = space.floor(declared_keep()), growth(samples(home), space.free, now)
    return Disk(
        total=space.total,
        free=space.free,
        keep=keep,
        grows_per_day=grows,
        days_left=max(0.0, (space.free - keep) / grows) if grows and grows > 0 else None,
    )


def _ledger(home: Home, now: datetime) -> tuple[Witnesses | None, int, Backup | None]:
    """Return what witnesses have seen of the ledger, its entries, and the last backup."""
    ledger = Ledger(home)
    if not ledger.exists:
        return None, 0, None
    with ledger.reading() as log:
        entries = log.size
    made = ledger.latest(BackupMade, BackupMade.subject_of())
    backup = (
        Backup(at=made[1].time, entries=made[1].size, files=made[1].files, bytes=made[1].bytes)
        if made
        else None
    )
    return _witnesses(home, now), entries, backup


def _witnesses(home: Home, now: datetime) -> Witnesses | None:
    if not settings_file().exists():
        return None
    # It reads declarations, whose form takes a quarter of a second to import.
    from factory_assets.execution.ledger_state import ledger_state

    state = ledger_state(home)
    if state is None:
        return None
    seen = state.witnesses
    return Witnesses(
        entries=seen.size,
        seen=seen.seen,
        last=_moment(seen.time) if seen.time else None,
        is_overdue=state.is_overdue(now),
    )


def _troubles(pipelines: Iterable[PipelineState]) -> Iterator[Need]:
    for state in pipelines:
        for trouble in state.troubles:
            yield Need(what=trouble.what, pipeline=state.name, details=trouble.details)


def _undeclared(
    pipelines: Iterable[PipelineState], known: Iterable[str], registry: Registry
) -> tuple[str, ...]:
    declared = {state.name for state in pipelines}
    return tuple(name for name in sorted(known) if name not in declared and registry.serving(name))


def _deleted(
    pipelines: Iterable[PipelineState], known: Mapping[str, Collection[int]]
) -> Iterator[Need]:
    """Yield the champions that MLflow has lost, though no entry says that they were removed.

    Args:
        known: the versions in MLflow of each model.
    """
    for state in pipelines:
        version = state.serving.version if state.serving else None
        if version is not None and version not in known.get(state.name, ()):
            yield Need(
                what="champion missing",
                pipeline=state.name,
                details=(
                    f"version {version} serves, but MLflow does not have it any more"
                    + _other_version(state.name, known.get(state.name, ())),
                ),
            )


def _other_version(name: str, versions: Collection[int]) -> str:
    if versions:
        return f"; let another one serve: factory rollback {name}"
    return (
        ", nor any other; restore its database from a backup, or train another version: "
        f"factory run {name}"
    )


def _moved(
    pipelines: Iterable[PipelineState],
    known: Mapping[str, Collection[int]],
    aliases: Mapping[str, int],
) -> Iterator[Need]:
    """Yield the champions about which MLflow's page contradicts the ledger."""
    for state in pipelines:
        serving = state.serving
        version = serving.version if serving and not serving.stopped else None
        moved = alias_moved(state.name, aliases.get(state.name), version)
        is_there = version is None or version in known.get(state.name, ())
        if moved and is_there and state.is_readable:
            details = (f"{moved}; set it back: factory run {state.name}",)
            yield Need(what="alias moved", pipeline=state.name, details=details)


def _not_served(home: Home) -> Iterator[Need]:
    """Yield the champions that a running server could not load."""
    for pipeline, why in sorted(serving_faults(home).items()):
        yield Need(what="champion not served", pipeline=pipeline, details=(why,))


def _failures(last: Iterable[EndedRun], pipelines: Sequence[PipelineState]) -> Iterator[Need]:
    failed = {run.pipeline: run for run in last if run.state == "failed"}
    for state in pipelines:
        for job, what in ((state.name, "run"), (state.look_job, "look")):
            if run := failed.get(job or ""):
                yield Need(
                    what=f"last {what} failed",
                    pipeline=state.name,
                    details=(f"run {run.run[:8]} by {run.by}; its page in the UI says why",),
                )


def _asked(waiting: Iterable[WaitingVersion]) -> Iterator[Need]:
    for wait in waiting:
        if wait.role:
            name = f"{wait.pipeline}@{wait.version}"
            yield Need(
                what="approval",
                pipeline=wait.pipeline,
                details=(f"{name} {wait.text}; look at it: factory approve {name}",),
            )


def _machine(disk: Disk, witnesses: Witnesses | None) -> Iterator[Need]:
    """Yield what the whole factory needs."""
    freed = "factory gc shows what may be removed"
    if disk.free < disk.keep:
        yield Need(what="disk full", pipeline=None, details=(f"no new run starts; {freed}",))
    elif disk.days_left is not None and disk.days_left < _SOON:
        left = f"{disk.days_left:.1f} days"
        yield Need(what="disk", pipeline=None, details=(f"full in {left}; {freed}",))
    if witnesses and witnesses.is_overdue:
        remedy = "factory ledger request, let a witness cosign it, factory ledger add"
        yield Need(what="witness overdue", pipeline=None, details=(remedy,))


def _not_up(schedules: int, address: str | None) -> Iterator[Need]:
    if schedules and address is None:
        many = f"{schedules} schedule{'s are' if schedules != 1 else ' is'} on"
        yield Need(what="not up", pipeline=None, details=(f"{many}; start it: factory up",))
