"""How homes of tests get the tables of MLflow and Dagster for less.

MLflow's empty tables are migrated once and then copied: MLflow makes those of a new home by sixty
migrations, a second of CPU for each of the hundreds of homes that the tests make. Commands that
start as a person starts them make their own.

The migrations of both libraries, which Alembic reads whenever a database is made or opened, are
read once: that halves the .4 s of CPU that preparing a home takes then.
"""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.shared_homes import written_once

_MODULE = "mlflow.store.db.utils"


def copy_tables(folder: Path) -> None:
    """Let MLflow, once it is imported, keep the tables that it makes first, and copy them later.

    Args:
        folder: that all processes share.
    """
    utils = sys.modules.get(_MODULE)
    if utils is not None and not hasattr(utils._initialize_tables, "copied"):
        utils._initialize_tables = _copying(utils._initialize_tables, folder / "mlflow-tables.db")


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
        made = Path(engine.url.database)
        if file.exists():
            _copy(file, made)
            return
        migrate(engine)
        written_once(file, lambda part: _copy(made, part))

    initialise.copied = True  # type: ignore[attr-defined]
    return initialise


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
