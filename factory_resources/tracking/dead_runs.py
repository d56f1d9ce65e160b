"""End what killed processes have left unfinished in MLflow: runs, models and staged files.

Before a pipeline starts a run, the module `run` ends dead runs of its own experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from factory_resources.home.storage_faults import storage_faults
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import end_dead_runs

_STAGED = ".artifact.uploading.*"
"""What MLflow calls a file of an artifact until it is complete."""

_RUNNING = (
    "SELECT r.run_uuid, r.experiment_id, e.name FROM runs r "
    "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.status = 'RUNNING'"
)

# The number 1 is MLflow's for a model whose files are not complete yet.
_PENDING = (
    "SELECT m.model_id FROM logged_models m JOIN runs r ON r.run_uuid = m.source_run_id "
    "WHERE m.status = 1 AND r.status <> 'RUNNING'"
)


def end_all_dead_runs(registry: Registry) -> int:
    """Mark every run as failed whose process has ended, and return how many those were.

    Models whose files such a run did not complete are marked as well, and its staged files removed.
    MLflow, whose import takes 1.2 s, is not imported if no run is unfinished.
    """
    running = _select(registry, _RUNNING)
    for experiment in sorted({str(row.experiment_id) for row in running}):
        end_dead_runs(registry.client, experiment)
    alive = {row.run_uuid for row in _select(registry, _RUNNING)}
    dead = [row for row in running if row.run_uuid not in alive]
    for row in _select(registry, _PENDING):
        registry.client.finalize_logged_model(row.model_id, "FAILED")
    busy = {row.name for row in running if row.run_uuid in alive}
    for model in {row.name for row in dead} - busy:
        for path in registry.artifacts(model).rglob(_STAGED):
            path.unlink(missing_ok=True)
    return len(dead)


def _select(registry: Registry, statement: str) -> Sequence[Any]:
    import sqlalchemy as sa

    engine = sa.create_engine(registry.uri, poolclass=sa.NullPool)
    with storage_faults(registry.home), engine.connect() as connection:
        return connection.execute(sa.text(statement)).fetchall()
