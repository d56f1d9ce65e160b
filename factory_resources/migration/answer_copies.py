"""Copy what a server has and is verified into SQLite files, with the ledger of the same moment.

Whoever verifies a home reads files. Carrying a home over for good belongs in `to_files`.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from factory_resources.home.database import chosen_database
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.migration.catalog import run
from factory_resources.migration.report import require_space
from factory_resources.migration.server import connected
from factory_resources.migration.stores import Store, stores
from factory_resources.migration.to_files import begin_reading, carry_all
from factory_resources.prediction_log.collector import collecting_paused

_COPIED = ("answers", "outcomes")

_ALIASES = (
    "SELECT name, version, alias FROM mlflow.registered_model_aliases WHERE alias = 'champion'"
)

_ROOM = 2
"""Times the size of these tables on the server: what the files may take, journals included."""


def copy_answers(home: Home, address: str, folder: Path) -> None:
    """Write `ledger.db`, and `predictions.db` and `outcomes.db` if there were any, into a folder.

    `mlflow.db` there has the aliases of champions alone. Whatever the ledger names is in the
    others, or was killed on its way there from the journal.

    Args:
        address: as PostgreSQL's client library reads it.
        folder: on the home's own file system.

    Raises:
        StorageError: the server or the disk cannot be used, or a copy differs.
    """
    made = Home(folder)
    with connected(address, "FACTORY_DATABASE_URL") as connection:
        present = [one for one in stores() if one.name in _COPIED and one.is_on_server(connection)]
        require_space(home, _ROOM * sum(_size(one, connection) for one in present))
        with chosen_database(None):
            for store in present:
                store.create(made)
        with collecting_paused(home):
            Ledger(home).copy(made.ledger)
            begin_reading(connection)
        if any(one.name == "MLflow" and one.is_on_server(connection) for one in stores()):
            _write_aliases(run(connection, _ALIASES), made.mlflow_database)
        carry_all(made, present, connection, lambda _: None)


def _write_aliases(aliases: Sequence[Any], file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "CREATE TABLE registered_model_aliases (name TEXT, version INT, alias TEXT)"
        )
        database.executemany("INSERT INTO registered_model_aliases VALUES (?, ?, ?)", aliases)


def _size(store: Store, connection: Any) -> int:
    query = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'"
    )
    [(size,)] = run(connection, query, [store.schema])
    return int(size)
