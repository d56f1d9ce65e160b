"""Fixtures that run a test on both engines of the prediction log."""

from collections.abc import Iterator

import pytest

from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.postgres import Postgres

_SCHEMAS = ("ledger", "predictions", "outcomes")

_DROP = [f"DROP SCHEMA IF EXISTS {schema} CASCADE" for schema in _SCHEMAS]


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name the engine; on PostgreSQL neither schema exists yet."""
    name: str = request.param
    if name == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        server.execute(*_DROP)
        monkeypatch.setenv("FACTORY_DATABASE_URL", server.url)
    else:
        monkeypatch.delenv("FACTORY_DATABASE_URL", raising=False)
    yield name
    if name == "postgres":
        server.execute(*_DROP)


@pytest.fixture
def log(home: Home, engine: str) -> Iterator[PredictionLog]:
    """The prediction log of a home with a ledger."""
    Ledger(home).begin()
    with PredictionLog(home) as opened:
        yield opened
