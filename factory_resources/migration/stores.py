"""Which databases a factory has, and how empty ones are made.

Each is made by the code that owns it, where the environment says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_resources.home.home import Home
from factory_resources.home.schema import VERSION_TABLE
from factory_resources.home.storage_faults import storage_faults
from factory_resources.migration.catalog import run


@dataclass(frozen=True)
class Store:
    """One database of a factory: some SQLite files, or a schema of PostgreSQL."""

    name: str
    schema: str | None
    """None: that in which PostgreSQL makes tables if nothing else is said."""
    files: tuple[str, ...]
    """Below the home."""
    table: str
    """By which it is known that the tables were made."""
    create: Callable[[Home], None]
    kept: frozenset[str] = frozenset({"alembic_version", VERSION_TABLE})
    """Tables that belong to the database and are not carried over."""
    update: Callable[[Home], None] | None = None
    """Brings tables that are there to the form that `create` makes, or refuses a newer one; None
    if their library does that."""

    def paths(self, home: Home) -> list[Path]:
        return [home.path / file for file in self.files]

    def is_in_files(self, home: Home) -> bool:
        return self.paths(home)[0].exists()

    def is_on_server(self, connection: Any) -> bool:
        name = f"{self.schema}.{self.table}" if self.schema else self.table
        return bool(run(connection, "SELECT to_regclass(%s) IS NOT NULL", [name])[0][0])


def stores() -> tuple[Store, ...]:
    """Return all stores; MLflow and Dagster come first."""
    history = "dagster/history"
    return (
        Store(
            "Dagster",
            None,
            (f"{history}/runs/index.db", f"{history}/runs.db", "dagster/schedules/schedules.db"),
            "runs",
            _create_dagster,
            frozenset({"alembic_version", "secondary_indexes"}),
        ),
        Store("MLflow", "mlflow", ("mlflow.db",), "runs", _create_mlflow),
        Store("searches", "tune", ("tune.db",), "studies", _create_studies),
        Store("ledger", "ledger", ("ledger.db",), "head", _create_ledger, update=_update_ledger),
        Store(
            "answers",
            "predictions",
            ("predictions.db",),
            "prediction",
            _open_predictions,
            update=_open_predictions,
        ),
        Store(
            "outcomes",
            "outcomes",
            ("outcomes.db",),
            "outcome",
            _open_outcomes,
            update=_open_outcomes,
        ),
    )


def bring_up_to_date(present: Sequence[Store], home: Home) -> None:
    """Bring the tables of stores, where the environment says, to the newest form.

    Raises:
        StorageError: a newer factory has used one of them, or it cannot be written.
    """
    with storage_faults(home):
        for store in present:
            if store.update:
                store.update(home)


def _create_dagster(home: Home) -> None:
    from factory_resources.instance import create_dagster

    create_dagster(home.dagster)


def _create_mlflow(home: Home) -> None:
    from factory_resources.tracking.registry import Registry

    Registry(home).initialise()


def _create_studies(home: Home) -> None:
    from factory_resources.tracking.studies import create_tables

    create_tables(home)


def _create_ledger(home: Home) -> None:
    from factory_resources.ledger.connection import create_empty

    create_empty(home)


def _update_ledger(home: Home) -> None:
    from factory_resources.ledger.connection import connected

    with connected(home, write=True):
        pass


def _open_predictions(home: Home) -> None:
    from factory_resources.prediction_log.engines import open_store

    open_store(home).close()


def _open_outcomes(home: Home) -> None:
    from factory_resources.outcomes.engines import open_outcomes

    open_outcomes(home).database.close()
