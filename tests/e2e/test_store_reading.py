"""What reads a factory's results finds them in its store: answers, influences, evidence."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.store.store import shared_store
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.serving import serving, start
from tests.storage import S3

pytestmark = pytest.mark.slow

_DECLARED: dict[str, Any] = {
    **APPLES,
    "evaluate": {
        "importances": 0,
        "bootstrap": 0,
        "influence": {"subsets": 8, "rows": 5, "at_least": 0},
    },
}

_VERIFIER = str(PROJECT / "factory_resources" / "ledger" / "factory_verify.py")

_ROW = {"size": 3.5, "colour": "red"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Iterator[Path]:
    """A folder with a home whose model serves, with a store, and its pipeline."""
    root = tmp_path_factory.mktemp("reading")
    write_apples(root / "defs" / "apples")
    pipeline = declare(root / "defs" / "apples", _DECLARED)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        patch.delenv(DATABASE_VARIABLE, raising=False)
        patch.setenv("FACTORY_STORE", "s3://plant/reading")
        patch.setenv("FACTORY_S3_ENDPOINT", s3.endpoint)
        patch.setenv("FACTORY_S3_ACCESS_KEY", "a")
        patch.setenv("FACTORY_S3_SECRET_KEY", "b")
        home = Home(root / "home")
        prepare(home)
        for stage in stages_of(pipeline):
            run_stage(StageRequest(pipeline, stage, home, "run"))
        yield root


@pytest.fixture
def emptied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home without any of what is in the store."""
    home = Home(copytree(made / "home", tmp_path / "home"))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    store = shared_store(home)
    assert store is not None
    keys = [one.key for one in store.client.list("")]
    assert {key.split("/")[0] for key in keys} >= {"tables", "records", "artifacts"}
    for key in keys:
        (home.path / key).unlink(missing_ok=True)
    assert not [*home.tables.rglob("*.parquet")]
    return home


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def _said(home: Home, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    done = _call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_server_answers_from_the_store(made: Path, emptied: Home) -> None:
    answers = []
    for home in (emptied, Home(made / "home")):
        with serving(home.path) as server:
            answer = server.ask("/predict/apples?explain=true", _ROW)
            assert answer.status == 200, server.log
            answers.append({name: answer.json[name] for name in answer.json if name != "id"})
    assert answers[0] == answers[1]
    assert answers[0]["version"] == 1
    # Rows are not needed.
    assert not [*emptied.tables.rglob("*.parquet")]


def test_influences_are_read_from_the_store(
    made: Path, emptied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["--row", "1"], ["--suspicious"]):
        command = ["influence", "apples@1", *arguments, "--json"]
        there, here = (_said(one, monkeypatch, *command) for one in (emptied, Home(made / "home")))
        assert json.loads(there) == json.loads(here)
        assert json.loads(there)["rows"]


def test_evidence_is_collected_from_the_store(
    made: Path, emptied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    for number, home in enumerate((emptied, Home(made / "home"))):
        out = tmp_path / f"{number}.zip"
        said = _said(home, monkeypatch, "evidence", "apples@1", "--out", str(out), "--with-rows")
        sizes.append(said.split(" entries and ")[1].split(" files")[0])
        verified = subprocess.run(
            [sys.executable, _VERIFIER, str(out)], capture_output=True, text=True, check=False
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "command",
    [["influence", "apples@1", "--row", "1"], ["evidence", "apples@1", "--out", "apples.zip"]],
    ids=lambda command: command[0],
)
def test_a_store_that_is_away_is_one_line(
    command: list[str], emptied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    done = _call(*command)
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1), done.output
    assert "the storage cannot be reached" in done.output
    assert not (tmp_path / "apples.zip").exists()


def test_a_server_does_not_start_without_its_store(
    emptied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AssertionError, match="ended with 2") as told:
        start(emptied.path)
    assert "the storage cannot be reached" in str(told.value)
    assert "Traceback" not in str(told.value)
