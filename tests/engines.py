"""Which databases a test uses: files of a home, or a PostgreSQL database of its own.

A module whose tests use the fixture `engine` or `prepared_engine` (`tests/conftest.py`) runs on
both. What is about the files alone is marked with `ON_FILES`, and its name says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.postgres import Postgres

ENGINES = ("sqlite", "postgres")

ON_FILES = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

ON_POSTGRES = pytest.mark.parametrize("engine", ["postgres"], indirect=True)


def server_in_long(fixture: str) -> pytest.MarkDecorator:
    """Let a test use the server only in `make test-long`, where it costs more than it may find.

    Args:
        fixture: the one whose parameters are `ENGINES`.
    """
    files, server = ENGINES
    engines = [files, pytest.param(server, marks=pytest.mark.long)]
    return pytest.mark.parametrize(fixture, engines, indirect=True)


@contextmanager
def copied_database(request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    """Yield the address of a copy of a database.

    Args:
        template: the address of the database; empty if the test uses files, as is then what is
            yielded.
    """
    if not template:
        yield ""
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database(template) as address:
        yield address


@contextmanager
def prepared_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a database with the tables of Dagster and MLflow.

    It is empty if the fixture, whose parameters are `ENGINES`, has the parameter of files.
    """
    files = request.param == "sqlite"
    template = "" if files else str(request.getfixturevalue("prepared_tables"))
    with copied_database(request, template) as address:
        yield address
