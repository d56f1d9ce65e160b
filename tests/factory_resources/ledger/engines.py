"""A fixture that runs a test on both engines of the ledger."""

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres

_DROP = "DROP SCHEMA IF EXISTS ledger CASCADE"


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name the engine; of PostgreSQL the schema of the ledger does not exist yet."""
    name: str = request.param
    if name == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        server.execute(_DROP)
        monkeypatch.setenv("FACTORY_DATABASE_URL", server.url)
    else:
        monkeypatch.delenv("FACTORY_DATABASE_URL", raising=False)
    yield name
    if name == "postgres":
        server.execute(_DROP)
