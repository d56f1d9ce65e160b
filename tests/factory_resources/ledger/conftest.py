"""The recorded home with a ledger, as an auditor gets it."""

import shutil
from pathlib import Path

import pytest

from tests.factory_resources.ledger.homes import LogKey, bodies_of, extract_home, write_ledger


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pipelines with a ledger; nobody may change it."""
    home = extract_home(tmp_path_factory.mktemp("recorded"))
    shutil.rmtree(home / "dagster")
    write_ledger(home / "ledger.db", bodies_of(home, LogKey()), LogKey())
    return home
