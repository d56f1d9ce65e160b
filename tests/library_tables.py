"""How homes of tests get the tables of MLflow and Dagster for less.

MLflow's empty tables are migrated once by each test process and then copied: MLflow makes those of
a new home by sixty migrations, a second of CPU for each of the hundreds of homes that the tests
make. Homes that commands make in processes of their own are not copied.

The migrations of both libraries, which Alembic reads whenever a database is made or opened, are
read once: that halves the .4 s of CPU that preparing a home takes then.
"""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

_MODULE = "mlflow.store.db.utils"


def copy_tables(file: Path) -> None:
    """Let MLflow, once it is imported, keep the tables that it makes first, and copy them later.

    Args:
        file: the SQLite file that keeps them.
    """
    utils = sys.modules.get(_MODULE)
    if utils is not None and not hasattr(utils._initialize_tables, "copied"):
        utils._initialize_tables = _copying(utils._initialize_tables, file)


def keep_migrations() -> None:
    """Let Alembic, once it is imported, read each folder of migrations once."""
    script = sys.modules.get("alembic.script")
    if script is not None and not hasattr(script.ScriptDirectory.from_config, "kept"):
        script.ScriptDirectory.from_config = _keeping(script.ScriptDirectory.from_config)


def _keeping(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    folders: dict[str, Any] = {}

    def from_config(config: Any) -> Any:
        location = config.get_main_option("script_location")
        if location not in folders:
            folders[location] = read(config)
        return folders[location]

    from_config.kept = True  # type: ignore[attr-defined]
    return from_config


def _copying(migrate: Callable[[Any], None], file: Path) -> Callable[[Any], None]:
    def initialise(engine: Any) -> None:
        if engine.dialect.name != "sqlite":
            migrate(engine)
            return
        if not file.exists():
            migrate(engine)
            _copy(Path(engine.url.database), file)
            return
        _copy(file, Path(engine.url.database))

    initialise.copied = True  # type: ignore[attr-defined]
    return initialise


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
