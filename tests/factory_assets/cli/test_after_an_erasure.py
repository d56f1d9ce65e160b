"""What is done with a home after an erasure: backed up, restored, cleaned, carried to a server."""

from pathlib import Path

import pytest

from factory_resources.erasure.manifest import intent_file, manifests
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from tests.commands import forked, in_process
from tests.erasures import NAME, PERSON, WHERE, copied, erase, home_of, make_people
from tests.killed_steps import KillPoint, run_killed
from tests.ledger import problems
from tests.postgres import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A factory in which a person was erased."""
    folder = tmp_path_factory.mktemp("erased")
    make_people(folder / "made")
    with pytest.MonkeyPatch.context() as patch:
        root = copied(folder / "made", folder / "root", patch)
        assert erase()
    return root


@pytest.fixture
def root(erased: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(erased, tmp_path / "root", monkeypatch)


def _done(*arguments: str) -> str:
    code, text = in_process(*arguments)
    assert code == 0, text
    return text


def _still_holds(home: Home) -> None:
    """Require that the proof is there, that it holds, and that a run leaves the person out."""
    assert problems(home) == []
    [manifest] = manifests(home)
    # In a process of its own: this one may have a database open that was replaced.
    again = ("run", "people", "visits", "--no-reuse", "--stages", "ingest,clean")
    done = forked(home.path)(*again)
    assert done.returncode == 0, done.stdout + done.stderr
    assert manifest.pipelines["people"].versions == (1,)
    for path in sorted(home.path.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        assert NAME.encode() not in content, path
        assert str(PERSON).encode() not in content, path
    assert problems(home) == []


def test_a_backup_has_the_proof_and_is_restored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _done("backup", str(tmp_path / "backup.tar"))
    home = Home(tmp_path / "restored")
    _done("restore", str(tmp_path / "backup.tar"), "--home", str(home.path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    _still_holds(home)


def test_garbage_is_nothing_that_the_proof_needs(root: Path) -> None:
    text = _done("gc", "--apply", "--older-than", "0d")
    assert "removed " in text
    _still_holds(home_of(root))


def test_databases_move_to_a_server_and_back(
    root: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(root)
    with postgres.database() as address:
        _done("migrate", "--to", address)
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        assert "1 erasure" in _done("verify")
        _done("migrate", "--to", "sqlite")
        monkeypatch.delenv(DATABASE_VARIABLE)
    _still_holds(home)


def _erase() -> None:
    erase(f"{WHERE} - 1")


def test_between_two_states_a_home_is_neither_backed_up_nor_cleaned(
    root: Path, tmp_path: Path
) -> None:
    home = home_of(root)
    run_killed(_erase, step=KillPoint("factory_assets.erasure.steps", "replace_records"))
    for arguments in (
        ("backup", str(tmp_path / "backup.tar")),
        ("gc", "--apply", "--older-than", "0d"),
        ("forget", "--where", WHERE, "--reason", "r", "--yes"),
    ):
        code, text = in_process(*arguments)
        assert (code, "an erasure is not finished" in text) == (2, True), text
    assert not (tmp_path / "backup.tar").exists()
    _done("forget", "--resume")
    assert not [*intent_file(home, "").parent.glob("*")]
    _done("backup", str(tmp_path / "backup.tar"))
    assert problems(home) == []
