"""Dagster's run launcher of the factory: the worker of each run is inside a boundary.

How a worker is started, watched and stopped belongs in `factory_resources.workers`; what it may
reach, in `execution.run_boundary`.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.interpreter import dagster_command
from factory_resources.workers.dead_runs import end_dead_run
from factory_resources.workers.launcher import WorkerLauncher
from factory_resources.workers.logs import run_log_file

BOUNDARY_TAG = "factory/boundary"
"""Run tag with how much held around the worker of a run."""

_LAST = 4_000
"""Characters at the end of a worker's log in which its last line is looked for."""


class BoundaryLauncher(WorkerLauncher):
    """Starts the worker of each run inside a boundary, and enters its report in the ledger."""

    def worker_command(self, run: dg.DagsterRun, command: Sequence[str]) -> Sequence[str]:
        return boundary_command(run, command, Home.from_env())

    def worker_variables(self, run_id: str) -> Mapping[str, str]:
        from factory_assets.execution.boundary_reports import REPORT_VARIABLE

        return {**super().worker_variables(run_id), REPORT_VARIABLE: run_id}

    def worker_ended(self, run: dg.DagsterRun, code: int) -> None:
        from factory_assets.execution.boundary_reports import enter_reports
        from factory_resources.boundary.inside import NOT_SET_UP

        home = Home.from_env()
        if code == NOT_SET_UP and not run.is_finished:
            end_dead_run(self._instance, run, _last_line(home, run.run_id))
        else:
            super().worker_ended(run, code)
        try:
            report = enter_reports(home).get(run.run_id)
        except FactoryError as error:
            # It is entered after the next run, or at the next start.
            self._instance.report_engine_event(str(error), run)
            return
        if report:
            self._instance.add_run_tags(run.run_id, {BOUNDARY_TAG: report.level})


def boundary_command(run: dg.DagsterRun, command: Sequence[str], home: Home) -> list[str]:
    """Return the command line that starts the worker of a run inside its boundary.

    Args:
        command: `python -m dagster`, and what Dagster shall do.

    Raises:
        DeclarationError: the pipeline of the run is declared no more, or does not load.
    """
    from factory_assets.components.run_context import WORKERS_TAG
    from factory_assets.execution.boundary_reports import report_file
    from factory_assets.execution.run_boundary import pipelines_of, run_boundary
    from factory_assets.execution.workers.settings import worker_setting

    names, looks = pipelines_in(run)
    _require_declared(run, names)
    asked = worker_setting(run.tags.get(WORKERS_TAG))
    boundary = run_boundary(pipelines_of(names), home, looks=looks, workers=asked)
    # The worker must find the packages wherever this process has them from.
    python = dagster_command(*command[3:])
    return boundary.command(python, report_file(home, run.run_id))


def pipelines_in(run: dg.DagsterRun) -> tuple[set[str], bool]:
    """Return the names of the pipelines of a run, and whether it looks at answers.

    Its assets tell it. A run of a whole job selects none, and the job is named after its pipeline.
    """
    from factory_assets.spec.watch import MONITOR

    keys = [one.path for one in run.asset_selection or ()]
    keys += [one.asset_key.path for one in run.asset_check_selection or ()]
    if keys:
        return {key[0] for key in keys}, any(key[-1] == MONITOR for key in keys)
    pipeline = run.job_name.removesuffix(f"_{MONITOR}")
    if pipeline == run.job_name or _is_pipeline(run.job_name, other=pipeline):
        return {run.job_name}, False
    return {run.job_name, pipeline}, True


def _require_declared(run: dg.DagsterRun, names: set[str]) -> None:
    """Require that a job's pipeline, which may have waited in the queue, is still declared."""
    from factory_assets.declarations.loader import pipeline_folders

    declared = {folder.name for folder in pipeline_folders()}
    if not run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME) and not names & declared:
        raise DeclarationError(
            f"there is no pipeline {min(names)!r} any more", remedy="declare it, or delete the run"
        )


def _is_pipeline(job: str, *, other: str) -> bool:
    """Whether a job that could be the looks at another pipeline is that of a pipeline itself."""
    from factory_assets.declarations.loader import pipeline_folders, pipeline_named

    if job not in {folder.name for folder in pipeline_folders()}:
        return False
    declared = pipeline_named(other)
    return declared is None or declared.spec.watch is None


def _last_line(home: Home, run_id: str) -> str:
    text = run_log_file(home, run_id).read_text(encoding="utf-8", errors="replace")[-_LAST:]
    return (text.strip().splitlines() or ["the boundary could not be set up"])[-1]
