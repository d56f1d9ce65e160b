"""A database that has the ledger of another factory is refused before anything is changed there."""

import shutil
from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE, chosen_database
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.keys import key_file
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.ownership import foreign_ledger, require_own_ledger
from tests.postgres import Postgres


def test_the_database_of_another_factory_is_refused(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    for name in ("FACTORY_HOME", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    first, other = Home(tmp_path / "first"), Home(tmp_path / "other")
    with postgres.database() as address, chosen_database(address):
        require_own_ledger(other)
        Ledger(first).begin()
        require_own_ledger(first)
        key = key_file(other)
        with pytest.raises(StorageError, match=f"{DATABASE_VARIABLE}: .* and {key} is missing; "):
            prepare(other)
        with chosen_database(None):
            Ledger(other).begin()
        said = f"another factory, {foreign_ledger(other)}; name that of {other.path}, or in FACTO"
        with pytest.raises(StorageError, match=said):
            prepare(other)
        assert not (other.path / "prepared.json").exists()
        schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|inf|public)'"
        assert postgres.execute(schemas, database=address) == [("ledger",)]
        shutil.copy(key_file(first), key)
        require_own_ledger(other)
        assert foreign_ledger(other) is None
