"""Settings and databases of Dagster and MLflow in one home, prepared before anything else starts.

One process prepares them at a time. If the home was moved or copied, the artifact addresses in
MLflow's tables are updated: MLflow stores absolute addresses and has no call to change them.

Runs, and what starts and ends their processes, belong in `workers`.
"""

import json
import os
import pwd
import re
import shlex
import tempfile
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from factory_resources.errors import SettingError, StorageError
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    PREPARED,
    alchemy_address,
    database_digest,
    engine,
    is_recorded,
    require_no_migration,
    require_recorded_engine,
    require_utf8,
    server_address,
)
from factory_resources.home.home import Home, storage_errors
from factory_resources.home.sqlite_files import SqliteFile, dagster_files, mlflow_file
from factory_resources.home.storage_faults import storage_faults
from factory_resources.security.offline import go_offline

SETTINGS_VARIABLE = "FACTORY_DAGSTER_SETTINGS"
"""Environment variable that names a YAML file whose sections take the place of Dagster's settings,
as where runs have pods of their own."""

_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\\]")
"""What the library that reads tables refuses in the path of a folder, or takes for a slash."""

_READ_OTHERWISE = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What SQLAlchemy takes in an address for the begin of its options, or for another character."""


def prepare(home: Home) -> None:
    """Make the home ready: settings and databases. Quick if it already is.

    Two processes that start on a fresh home would both migrate its databases and break them, hence
    the lock. `prepared.json`, written last, records what was prepared, where and by which versions:
    without it an empty database may be half-made, and is made anew.

    Raises:
        StorageError: if the home cannot be written, is another user's and this is root, or has a
            path that tables or addresses of databases cannot have; one of its databases is damaged;
            or the environment names other databases than the home has, one that a migration left
            unfinished, one with the ledger of another factory, or one without UTF8 or a schema.
    """
    go_offline()
    _require_plain_path(home)
    home.require_writable()
    require_no_stranger(home)
    os.environ["FACTORY_HOME"] = str(home.path)
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    require_recorded_engine(home)
    if address := server_address():
        # Dagster hands it to SQLAlchemy as it is.
        os.environ[DATABASE_VARIABLE] = alchemy_address(address)
    settings = instance_settings(address is not None)
    marker = home.path / PREPARED
    expected = preparation(home, settings)

    def ready() -> bool:
        return (
            _has_content(marker, expected)
            and _has_content(home.dagster / "dagster.yaml", settings)
            and (address is not None or all(file.path.exists() for file in _files(home)))
        )

    if ready():
        return
    from filelock import FileLock

    with storage_errors(home.path), FileLock(home.path / ".lock"), storage_faults(home):
        if ready():
            return
        if address is not None and not is_recorded(home):
            require_no_migration(address)
            _require_own_ledger(home)
        previous = _previous_folder(marker)
        if address is not None and previous is None:
            _require_usable(address)
        home.write_atomic(home.dagster / "dagster.yaml", settings)
        if address is None and previous is None:
            _remove_unused(home)
        _create_databases(home, settings, in_files=address is None)
        if previous is not None and previous != home.path:
            _update_addresses(home, previous)
        home.write_atomic(marker, expected)


def _require_plain_path(home: Home) -> None:
    """Require a path at which tables are read, and that addresses of SQLite files do not change."""
    if odd := _UNREADABLE.search(str(home.path)):
        raise StorageError(
            f"the path contains {odd[0]!r}, and tables cannot be read from there",
            where=str(home.path),
            remedy="rename the folder, or name another one in FACTORY_HOME",
        )
    if engine() == "sqlite" and (odd := _READ_OTHERWISE.search(str(home.path))):
        raise StorageError(
            f"the path contains {odd[0]!r}, which a database address cannot contain",
            where=str(home.path),
            remedy="rename the folder, or name another one in FACTORY_HOME",
        )


def _require_usable(address: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        require_utf8(connection, DATABASE_VARIABLE)
        cursor.execute("SELECT current_schema()")
        if cursor.fetchone() == (None,):
            raise StorageError(
                "the database has no schema in which this user can create tables",
                where=DATABASE_VARIABLE,
                remedy="create one that the user can write to: CREATE SCHEMA public",
            )


def _require_own_ledger(home: Home) -> None:
    from factory_resources.ledger.ownership import require_own_ledger

    require_own_ledger(home)


def require_no_stranger(home: Home) -> None:
    """Require that root has prepared the home: another user cannot read what root writes there.

    A folder in which nothing is prepared yet has to be root's own: its owner could replace all.

    Raises:
        StorageError: this is root, and the home is another user's.
    """
    marker = home.path / PREPARED
    known = next((one for one in (marker, home.path) if one.exists()), None)
    if os.geteuid() or known is None or not (owner := known.stat().st_uid):
        return
    try:
        with tempfile.TemporaryFile(dir=home.tmp) as file:
            # A network disk may give what root writes to another user.
            if os.fstat(file.fileno()).st_uid == owner:
                return
    except OSError:
        # Who writes there is told why that cannot be.
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise StorageError(
        f"this home belongs to the user {name}, who could not read what root writes into it",
        where=str(home.path),
        remedy=f"run the command as that user: sudo -u '{name}' factory ...; or, if root is to "
        f"have the factory, give all of it to root: chown -R root {shlex.quote(str(home.path))}",
    )


def instance_settings(postgres: bool) -> bytes:
    """Return `dagster.yaml`; it names the variable with a database's address, not the address.

    Raises:
        SettingError: the file of other settings cannot be read.
    """
    settings = Path(__file__).with_name("dagster.yaml").read_text(encoding="utf-8")
    if other := os.environ.get(SETTINGS_VARIABLE):
        settings = _with_sections(settings, Path(other))
    if postgres:
        settings += f"\nstorage:\n  postgres:\n    postgres_url:\n      env: {DATABASE_VARIABLE}\n"
    return settings.encode()


def _with_sections(settings: str, file: Path) -> str:
    """Return the settings with those in the file, section by section."""
    import yaml

    own = yaml.safe_load(settings)
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(sections, dict):
            raise ValueError("it has no sections")
        merged = {name: {**own.get(name, {}), **section} for name, section in sections.items()}
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise SettingError(
            f"Dagster's settings cannot be read from {file} ({str(error).splitlines()[0]})",
            where=SETTINGS_VARIABLE,
            remedy="name a file such as factory k8s render --runs pods writes, or unset it",
        ) from error
    return yaml.safe_dump({**own, **merged}, sort_keys=False)


def record_database(home: Home) -> None:
    """Record that the databases that the environment names are those of the home, prepared."""
    if address := server_address():
        os.environ[DATABASE_VARIABLE] = alchemy_address(address)
    settings = instance_settings(address is not None)
    home.write_atomic(home.dagster / "dagster.yaml", settings)
    home.write_durable(home.path / PREPARED, preparation(home, settings))


def create_dagster(folder: Path) -> None:
    """Create Dagster's tables where the environment says; what else it writes is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_bytes(instance_settings(engine() == "postgresql"))
    _open_instance(folder)


def create_run_log(folder: Path, run_id: str) -> Path:
    """Create the SQLite file of the events of one run, and return it.

    Args:
        folder: as for `create_dagster`.
    """
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder)) as instance:
        # Opening it makes it.
        instance.all_logs(run_id)
    return folder / "history" / "runs" / f"{run_id}.db"


def mirrored_events() -> frozenset[str]:
    """Return the types of the events that Dagster also keeps in its index, if it uses SQLite."""
    from dagster._core import events

    kinds = {*events.ASSET_EVENTS, *events.ASSET_CHECK_EVENTS}
    return frozenset(kind.value for kind in {*kinds, *events.EVENT_TYPE_TO_PIPELINE_RUN_STATUS})


def preparation(home: Home, settings: bytes) -> bytes:
    """Return the content of `prepared.json` for the databases that the environment names."""
    versions = {name: version(name) for name in ("dagster", "mlflow")}
    prepared = {
        "home": str(home.path),
        **versions,
        "database": database_digest(),
        "settings": sha256(settings).hexdigest(),
    }
    return json.dumps(prepared).encode()


def _has_content(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _files(home: Home) -> tuple[SqliteFile, ...]:
    """Return the databases that must exist before anything else starts."""
    return (*dagster_files(home), mlflow_file(home))


def _previous_folder(marker: Path) -> Path | None:
    """Return the folder in which the home was prepared last; None if it never was, completely."""
    try:
        return Path(json.loads(marker.read_bytes())["home"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _remove_unused(home: Home) -> None:
    """Remove the databases of an interrupted first start; nothing was stored in them."""
    for file in _files(home):
        if file.path.exists() and file.is_unused():
            file.remove()


def _update_addresses(home: Home, previous: Path) -> None:
    from factory_resources.tracking.registry import Registry

    relocate(Registry(home).uri, Home(previous).artifacts, home.artifacts)


def _create_databases(home: Home, settings: bytes, *, in_files: bool) -> None:
    from factory_resources.tracking.registry import Registry

    missing = [file for file in dagster_files(home) if not file.path.exists()] if in_files else []
    if missing:
        with home.scratch() as scratch:
            (scratch / "dagster.yaml").write_bytes(settings)
            _open_instance(scratch)
            for file in missing:
                file.install(scratch / file.path.relative_to(home.dagster))
    _open_instance(home.dagster)
    Registry(home).initialise()


def _open_instance(folder: Path) -> None:
    """Open the instance of a folder once, which creates or migrates its databases."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.get_runs(limit=1)
        instance.get_asset_keys()
        instance.all_instigator_state()


_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(database: str, old: Path, new: Path) -> None:
    """Replace the folder `old` by `new` at the start of every stored address, in one transaction.

    Args:
        database: SQLAlchemy address of MLflow's tables.
        old: the previous folder of all artifacts.
        new: their current folder.
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
