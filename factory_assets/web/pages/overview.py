"""What the first page shows: every pipeline, its last run, what waits for whom, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from factory_assets.execution.disk_watermark import low_space
from factory_assets.execution.ledger_state import LedgerState, ledger_state
from factory_assets.web.pages.pipeline_state import PipelineState, Trouble
from factory_assets.web.pages.pipeline_states import PipelineStates
from factory_assets.web.pages.runs import LastRun, Runs
from factory_assets.web.pages.waits import Wait, trainings_put_off, waits_of
from factory_resources.durations import minute
from factory_resources.erasure.listed_manifests import require_manifests
from factory_resources.erasure.manifest import FINISH, stored_intents
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.home.serving_faults import serving_faults
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger, entry_in

_NIGHT = timedelta(hours=24)
"""The time before now whose runs are counted."""

_LISTED = 50
"""Lines of one list; of more, only the number is shown."""


@dataclass(frozen=True)
class Row:
    """A pipeline with its last run."""

    state: PipelineState
    run: LastRun | None
    failed: Mapping[str, LastRun]
    """What failed the last time that it was over, `run` or `look`, however long ago."""


@dataclass(frozen=True)
class OverviewProblem:
    """Something that is wrong."""

    pipeline: str | None
    """None if it concerns the whole factory."""
    trouble: Trouble
    run: LastRun | None = None
    """The run that failed."""


@dataclass(frozen=True)
class Overview:
    """What the page shows."""

    rows: tuple[Row, ...] | None
    """None if what holds for the pipelines cannot be read; then `waits` has none of theirs."""
    problems: tuple[OverviewProblem, ...]
    waits: tuple[Wait, ...]
    night: dict[str, int] | None
    """Last runs of the last 24 hours, by result; None if the runs cannot be read."""
    ledger: str
    """How old it is and what witnesses have seen, in one line."""
    listed: int = field(default=_LISTED)


class OverviewReader:
    """Reads what the first page shows of one home; may be used by several threads."""

    def __init__(self, home: Home) -> None:
        self._home, self._states, self._runs = home, PipelineStates(home), Runs(home)

    def read(self) -> Overview:
        """Return what holds now; what cannot be read is a problem on the page."""
        problems: list[OverviewProblem] = []
        states: list[PipelineState] | None = None
        last: Mapping[str, LastRun] = {}
        over: Mapping[str, LastRun] = {}
        night: dict[str, int] | None = None
        errors: Mapping[str, str] = {}
        postponed: list[Wait] = []
        ledger = ""
        with _readable(problems):
            states = self._states.all()
            problems += _disk(self._home)
            problems += _erasures(self._home)
            problems += _not_served(self._home)
            ledger = _ledger(self._home, problems)
            last, over = self._runs.last(), self._runs.over()
            night = _night(last)
        known = states or []
        rows = tuple(Row(state, last.get(state.name), _failed(state, over)) for state in known)
        # Each lies in other files of Dagster.
        with _readable(problems):
            errors = self._runs.errors([run for row in rows for run in row.failed.values()])
        with _readable(problems):
            postponed = trainings_put_off(known, self._home)
        problems += _troubles(rows, errors)
        waits = [*(wait for state in known for wait in waits_of(state)), *postponed]
        shown = None if states is None else rows
        return Overview(shown, tuple(problems), tuple(waits), night, ledger)

    def waits(self) -> list[Wait]:
        """Return what waits for people, roll-outs and trainings left out."""
        return [wait for state in self._states.all() for wait in waits_of(state) if wait.role]


@contextmanager
def _readable(problems: list[OverviewProblem]) -> Iterator[None]:
    """Add what cannot be read to the problems, once."""
    try:
        yield
    except FactoryError as error:
        problem = _whole("cannot be read", error)
        if problem not in problems:
            problems.append(problem)


def _failed(state: PipelineState, over: Mapping[str, LastRun]) -> Mapping[str, LastRun]:
    runs = {"run": over.get(state.name), "look": over.get(state.look_job or "")}
    return {what: run for what, run in runs.items() if run and run.result == "failed"}


def _troubles(rows: Iterable[Row], errors: Mapping[str, str]) -> Iterator[OverviewProblem]:
    rows = [*rows]
    for row in rows:
        for trouble in row.state.troubles:
            yield OverviewProblem(row.state.name, trouble)
    for row in rows:
        for what, run in row.failed.items():
            error = errors.get(run.run_id)
            trouble = Trouble(f"last {what} failed", (error,) if error else ())
            yield OverviewProblem(row.state.name, trouble, run)


def _ledger(home: Home, problems: list[OverviewProblem]) -> str:
    """Return the age of the ledger in one line, and add what is wrong with its witnesses."""
    ledger, now = Ledger(home), datetime.now(UTC)
    if not ledger.exists:
        return "There is no ledger yet: nothing has run."
    try:
        state = ledger_state(home)
    except FactoryError as error:
        problems.append(_whole("settings", error))
        state = None
    with ledger.reading() as log:
        size = log.size
        last = minute(entry_in(log, size - 1).time)
    newest = f"its last entry is of {last} UTC; {_backup(ledger)}"
    if state is None:
        return f"The ledger has {size:,} entries; {newest}. No witness is declared."
    if state.is_overdue(now):
        problems.append(OverviewProblem(None, Trouble("witness overdue", (_overdue(state, now),))))
    return f"The ledger: {state.text(now)}; {newest}."


def _backup(ledger: Ledger) -> str:
    made = ledger.latest(BackupMade, BackupMade.subject_of())
    if made is None:
        return "there is no backup"
    return f"the last backup is of {minute(made[1].time)} UTC"


def _disk(home: Home) -> Iterator[OverviewProblem]:
    keep = low_space(home)
    if keep is not None:
        text = f"{keep}; no new run starts; `factory gc` shows what may be removed"
        yield OverviewProblem(None, Trouble("disk full", (text,)))


def _erasures(home: Home) -> Iterator[OverviewProblem]:
    if stored_intents(home):
        yield OverviewProblem(None, Trouble("erasure not finished", (FINISH,)))
    try:
        require_manifests(home)
    except StorageError as error:
        yield _whole("erasure manifest", error)


def _not_served(home: Home) -> Iterator[OverviewProblem]:
    """Yield the champions that a running server could not load."""
    for pipeline, why in sorted(serving_faults(home).items()):
        yield OverviewProblem(pipeline, Trouble("champion not served", (why,)))


def _overdue(state: LedgerState, now: datetime) -> str:
    return (
        f"{state.text(now)}; write a request with `factory ledger request`, let the witness cosign "
        "it, and store the answer"
    )


def _whole(what: str, error: FactoryError) -> OverviewProblem:
    return OverviewProblem(None, Trouble(what, (str(error),)))


def _night(last: Mapping[str, LastRun]) -> dict[str, int]:
    since = (datetime.now(UTC) - _NIGHT).isoformat()
    runs = {run.run_id: run.result for run in last.values() if run.when >= since}
    results = list(runs.values())
    return {result: results.count(result) for result in sorted(set(results))}
