"""Commands that only read make nothing in a folder in which nothing has run."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.audit.dossier.cited_home import chosen_version
from factory_assets.cli.main import main
from factory_resources.errors import UnknownNameError
from factory_resources.home.database import DATABASE_VARIABLE, MIGRATION_SCHEMA
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres

ANSWER = "01a2167c-20e1-76cb-874d-b3de98900000"

READING = (
    "trace apples@1",
    "trace apples/clean",
    "trace defs/apples/data.csv",
    f"trace {ANSWER}",
    f"trace {ANSWER} --edge-log pack",
    f"trace {ANSWER} --evidence evidence.zip --prediction proof.json",
    "reproduce apples@1",
    "influence apples@1 --row 1",
    "verify",
    "evidence apples@1 --out evidence.zip",
    "dossier apples",
    "dossier apples@1 --format json",
    "dossier apples@champion --as model-card",
    "ledger export --out tiles",
    "governance show apples",
    "status",
    "status --json",
    "cost apples",
    "cost apples --json",
    f"answers prove {ANSWER} --out proof.json",
    "run apples --explain",
    "check apples",
    "contract apples",
    "schema",
    "token list",
    "sbom apples@1 --out bom.json",
    "openlineage apples",
    "export-data apples --as odcs --out odcs",
    "monitor apples",
    "backup copied",
)


@pytest.fixture(autouse=True)
def _declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "defs" / "apples"
    folder.mkdir(parents=True)
    declare(folder, APPLES)
    write_apples(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("words", READING)
def test_an_empty_folder_stays_empty_and_a_missing_one_missing(words: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = CliRunner().invoke(main, words.split())
    assert not home.exists(), done.output
    home.mkdir(mode=0o700)
    again = CliRunner().invoke(main, words.split())
    assert [*home.rglob("*")] == [], again.output
    for result in (done, again):
        assert result.exit_code in (0, 1, 2), result.output
        assert isinstance(result.exception, SystemExit | None)
        if result.exit_code == 2:
            assert len(result.output.splitlines()) == 1, result.output


def test_a_list_without_tokens_says_so() -> None:
    told = "there are no tokens; make one: factory token new\n"
    assert CliRunner().invoke(main, ["token", "list"]).output == told


def test_a_token_for_no_model_is_refused_with_what_is_to_be_done() -> None:
    done = CliRunner().invoke(main, ["token", "new", "--for", "night", "--pipelines", "apples"])
    told = "error: there is no model of 'apples'; run a pipeline that trains one first\n"
    assert (done.exit_code, done.output) == (2, told)


def test_of_a_pipeline_without_models_nobody_is_told_to_train_one(tmp_path: Path) -> None:
    declare(tmp_path / "defs" / "apples", {name: APPLES[name] for name in ("purpose", "ingest")})
    told = "; without `train` it has no models; declare `train`, or use its clean table"
    done = CliRunner().invoke(main, ["pack", "apples", "--edge", "--out", "pack"])
    assert (done.exit_code, done.output.endswith(f"{told}\n")) == (2, True), done.output
    with pytest.raises(UnknownNameError, match=told):
        chosen_version("apples", None, Home(tmp_path / "home"))


def test_a_pipeline_that_nobody_declared_is_not_to_be_run() -> None:
    done = CliRunner().invoke(main, ["pack", "aples", "--edge", "--out", "pack"])
    told = "'aples' has no champion yet, nor is it declared; did you mean 'apples'? valid: "
    assert (done.exit_code, told in done.output) == (2, True), done.output


@pytest.mark.parametrize("below", ["", "home"])
@pytest.mark.parametrize("words", ["status", "run apples"])
def test_a_home_that_is_a_file_is_named_itself(
    words: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / below
    monkeypatch.setenv("FACTORY_HOME", str(home))
    done = CliRunner().invoke(main, words.split())
    told = f"{home}: this is not a folder, or is in none; name a folder in FACTORY_HOME"
    assert (done.exit_code, done.output) == (2, f"error: {told}\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("status", 0, "All is well."),
        ("trace apples@1", 2, "there is no model 'apples'"),
        ("predict apples defs/apples/data.csv", 2, "'apples' has no champion yet"),
        ("pack apples --edge --out pack", 2, "'apples' has no champion yet"),
    ],
)
def test_an_empty_database_on_a_server_is_a_factory_in_which_nothing_has_run(
    words: str,
    code: int,
    said: str,
    tmp_path: Path,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgres.database() as address:
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        done = CliRunner().invoke(main, words.split())
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert not (tmp_path / "home" / "logs").exists()


def test_a_database_to_which_another_home_is_being_carried_is_not_read(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database() as address:
        postgres.execute(
            f"CREATE SCHEMA {MIGRATION_SCHEMA}",
            f"COMMENT ON SCHEMA {MIGRATION_SCHEMA} IS '/srv/factory'",
            database=address,
        )
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 2
    assert "the migration of the factory in /srv/factory to this database is not finished" in (
        done.output
    )
