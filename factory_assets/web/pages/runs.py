"""The last run of each pipeline, as Dagster has it.

Dagster is imported when the first page asks: in the door's process its UI needs it anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.tracking.run_history import is_to_be_retried, last_run_ids, started_by

if TYPE_CHECKING:
    import dagster as dg
    from dagster_shared.error import SerializableErrorInfo

RunResult = Literal["succeeded", "failed", "canceled", "running", "waiting"]

_READ = 2_000
"""Runs that are read at once, the newest; if there are more, the last ones of each job too."""

_TOGETHER = 500
"""Runs that are read by their ids at once."""

_OVERLAP = timedelta(seconds=5)
"""By which later looks overlap: clocks of several processes."""

_EXPLAINED = 20
"""Failed runs whose error is looked up on one page."""

_LONGEST = 400
"""Characters of an error."""

_RESULTS: Mapping[str, RunResult] = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCELED": "canceled",
    "CANCELING": "running",
    "STARTED": "running",
    "STARTING": "running",
}

_WRAPPERS = ("Dagster", "Failure", "RetryRequested")
"""How the names of Dagster's errors begin."""

_CHECKS = " failed with ERROR severity: "
"""What Dagster says of checks, before their names."""


@dataclass(frozen=True)
class LastRun:
    """The last run of a pipeline."""

    run_id: str
    result: RunResult
    when: str
    """When it was created: UTC, ISO 8601."""
    seconds: float | None
    """How long it took, if it has ended."""
    by: str
    """Who or what started it."""
    is_retried: bool = False
    """Whether its process died, and the daemon runs it again."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and is not run again."""
        return self.result not in ("running", "waiting") and not self.is_retried


class Runs:
    """The runs of one home; may be used by several threads.

    Raises:
        StorageError: from all methods, if Dagster's database cannot be read.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._instance: dg.DagsterInstance | None = None
        self._seen: datetime | None = None
        self._last: dict[str, LastRun] = {}
        self._over: dict[str, LastRun] = {}
        self._errors: dict[str, str] = {}

    def last(self) -> Mapping[str, LastRun]:
        """Return the last run of each pipeline that has one among those that were read."""
        with self._lock, storage_faults(self._home):
            if instance := self._open():
                self._read(instance)
            return dict(self._last)

    def over(self) -> Mapping[str, LastRun]:
        """Return the last run of each pipeline that is over, as `last` has read them.

        Looks at the answers of a pipeline are here under the name of their job.
        """
        with self._lock:
            return dict(self._over)

    def errors(self, runs: Collection[LastRun]) -> Mapping[str, str]:
        """Return by run id why runs failed, for the first ones only."""
        with self._lock, storage_faults(self._home):
            instance = self._open()
            known = self._errors
            self._errors = {
                run.run_id: known.get(run.run_id) or _error(instance, run.run_id)
                for run in [*runs][:_EXPLAINED]
                if instance
            }
            return self._errors

    def _open(self) -> dg.DagsterInstance | None:
        """Return the instance; None before the first start."""
        if self._instance is None and (self._home.dagster / "dagster.yaml").is_file():
            import dagster as dg

            self._instance = dg.DagsterInstance.from_config(str(self._home.dagster))
        return self._instance

    def _read(self, instance: dg.DagsterInstance) -> None:
        import dagster as dg

        since = dg.RunsFilter(updated_after=self._seen - _OVERLAP) if self._seen else None
        found = [*instance.get_run_records(since, limit=_READ, order_by="update_timestamp")]
        if len(found) == _READ:
            # Many looks at answers would hide the run of a pipeline that is trained once a month.
            ids = last_run_ids(self._home)
            for start in range(0, len(ids), _TOGETHER):
                last = dg.RunsFilter(run_ids=ids[start : start + _TOGETHER])
                found += instance.get_run_records(last)
        for record in reversed(found):
            self._seen = max(record.update_timestamp, self._seen or record.update_timestamp)
            run = _run(record)
            for pipeline in _pipelines(record.dagster_run):
                for runs in (self._last, self._over) if run.is_over else (self._last,):
                    known = runs.get(pipeline)
                    if known is None or known.when <= run.when:
                        runs[pipeline] = run


def _run(record: dg.RunRecord) -> LastRun:
    run, start, end = record.dagster_run, record.start_time, record.end_time
    return LastRun(
        run.run_id,
        _RESULTS.get(run.status.value, "waiting"),
        record.create_timestamp.replace(tzinfo=UTC).isoformat(timespec="microseconds"),
        end - start if start and end else None,
        started_by(run.tags),
        is_to_be_retried(run.tags),
    )


def _pipelines(run: dg.DagsterRun) -> set[str]:
    """Return the pipelines that a run is about; assets are named `[pipeline, stage]`."""
    checks = run.asset_check_selection or ()
    keys = [*(run.asset_selection or ()), *(check.asset_key for check in checks)]
    return {key.path[0] for key in keys} or {run.job_name}


def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return in one line why a step failed, else why the run did."""
    import dagster as dg

    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            error = event.step_failure_data.error if event and event.is_step_failure else None
            text = error_text(error) if error else (event and event.message) or entry.message
            if text.strip():
                return _one_line(text)
    return ""


def error_text(error: SerializableErrorInfo) -> str:
    """Return what an error says that Dagster has wrapped; its own causes say less than it does."""
    while error.cause and (error.cls_name or "").startswith(_WRAPPERS):
        error = error.cause
    return error.message


def _one_line(text: str) -> str:
    line = " ".join(text.split())[:_LONGEST]
    _, is_of_checks, failed = line.partition(_CHECKS)
    if is_of_checks:
        return f"checks failed: {failed.replace(',', ', ')}"
    # Python names the class of the error first.
    name, colon, rest = line.partition(": ")
    return rest if colon and name.endswith("Error") and " " not in name else line
