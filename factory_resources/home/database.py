"""Addresses of the factory's databases: SQLite files in the home, or one PostgreSQL server."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from factory_resources.errors import StorageError
from factory_resources.home.home import DISK_FAULTS, Home

DATABASE_VARIABLE = "FACTORY_DATABASE_URL"

MIGRATION_SCHEMA = "migration"
"""A schema that a database of PostgreSQL has while a home is carried over to it, which its comment
names."""

UNOPENED = "unable to open database file"
"""What SQLite says of a file that it cannot open, and of one beside it that it cannot make."""

PREPARED = "prepared.json"
"""The file of a home that says, among others, which database was prepared for it."""

Engine = Literal["sqlite", "postgresql"]

_FILES = "sqlite"
"""What is recorded in place of an address."""

_PASSWORDS = ("password", "sslpassword")
"""Options of an address that are secret."""

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")

_PORT = re.compile(r":([0-9]*)$")

_PORTS = re.compile(r"[0-9,]*")


def server_address() -> str | None:
    """Return the address of the factory's PostgreSQL as its client library reads it.

    None if the databases are in the home.

    Raises:
        StorageError: the variable has no address of a PostgreSQL database.
    """
    declared = os.environ.get(DATABASE_VARIABLE)
    return plain_address(declared, where=DATABASE_VARIABLE) if declared else None


def plain_address(declared: str, *, where: str) -> str:
    """Return an address as PostgreSQL's own client library reads it, whoever wrote it.

    Args:
        where: where the address stands, for the message.

    Raises:
        StorageError: it is not the address of a PostgreSQL database.
    """
    # A file from which a Secret of Kubernetes is made mostly ends with a line break.
    scheme, divider, rest = declared.strip().partition("://")
    address = f"postgresql://{_readable_by_all(rest)}"
    if not divider or scheme not in _SCHEMES or not _is_read_by_libpq(address):
        # Neither the address nor what the library says of it, since that may contain a password.
        raise StorageError(
            "this is not the address of a PostgreSQL database",
            where=where,
            remedy="write it as postgresql:///factory?host=/var/run/postgresql, or as "
            "postgresql://user@host:5432/factory; in user and password write %25 for %, %2F for / "
            "and %40 for @",
        )
    return address


def _readable_by_all(rest: str) -> str:
    """Return an address, without its scheme, as SQLAlchemy and Python read it, too.

    PostgreSQL's own library takes names and passwords with any character but `@` and `/`, and
    several hosts, each with its port.
    """
    login, at, place = rest.partition("@")
    if not at or "/" in login:
        login, at, place = "", "", rest
    for character in "?#[]":
        login = login.replace(character, quote(character))
    hosts, _, database = place.partition("/")
    if "," not in hosts or "?" in hosts:
        return f"{login}{at}{place}"
    several = hosts.split(",")
    names = ",".join(_PORT.sub("", one).strip("[]") for one in several)
    ports = ",".join(found[1] if (found := _PORT.search(one)) else "" for one in several)
    joined = "&" if "?" in database else "?"
    return f"{login}{at}/{database}{joined}host={names}&port={ports}"


def _is_read_by_libpq(address: str) -> bool:
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    try:
        options = parse_dsn(address)
    except ProgrammingError:
        return False
    return bool(_PORTS.fullmatch(options.get("port", "")))


def has_password(address: str) -> bool:
    """Return whether a password stands in an address, before its host or among its options."""
    from psycopg2.extensions import parse_dsn

    return bool({*_PASSWORDS} & parse_dsn(address).keys())


def without_password(address: str) -> str:
    """Return an address to be shown: with dots where a password stands in it."""
    password = urlsplit(address).password
    shown = address.replace(f":{password}@", ":...@", 1) if password else address
    return re.sub(rf"(?<=[?&])({'|'.join(_PASSWORDS)})=[^&]*", r"\1=...", shown)


def schema_address(address: str, schema: str) -> str:
    """Return an address with a schema in which names are looked up; other options stay."""
    return set_option(address, f"search_path={schema}")


def set_option(address: str, option: str) -> str:
    """Return an address with a setting of PostgreSQL, given as `name=value`; others stay."""
    base, _, query = address.partition("?")
    parts = [part for part in query.split("&") if part]
    options = [unquote(part.partition("=")[2]) for part in parts if part.startswith("options=")]
    kept = [part for part in parts if not part.startswith("options=")]
    joined = quote(" ".join([*options, f"-c{option}"]), safe="")
    return f"{base}?{'&'.join([*kept, f'options={joined}'])}"


def plain_row(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row of psycopg with bytes in place of memory views."""
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


def schema_words(schema: str) -> str:
    """Return what names a schema in messages, without the address, which may contain a password."""
    return f"{DATABASE_VARIABLE}, schema {schema}"


def engine() -> Engine:
    """Return which databases the environment names."""
    return "postgresql" if os.environ.get(DATABASE_VARIABLE) else "sqlite"


@contextmanager
def chosen_database(address: str | None) -> Iterator[None]:
    """Use another database in the block: the one at this address, or files if it is None."""
    before = os.environ.pop(DATABASE_VARIABLE, None)
    if address is not None:
        os.environ[DATABASE_VARIABLE] = address
    try:
        yield
    finally:
        os.environ.pop(DATABASE_VARIABLE, None)
        if before is not None:
            os.environ[DATABASE_VARIABLE] = before


def database_digest() -> str:
    """Return a digest of what the environment names, since the address may contain a password."""
    return sha256((os.environ.get(DATABASE_VARIABLE) or _FILES).encode()).hexdigest()


def recorded_engine(home: Home) -> Engine | None:
    """Return where the databases of a home are; None if it was never prepared."""
    if (digest := _recorded_digest(home)) is None:
        return None
    # An empty variable was once recorded as an address.
    files = {sha256(name.encode()).hexdigest() for name in (_FILES, "")}
    return "sqlite" if digest in files else "postgresql"


def is_recorded(home: Home) -> bool:
    """Whether the home was prepared with the very database that the environment names."""
    return _recorded_digest(home) == database_digest()


def _recorded_digest(home: Home) -> str | None:
    try:
        return str(json.loads((home.path / PREPARED).read_bytes())["database"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def require_recorded_engine(home: Home) -> None:
    """Check that the environment names the databases that the home has.

    Otherwise there would be two of each, and what one of them says would not be true.

    Raises:
        StorageError: it names others.
    """
    recorded = recorded_engine(home)
    if recorded is None or recorded == engine():
        return
    if recorded == "sqlite":
        raise StorageError(
            f"the databases of this factory are files of its home, but {DATABASE_VARIABLE} is set",
            where=str(home.path),
            remedy=f"unset {DATABASE_VARIABLE}, or carry them over: factory migrate --to URL",
        )
    raise StorageError(
        f"the databases of this factory are on PostgreSQL, but {DATABASE_VARIABLE} is not set",
        where=str(home.path),
        remedy=f"export {DATABASE_VARIABLE} as it was; files of the home would be out of date",
    )


def migrating_home(connection: Any) -> str | None:
    """Return the folder of the home whose migration to a database is not finished, if there is one.

    Args:
        connection: to PostgreSQL.
    """
    query = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
    with connection.cursor() as cursor:
        cursor.execute(query, [MIGRATION_SCHEMA])
        found = cursor.fetchone()
    return str(found[0]) if found else None


def require_no_migration(address: str, own: Path | None = None) -> None:
    """Check that no migration to a database was begun and not finished: it may lack any row.

    Args:
        own: the home whose migration may be under way, since it asks itself what is there.

    Raises:
        StorageError: one was.
    """
    import psycopg2

    with closing(psycopg2.connect(address)) as connection:
        folder = migrating_home(connection)
    if folder is not None and folder != str(own):
        raise StorageError(
            f"the migration of the factory in {folder} to this database is not finished",
            where=DATABASE_VARIABLE,
            remedy="run factory migrate there again, or name another database",
        )


def require_utf8(connection: Any, where: str) -> None:
    """Check that a database can store every character; the first entry of a ledger has some.

    Args:
        connection: to PostgreSQL.
        where: what names the database, for the message.

    Raises:
        StorageError: it cannot.
    """
    encoding = connection.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"the encoding of the database is {encoding}, which does not have every character",
            where=where,
            remedy="create another database: createdb --encoding UTF8 --template template0 NAME",
        )


def database_address(file: Path, schema: str) -> str:
    """Return the SQLAlchemy address of a database.

    On a shared PostgreSQL each library has a schema of its own, since several use the same table
    names.

    Args:
        file: the SQLite file, used if `FACTORY_DATABASE_URL` is not set.
        schema: the schema, used if it is set.
    """
    if (server := server_address()) is None:
        return f"sqlite:///{file}"
    return alchemy_address(schema_address(server, schema))


def alchemy_address(address: str) -> str:
    """Return an address as SQLAlchemy reads it, for which a bare postgresql:// is psycopg 3."""
    return "postgresql+psycopg2://" + address.partition("://")[2]


def make_schema(uri: str, schema: str) -> None:
    """Create the schema if it is missing; SQLite has none."""
    import sqlalchemy as sa

    if uri.startswith("sqlite"):
        return
    engine = sa.create_engine(uri)
    try:
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    finally:
        engine.dispose()


def query_sqlite(file: Path, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """Run a SELECT on a SQLite file and return its rows; none if there is no file yet."""
    import sqlite3

    if not file.exists():
        return []
    try:
        return _selected(file, statement, values, still=is_still(file))
    except sqlite3.OperationalError as error:
        # On a full disk there is no room for the index of a write-ahead log.
        if not is_disk_fault(error) or not is_complete(file):
            raise
        return _selected(file, statement, values, still=True)


def _selected(file: Path, statement: str, values: Mapping[str, Any], *, still: bool) -> list[Any]:
    import sqlite3

    address = f"file:{quote(str(file))}{'?immutable=1' if still else ''}"
    with closing(sqlite3.connect(address, uri=True, timeout=60)) as connection:
        return connection.execute(statement, values).fetchall()


def is_disk_fault(error: Exception) -> bool:
    """Whether SQLite says that the disk is full or cannot be written, or has room for no file."""
    return any(reason in str(error) for reason in (*DISK_FAULTS, UNOPENED))


def is_still(file: Path) -> bool:
    """Whether a SQLite file can only be read as it is, and all that was stored is in it.

    Where nothing can be written, there is no room for the index of a write-ahead log.
    """
    return is_complete(file) and not os.access(file.parent, os.W_OK, effective_ids=True)


def is_complete(file: Path) -> bool:
    """Whether all that was stored is in the file itself."""
    beside = (file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-journal"))
    return not any(log.exists() and log.stat().st_size for log in beside)
