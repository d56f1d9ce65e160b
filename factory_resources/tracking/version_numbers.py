"""Continue the numbers of model versions where MLflow's database lacks versions of the ledger.

MLflow numbers them from what its database has. If that was lost, or is that of an older backup, the
next version would get the number of another one, of which the ledger tells already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.entries import ModelTrained
from factory_resources.ledger.ledger import Ledger, latest_in

if TYPE_CHECKING:
    from factory_resources.tracking.registry import Registry

_LAST = "SELECT coalesce(max(version), 0) FROM model_versions WHERE name = :model"

# As MLflow leaves a version that was deleted, but of no time.
_TAKEN = (
    "INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, "
    "source, run_id, status) VALUES (:model, :version, 0, 0, 'Deleted_Internal', "
    "'REDACTED-SOURCE-PATH', 'REDACTED-RUN-ID', 'READY')"
)


def continue_numbers(registry: Registry, model: str) -> None:
    """Let the next version of a model, which is registered, get a number that the ledger lacks.

    Raises:
        StorageError: a database cannot be read or written.
    """
    import sqlalchemy as sa

    if not Ledger(registry.home).exists:
        return
    engine = sa.create_engine(registry.uri, poolclass=sa.NullPool)
    with storage_faults(registry.home), engine.begin() as connection:
        last = int(connection.execute(sa.text(_LAST), {"model": model}).scalar_one())
        known = _last_known(registry, model, last)
        if known > last:
            connection.execute(sa.text(_TAKEN), {"model": model, "version": known})


def is_lost(registry: Registry, model: str, version: int) -> bool:
    """Whether MLflow's database is a new one, without this version and every one before it."""
    return not any(registry.registered(model, number) for number in range(version, 0, -1))


def _last_known(registry: Registry, model: str, last: int) -> int:
    """Return the last version behind a number, one after the other, that the ledger knows."""
    with Ledger(registry.home).reading() as log:
        while latest_in(
            log, ModelTrained, ModelTrained.subject_of(pipeline=model, version=last + 1)
        ):
            last += 1
    return last
