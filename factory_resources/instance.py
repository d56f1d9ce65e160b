"""The instance of one home, Dagster's and MLflow's: made once, alone, before anything else starts.

The only module here that imports Dagster.

After a home was moved or copied: MLflow's tables name the new place of the artifacts.

MLflow keeps absolute addresses and has no call to change them.
"""

import json
import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from factory_resources.home.home import Home, storage_errors
from factory_resources.security.offline import go_offline

DATABASE_VARIABLE = "FACTORY_DATABASE_URL"


def prepare(home: Home) -> None:
    """Make the home ready: settings, databases. Quick when it already is.

    Two processes that start on a fresh home would both migrate its databases and break them, hence
    the lock; what was prepared, where and by which versions, is in `prepared.json`, written last.

    Raises:
        StorageError: when the home cannot be written.
    """
    from filelock import FileLock

    go_offline()
    home.require_writable()
    os.environ["FACTORY_HOME"] = str(home.path)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    if database := os.environ.get(DATABASE_VARIABLE):
        # A bare postgresql:// means psycopg 3 to SQLAlchemy; Dagster and MLflow are on psycopg2.
        os.environ[DATABASE_VARIABLE] = "postgresql+psycopg2://" + database.partition("://")[2]
    settings = instance_settings(database is not None)
    marker = home.path / "prepared.json"
    wanted = json.dumps(_prepared(home, settings)).encode()
    if _holds(marker, wanted) and _holds(home.dagster / "dagster.yaml", settings):
        return
    with storage_errors(home.path), FileLock(home.path / ".lock"):
        if _holds(marker, wanted) and _holds(home.dagster / "dagster.yaml", settings):
            return
        home.write_atomic(home.dagster / "dagster.yaml", settings)
        _make_databases(home)
        _follow_a_move(home, marker)
        home.write_atomic(marker, wanted)


def instance_settings(postgres: bool) -> bytes:
    """The instance's `dagster.yaml`; the address of a database is named, never written."""
    settings = Path(__file__).with_name("dagster.yaml").read_text(encoding="utf-8")
    if postgres:
        settings += f"\nstorage:\n  postgres:\n    postgres_url:\n      env: {DATABASE_VARIABLE}\n"
    return settings.encode()


def _prepared(home: Home, settings: bytes) -> dict[str, str]:
    versions = {name: version(name) for name in ("dagster", "mlflow")}
    database = os.environ.get(DATABASE_VARIABLE, "sqlite")
    # A digest, since the address may hold a password.
    return {
        "home": str(home.path),
        **versions,
        "database": sha256(database.encode()).hexdigest(),
        "settings": sha256(settings).hexdigest(),
    }


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _follow_a_move(home: Home, marker: Path) -> None:
    before = json.loads(marker.read_bytes())["home"] if marker.is_file() else str(home.path)
    if before != str(home.path):
        from factory_resources.tracking.registry import Registry

        relocate(Registry(home).uri, Home(Path(before)).artifacts, home.artifacts)


def _make_databases(home: Home) -> None:
    import dagster as dg

    from factory_resources.tracking.registry import Registry

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        instance.get_runs(limit=1)
        instance.get_asset_keys()
        instance.all_instigator_state()
    Registry(home).initialise()


_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(database: str, old: Path, new: Path) -> None:
    """Replace the folder `old` by `new` at the start of every address, in one transaction.

    Args:
        database: SQLAlchemy address of MLflow's tables.
        old: the folder of all artifacts until now.
        new: the folder in which they are.
    """
    import sqlalchemy as sa

    before, after = old.as_uri(), new.as_uri()
    values = {"after": after, "start": len(before) + 1, "before": before, "length": len(before)}
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table, column in _ADDRESSES:
            statement = (
                f"UPDATE {table} SET {column} = :after || substr({column}, :start) "
                f"WHERE substr({column}, 1, :length) = :before"
            )
            connection.execute(sa.text(statement), values)
