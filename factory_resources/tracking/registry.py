"""MLflow's registered model versions, their files and tags, and the alias `champion`.

Arguments and results are plain values. Writing goes through MlflowClient. Frequent queries, such as
for the champion, are one SELECT on MLflow's own tables: importing MLflow costs 1.2 s of CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

from factory_resources.durability import make_folder, sync_path
from factory_resources.errors import ModelError, StorageError
from factory_resources.home.database import database_address, query_sqlite, recorded_engine
from factory_resources.home.home import Home, storage_errors
from factory_resources.home.sqlite_files import mlflow_file
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.entries import ChampionMade, ServingChanged
from factory_resources.ledger.ledger import Ledger, stopped_in
from factory_resources.security.offline import go_offline

ALIAS = "champion"

_SCHEMA = "mlflow"

_UNDEFINED_TABLE = "42P01"
"""What PostgreSQL calls it that a table is missing, as all are before the first run."""

_BY_NUMBER = "WHERE name = :model AND version = :version"

_DELETED = "Deleted_Internal"
"""The stage of a version that was deleted: its row stays, without its run."""


@dataclass(frozen=True)
class Version:
    """One registered model version."""

    model: str
    version: int
    run_id: str
    files: Path
    """The folder of the model's files."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LoggedMetric:
    """One value of a metric of a run."""

    name: str
    step: int
    value: float
    latest: bool
    """Whether MLflow lists it as the metric's present value; else it is a point of its curve."""


class Registry:
    """The model registry of one home.

    Raises:
        StorageError: the artifacts cannot be written.
        ModelError: a requested version does not exist.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def uri(self) -> str:
        """The address of MLflow's database."""
        return database_address(self.home.mlflow_database, _SCHEMA)

    def initialise(self) -> None:
        """Create or migrate the tables. Two processes must not do this at once."""
        if not self._is_file:
            self._execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        self.client.search_registered_models(max_results=1)

    @property
    def _is_file(self) -> bool:
        return self.uri.startswith("sqlite")

    def _require_file(self) -> None:
        """Make the database if it is missing, complete in scratch, and check that it can be read.

        With a damaged one, MLflow would retry for a hundred seconds.
        """
        if not self.home.mlflow_database.exists():
            self._make_file()
        self._execute("SELECT version_num FROM alembic_version")

    def _make_file(self) -> None:
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

        with self.home.lock(_SCHEMA), self.home.scratch() as scratch:
            if self.home.mlflow_database.exists():
                return
            made = scratch / self.home.mlflow_database.name
            uri = database_address(made, _SCHEMA)
            stores: tuple[Any, ...] = (Runs, self.home.artifacts.as_uri()), (Models,)
            for kind, *artifacts in stores:
                kind(uri, *artifacts).engine.dispose()
            mlflow_file(self.home).install(made)

    def champion(self, model: str) -> int | None:
        """Return the version that serves, or None.

        The ledger says which one it is; only a home without a ledger asks MLflow's alias.
        """
        ledger = Ledger(self.home)
        if not ledger.exists:
            return self.alias(model)
        made = ledger.latest(ChampionMade, ChampionMade.subject_of(pipeline=model))
        return made[1].version if made else None

    def stopped(self, model: str) -> tuple[int, ServingChanged] | None:
        """Return the entry of the ledger that stopped the champion; None if it may serve."""
        ledger = Ledger(self.home)
        if not ledger.exists:
            return None
        with ledger.reading() as log:
            return stopped_in(log, model)

    def serving(self, model: str) -> int | None:
        """Return the champion, unless a person stopped it."""
        return None if self.stopped(model) else self.champion(model)

    def moved_alias(self, model: str) -> str | None:
        """Return in one line that MLflow's alias is not what the ledger says; None if it is."""
        return alias_moved(model, self.alias(model), self.serving(model))

    def alias(self, model: str) -> int | None:
        """Return the version that MLflow's alias names, a copy of what the ledger says."""
        return self.aliases().get(model)

    def aliases(self) -> dict[str, int]:
        """Return the version that MLflow's alias names, of every model that has one."""
        statement = "SELECT name, version FROM registered_model_aliases WHERE alias = :alias"
        try:
            return {name: int(version) for name, version in self._execute(statement, alias=ALIAS)}
        except (TypeError, ValueError) as error:
            raise self._changed("the champions") from error

    def has_version(self, model: str, version: int, run_id: str | None = None) -> bool:
        """Whether the version exists, files included.

        Args:
            run_id: the run that must have made it; None for any.
        """
        try:
            found = self.version(model, version)
        except ModelError:
            return False
        return found.files.is_dir() and run_id in (None, found.run_id)

    def version(self, model: str, version: int) -> Version:
        """Return the version.

        Raises:
            ModelError: there is no such version.
        """
        rows = self._execute(
            f"SELECT run_id, source, current_stage FROM model_versions {_BY_NUMBER}",
            model=model,
            version=version,
        )
        if not rows:
            raise ModelError(
                f"there is no version {version} of model {model!r}",
                remedy=f"train it again: factory run {model}",
            )
        run_id, source, stage = rows[0]
        if stage == _DELETED:
            raise ModelError(
                f"version {version} of model {model!r} was deleted in MLflow",
                remedy=f"if it served, let another one serve: factory rollback {model}",
            )
        is_text = isinstance(run_id, str) and isinstance(source, str)
        names = (str(run_id), *Path(str(source)).parts[-3:])
        # A path of such names could lead out of the home.
        if not is_text or any(name == ".." or {"/", "\0"} & {*name} for name in names):
            raise self._changed(f"version {version} of model {model!r}")
        files = self._files_at(model, source)
        return Version(model, version, run_id, files, self.version_tags(model, version))

    def registered(self, model: str, version: int) -> int | None:
        """Return when a version was registered, in milliseconds since 1970; None without it."""
        rows = self._execute(
            f"SELECT creation_time FROM model_versions {_BY_NUMBER}", model=model, version=version
        )
        return int(rows[0][0]) if rows else None

    def versions(self) -> dict[str, tuple[int, ...]]:
        """Return every model with its versions, oldest first, without deleted versions."""
        rows = self._execute(
            "SELECT name, version FROM model_versions WHERE current_stage IS NULL "
            f"OR current_stage <> '{_DELETED}' ORDER BY name, version"
        )
        versions: dict[str, tuple[int, ...]] = {}
        for name, version in rows:
            versions[name] = (*versions.get(name, ()), int(version))
        return versions

    def version_tags(self, model: str, version: int) -> dict[str, str]:
        rows = self._execute(
            f"SELECT key, value FROM model_version_tags {_BY_NUMBER}", model=model, version=version
        )
        return dict(rows)

    def metrics(self, run_id: str) -> list[LoggedMetric]:
        """Return the metrics of a run: every point of each curve, and each present value.

        Raises:
            StorageError: what is stored is no number.
        """
        columns = "key, step, value, is_nan"
        rows = self._execute(
            f"SELECT {columns}, 0 FROM metrics WHERE run_uuid = :run "
            f"UNION ALL SELECT {columns}, 1 FROM latest_metrics WHERE run_uuid = :run",
            run=run_id,
        )
        try:
            return [
                LoggedMetric(name, int(step), math.nan if is_nan else float(value), bool(latest))
                for name, step, value, is_nan, latest in rows
            ]
        except (TypeError, ValueError) as error:
            raise self._changed("the metrics of a run") from error

    def artifacts(self, model: str) -> Path:
        """Return the folder of everything logged for a model; it moves with the home."""
        return self.home.artifacts / model

    def run_files(self, model: str, run_id: str) -> Path:
        """Return the folder of a run's own artifacts."""
        return self.artifacts(model) / run_id / "artifacts"

    def add_files(self, run_id: str, folder: Path, name: str) -> None:
        """Store every file of a folder as the run's artifacts below `name`."""
        # The address that MLflow has may be in another home.
        model, *_ = Path(self.client.get_run(run_id).info.artifact_uri).parts[-3:]
        self._store(folder, self.run_files(model, run_id) / name)

    def add_model_files(self, model: str, logged: Any, folder: Path) -> None:
        """Store every file of a folder as those of a logged model."""
        self._store(folder, self._files_at(model, logged.artifact_location))

    def _store(self, folder: Path, target: Path) -> None:
        """Copy a folder durably, as MLflow would not: the ledger will name its files."""
        with storage_errors(self.home.artifacts):
            make_folder(target)
            copytree(folder, target, copy_function=copyfile, dirs_exist_ok=True)
            for path in (target, *target.rglob("*")):
                sync_path(path)

    def _files_at(self, model: str, address: str) -> Path:
        """Return where the files of a logged model are, whatever home MLflow's address is in."""
        return self.artifacts(model) / Path(*Path(address).parts[-3:])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add metrics to a run, even after its end."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        rows = [Metric(key, value, now, 0) for key, value in metrics.items()]
        self.client.log_batch(run_id, metrics=rows)

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        registered = self.client._get_registry_client()  # the other reads the model before each tag
        for key, value in tags.items():
            registered.set_model_version_tag(model, str(version), key, value)

    def delete_version(self, model: str, version: int) -> None:
        """Delete a version; the files of its model stay."""
        self.client.delete_model_version(model, str(version))

    def mirror(self, model: str) -> None:
        """Let MLflow's alias show which version serves, as the ledger says, if MLflow has it."""
        serving = self.serving(model)
        if serving is None or serving not in self.versions().get(model, ()):
            self.client.delete_registered_model_alias(model, ALIAS)
        else:
            self.set_alias(model, serving)

    def set_alias(self, model: str, version: int) -> None:
        self.client.set_registered_model_alias(model, ALIAS, str(version))

    def _changed(self, what: str) -> StorageError:
        return StorageError(
            f"what MLflow has stored about {what} was changed and cannot be read",
            where=str(self.home.mlflow_database) if self._is_file else "FACTORY_DATABASE_URL",
            remedy="restore the database from a backup, or train again",
        )

    @cached_property
    def client(self) -> Any:
        """The MlflowClient, quiet and offline."""
        import logging

        go_offline()
        self.home.require_writable()
        from mlflow import MlflowClient

        # Importing MLflow sets the levels of its loggers.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        # It logs the traceback of every error that it raises.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        with storage_faults(self.home):
            if self._is_file:
                self._require_file()
            return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _execute(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement and return its rows; none if there is no database yet."""
        if self._is_file:
            # Importing SQLAlchemy takes longer than all other work of a run without changes.
            with storage_faults(self.home):
                return query_sqlite(self.home.mlflow_database, statement, values)
        import sqlalchemy as sa

        engine = sa.create_engine(self.uri)
        try:
            with storage_faults(self.home), engine.begin() as connection:
                result = connection.execute(sa.text(statement), values)
                return list(result.fetchall()) if result.returns_rows else []
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "pgcode", None) != _UNDEFINED_TABLE:
                raise
            if recorded_engine(self.home) is None:
                return []
            raise self._changed("all models") from error
        finally:
            engine.dispose()


def alias_moved(model: str, alias: int | None, serving: int | None) -> str | None:
    """Return in one line that an alias names another version than serves; None if it does not."""
    named = f"names version {alias}" if alias else "is gone"
    serves = f"version {serving} serves" if serving else "no version serves"
    line = f"MLflow's alias {ALIAS!r} of {model} {named}, but the ledger says that {serves}"
    return None if alias == serving else line
