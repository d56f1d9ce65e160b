"""Fifty people leave a factory whose databases are on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from tests.commands import in_process
from tests.ledger import problems
from tests.pipelines import enter
from tests.plain_search import places, server_places
from tests.planted_people import WHERE, use_factory
from tests.postgres import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def address(postgres: Postgres, prepared_tables: str) -> Iterator[str]:
    """The address of a database of its own; the tables of libraries are there."""
    with postgres.database(prepared_tables) as address:
        yield address


@pytest.mark.long
def test_nothing_of_fifty_people_is_found_in_the_database(
    postgres: Postgres, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    enter(root, monkeypatch)
    monkeypatch.setenv(DATABASE_VARIABLE, address)
    use_factory(root)
    before = server_places(postgres, address, tmp_path / "before")
    for table in ("public.event_logs", "public.asset_keys", "predictions.prediction"):
        assert table in before, sorted(before)
    assert any(place.isdecimal() for place in before), "no file of the server has their values"
    code, text = in_process("forget", "--where", WHERE, "--reason", "request 2026-117", "--yes")
    assert code == 0, text
    home = Home(root / "home")
    assert places(home.path, tmp_path / "files") == set()
    assert server_places(postgres, address, tmp_path / "after") == set()
    assert problems(home) == []
    code, text = in_process("run", "people")
    assert code == 0, text
    code, text = in_process("verify")
    assert code == 0, text
