"""What a migration carried over, and the checks that both directions have in common."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.migration.catalog import StoredTable
from factory_resources.migration.stores import Store
from factory_resources.migration.values import RowDigest


@dataclass(frozen=True)
class CarriedTable:
    """A table whose rows are in both databases."""

    store: str
    name: str
    digest: RowDigest


@dataclass(frozen=True)
class Migration:
    """What was carried over."""

    tables: Sequence[CarriedTable]
    ledger: tuple[int, str] | None
    """The number of entries of the ledger, and its root, recomputed; None if there is no ledger."""
    removed: bool = False
    """Whether something that a killed migration had left on the server was removed first."""
    aside: Path | None = None
    """Where SQLite files went that were out of date; None if there were none."""

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each store."""
        counts = Counter[str]()
        for table in self.tables:
            counts[table.store] += table.digest.count
        return counts


@contextmanager
def ledger_paused(home: Home) -> Iterator[None]:
    """Let nobody append to the ledger that the environment names; who waits for it is refused then.

    The ledger looks where the databases of the home are before it is appended to.
    """
    from factory_resources.ledger.ledger import Ledger

    ledger = Ledger(home)
    with ledger.paused() if ledger.exists else nullcontext():
        yield


def check_ledger(home: Home) -> tuple[int, str] | None:
    """Return size and root of the ledger that the environment names, from its entries.

    Raises:
        StorageError: the root is not the one that the checkpoint signs.
    """
    from factory_resources.ledger.connection import connected, has_tables
    from factory_resources.ledger.factory_verify import CompactRange, LogCheckpoint, leaf_hash
    from factory_resources.ledger.log import Log

    tree = CompactRange()
    # Not by `Ledger`: what entries mean takes long to import, and is not asked here.
    with storage_faults(home):
        if not has_tables(home):
            return None
        with connected(home) as connection:
            log = Log(connection)
            size, note = log.signed
            for _, body in log.bodies(0, size):
                tree.append(leaf_hash(body))
    signed = LogCheckpoint.parse(note.partition("\n\n")[0] + "\n")
    if (signed.size, signed.root) != (tree.size, tree.root):
        raise StorageError(
            "the entries of the ledger have another root than its checkpoint",
            where=str(home.path),
            remedy="factory verify shows what does not hold; nothing was changed",
        )
    return size, tree.root.hex()


@contextmanager
def opened_files(paths: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Open the files of a store, to read them as they are."""
    with _connections(paths, "ro") as connections:
        for connection in connections:
            connection.execute("BEGIN")
        yield connections


@contextmanager
def filled_files(paths: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Open new files of a store, to fill them.

    They are synced when they are complete and thrown away otherwise, so that they need no journal.
    """
    with _connections(paths, "rw") as connections:
        journals = [_set_journal(connection, "off") for connection in connections]
        for connection in connections:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
        yield connections
        for connection, journal in zip(connections, journals, strict=True):
            connection.execute("COMMIT")
            _set_journal(connection, journal)


def _set_journal(connection: sqlite3.Connection, journal: str) -> str:
    """Change how a file is written, and return how it was."""
    [(before,)] = connection.execute("PRAGMA journal_mode").fetchall()
    connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
    return str(before)


@contextmanager
def _connections(paths: Sequence[Path], mode: str) -> Iterator[list[sqlite3.Connection]]:
    connections: list[sqlite3.Connection] = []
    try:
        for path in paths:
            address = f"file:{quote(str(path))}?mode={mode}"
            connections.append(sqlite3.connect(address, uri=True, timeout=60, isolation_level=None))
        yield connections
    finally:
        for connection in connections:
            connection.close()


def file_with(
    connections: Sequence[sqlite3.Connection], store: Store, table: StoredTable
) -> sqlite3.Connection:
    """Return the file of a store that has a table, with the same columns as PostgreSQL's.

    Raises:
        StorageError: none has it.
    """
    for connection in connections:
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", [table.name])
        names = {name for (name,) in columns.fetchall()}
        if names == {column.name for column in table.columns}:
            return connection
        if names:
            break
    raise _other_version(store, f"table {table.name} has other columns in SQLite")


def require_same_version(
    connections: Sequence[sqlite3.Connection],
    store: Store,
    tables: Sequence[StoredTable],
    versions: Sequence[str],
) -> None:
    """Check that SQLite and PostgreSQL have the same tables, in the same version.

    Args:
        tables: those of PostgreSQL.
        versions: in PostgreSQL, of libraries that number their schemas alike in both.

    Raises:
        StorageError: they do not.
    """
    known = {table.name for table in tables}
    for connection in connections:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in found.fetchall():
            if name in known or name.startswith("sqlite_"):
                continue
            if connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone():
                raise _other_version(store, f"PostgreSQL has no table {name}")
    if versions:
        rows = connections[0].execute("SELECT version_num FROM alembic_version").fetchall()
        if sorted(version for (version,) in rows) != sorted(versions):
            raise _other_version(store, "the versions of their schemas differ")


def _other_version(store: Store, why: str) -> StorageError:
    return StorageError(
        f"the tables of {store.name} are those of another version ({why})",
        remedy="run the factory once with the databases that it has, which brings them up to date",
    )


def require_space(home: Home, needed: int) -> None:
    """Check that the file system of the home has as many bytes free.

    Raises:
        StorageError: it has not.
    """
    free = shutil.disk_usage(home.path).free
    if free < needed:
        raise StorageError(
            f"about {needed / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free",
            where=str(home.path),
            remedy="free space there, then run again",
        )
