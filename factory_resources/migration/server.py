"""The PostgreSQL server to which databases are carried: is it usable, and what is unfinished there?

While a migration goes on, the database has a schema `migration`, which names the home. By it the
next one of that home knows what a killed one has left, and removes that.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.home.database import MIGRATION_SCHEMA, migrating_home, require_utf8
from factory_resources.home.home import Home
from factory_resources.migration.catalog import run

_OLDEST = 13
"""The oldest major version of PostgreSQL that is not past its end of life, as of 2025."""

_FORMATS = "SET bytea_output = hex; SET datestyle = ISO; SET extra_float_digits = 1"
"""How values are written, whatever the database or its user has as the default."""

_PATIENCE = 10
"""Seconds to wait for another migration."""

_WHERE = "the database of --to"

_EMPTY_REMEDY = "create another database, for this factory alone: createdb NAME"


@contextmanager
def connected(address: str, where: str = _WHERE) -> Iterator[Any]:
    """Yield a connection in autocommit mode.

    Raises:
        StorageError: the server cannot be used, or its disk is full.
    """
    import psycopg2
    from psycopg2 import errors

    try:
        connection = psycopg2.connect(address)
    except psycopg2.Error as error:
        raise _fault(error, where) from error
    connection.autocommit = True
    try:
        connection.set_client_encoding("UTF8")
        run(connection, _FORMATS)
        version = connection.server_version // 10_000
        if version < _OLDEST:
            raise StorageError(
                f"the server is PostgreSQL {version}",
                where=where,
                remedy=f"use PostgreSQL {_OLDEST} or later",
            )
        yield connection
    except errors.DiskFull as error:
        raise StorageError(
            "the disk of the server is full", where=where, remedy="free space there, then run again"
        ) from error
    except (
        psycopg2.OperationalError,
        psycopg2.InterfaceError,
        errors.InsufficientPrivilege,
        errors.ReadOnlySqlTransaction,
    ) as e:
        raise _fault(e, where) from e
    finally:
        connection.close()


def _fault(error: Exception, where: str) -> StorageError:
    lines = str(error).splitlines() or [type(error).__name__]
    return StorageError(
        f"it cannot be used ({lines[0]})",
        where=where,
        remedy="check the server, the address and the rights of the user, then run again",
    )


def default_schema(connection: Any) -> str:
    """Return the schema in which tables are made if none is named.

    Raises:
        StorageError: there is none.
    """
    [(schema,)] = run(connection, "SELECT current_schema()")
    if schema is None:
        raise StorageError(
            "it has no schema in which tables could be made", where=_WHERE, remedy=_EMPTY_REMEDY
        )
    return str(schema)


def require_free(connection: Any, home: Home, schemas: Iterable[str]) -> bool:
    """Check that the database is empty, or has only what a killed migration of this home left.

    What another home has left may be all that it has, if it was killed at the very end.

    Args:
        schemas: those of the factory, but the default one.

    Returns:
        Whether a killed migration left something.

    Raises:
        StorageError: the database has something else, or cannot store every character.
    """
    require_utf8(connection, _WHERE)
    killed = migrating_home(connection)
    if killed is None:
        _require_empty(connection, schemas)
    elif killed != str(home.path):
        raise StorageError(
            f"the migration of the factory in {killed} to it is not finished",
            where=_WHERE,
            remedy="run factory migrate there again, or name another database",
        )
    return killed is not None


def _require_empty(connection: Any, schemas: Iterable[str]) -> None:
    found = run(
        connection,
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1, 2",
        [[default_schema(connection), *schemas]],
    )
    if found:
        raise StorageError(
            f"it is not empty: it has the table {'.'.join(found[0])}",
            where=_WHERE,
            remedy=_EMPTY_REMEDY,
        )


def begin(connection: Any, home: Home, schemas: Iterable[str], tables: Iterable[str]) -> bool:
    """Mark the database, which is empty, as unfinished; first remove what a killed migration left.

    Args:
        schemas: those of the factory, but the default one.
        tables: the names of the factory's tables in the default schema.

    Returns:
        Whether something was removed.

    Raises:
        StorageError: the database is not empty, or another migration to it is under way, or was
            killed.
    """
    _lock(connection)
    default = default_schema(connection)
    killed = require_free(connection, home, schemas)
    if killed:
        for name in tables:
            run(connection, f'DROP TABLE IF EXISTS "{default}"."{name}" CASCADE')
        for schema in schemas:
            run(connection, f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        _require_empty(connection, schemas)
    name = MIGRATION_SCHEMA
    made = f"CREATE SCHEMA IF NOT EXISTS {name}; COMMENT ON SCHEMA {name} IS %s"
    run(connection, made, [str(home.path)])
    return killed


def _lock(connection: Any) -> None:
    """Be alone; the server notices within moments that a killed process is gone."""
    from psycopg2.errors import LockNotAvailable

    run(connection, f"SET lock_timeout = '{_PATIENCE}s'")
    try:
        run(connection, "SELECT pg_advisory_lock(hashtext('factory migrate'))")
    except LockNotAvailable as error:
        raise StorageError(
            "another migration to it is under way", where=_WHERE, remedy="wait until it has ended"
        ) from error
    run(connection, "RESET lock_timeout")


def finish(connection: Any) -> None:
    """Remove the mark."""
    run(connection, f"DROP SCHEMA IF EXISTS {MIGRATION_SCHEMA} CASCADE")
