"""Runs of `factory run` whose process was killed: nobody else would ever end them."""

import dagster as dg

from factory_resources.home.processes import process_identity

PROCESS_TAG = "factory/process"
"""Which process a run lives in: number, start and boot."""


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark as failed every run that is under way in a process that is gone."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(under_way):
        identity = run.tags.get(PROCESS_TAG)
        if identity and process_identity(int(identity.split()[0])) != identity:
            instance.report_run_failed(run, "the process of this run was killed; run it again")
            # Else a GPU that it had taken would never be free again.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
