"""End what killed processes have left unfinished in MLflow: runs, and models without all files.

Before a pipeline starts a run, the module `run` ends dead runs of its own experiment.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from factory_resources.home.storage_faults import storage_faults
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import end_dead_runs

_RUNNING = "SELECT run_uuid, experiment_id FROM runs WHERE status = 'RUNNING'"

# The number 1 is MLflow's for a model whose files are not complete yet. It cannot be a version.
_PENDING = (
    "SELECT m.model_id, e.name FROM logged_models m JOIN runs r ON r.run_uuid = m.source_run_id "
    "JOIN experiments e ON e.experiment_id = m.experiment_id "
    "WHERE m.status = 1 AND r.status <> 'RUNNING'"
)


def end_all_dead_runs(registry: Registry) -> int:
    """Mark every run as failed whose process has ended, and return how many those were.

    The models whose files such a run did not complete are marked as well, and their files removed.
    MLflow, whose import takes 1.2 s, is not imported if nothing is unfinished.
    """
    running = _select(registry, _RUNNING)
    for experiment in sorted({str(row.experiment_id) for row in running}):
        end_dead_runs(registry, experiment)
    for row in _select(registry, _PENDING):
        registry.client.finalize_logged_model(row.model_id, "FAILED")
        folder = registry.artifacts(row.name) / "models" / row.model_id
        shutil.rmtree(folder, ignore_errors=True)
    alive = {row.run_uuid for row in _select(registry, _RUNNING)}
    return len({row.run_uuid for row in running} - alive)


def _select(registry: Registry, statement: str) -> Sequence[Any]:
    import sqlalchemy as sa

    engine = sa.create_engine(registry.uri, poolclass=sa.NullPool)
    with storage_faults(registry.home), engine.connect() as connection:
        return connection.execute(sa.text(statement)).fetchall()
