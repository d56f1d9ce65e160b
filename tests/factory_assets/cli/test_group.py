"""A command line that is mistyped is told as every other error: on one line, with exit code 2."""

import os
import shlex
import tomllib
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_resources.home.home import Home
from tests.loopback import needs_root
from tests.ordinary_user import USER


@pytest.mark.parametrize(
    ("typed", "told", "asks"),
    [
        ("--nope", "No such option '--nope'.", "factory"),
        ("predct", "No such command 'predct'. Did you mean 'predict'?", "factory"),
        ("run --nope", "No such option '--nope'.", "factory run"),
        ("predict", "Missing argument 'PIPELINE'.", "factory predict"),
        ("predict churn rows.csv --proba maybe", "No such option '--proba'.", "factory predict"),
        ("ledger nope", "No such command 'nope'.", "factory ledger"),
        ("up --port many", "Invalid value for '--port'", "factory up"),
        ("serve --tls-cert cert.pem", "--tls-cert and --tls-key belong together", "factory serve"),
        ("run --stages ,", "--stages names no stage: write stages such as ingest", "factory run"),
        ("forget --resume --preview", "--resume finishes the erasure", "factory forget"),
        ("forget --resume --where x=1", "--resume finishes the erasure", "factory forget"),
        (
            "feedback churn f.csv --since 2026-03-01",
            "--since is about counting",
            "factory feedback",
        ),
        ("feedback churn f.csv --missing-after 7", "--missing-after is", "factory feedback"),
        (
            "feedback churn f.csv --key x --id-column id",
            "--id-column and --key both name the answers",
            "factory feedback",
        ),
        ("backup ''", "Invalid value for 'TARGET': the path is empty", "factory backup"),
        ("install-service --in=", "Invalid value for '--in': the", "factory install-service"),
        ("k8s check a.yaml ''", "Invalid value for 'FILES...': the", "factory k8s check"),
    ],
)
def test_a_mistyped_command_is_told_on_one_line(typed: str, told: str, asks: str) -> None:
    ended = CliRunner().invoke(main, shlex.split(typed), prog_name="factory")
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"error: {told}")
    assert ended.stderr.endswith(f" (`{asks} --help` shows what to give)\n")
    assert ended.stderr.count("\n") == 1
    assert not ended.stdout


@pytest.mark.parametrize("typed", ["", "ledger"])
def test_a_group_of_commands_without_one_shows_its_help(typed: str) -> None:
    ended = CliRunner().invoke(main, typed.split(), prog_name="factory")
    assert ended.output.startswith(f"Usage: factory {typed}".rstrip())
    assert "..." not in ended.output.partition("Commands:")[2], "a description is cut"


def test_the_version_is_that_of_the_installation() -> None:
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    ended = CliRunner().invoke(main, ["--version"], prog_name="factory")
    assert (ended.exit_code, ended.stdout) == (
        0,
        f"factory, version {declared['project']['version']}\n",
    )


@pytest.mark.parametrize(
    ("typed", "interrupted", "told"),
    [
        (
            "run apples",
            "cli.run.run",
            "finished stages are stored, run the command again to resume",
        ),
        ("status", "cli.status.reading.read_status", "run the command again"),
        ("rollback apples --reason x", "cli.decide.roll_back", "it may be on record already, and"),
    ],
)
def test_what_is_told_after_an_interruption_is_true_of_the_command(
    typed: str, interrupted: str, told: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"factory_assets.{interrupted}", Mock(side_effect=KeyboardInterrupt))
    ended = CliRunner().invoke(main, typed.split(), prog_name="factory")
    assert (ended.exit_code, ended.stderr[: len(told) + 13]) == (130, f"interrupted; {told}")
    assert ended.stderr.count("\n") == 1


@needs_root
@pytest.mark.parametrize(
    "typed",
    [
        "approve apples@1 --reason x",
        "refuse apples@1 --reason x",
        "rollback apples --reason x",
        "stop apples --reason x",
        "resume apples --reason x",
        "governance sign apples x",
        "serve",
        "predict apples rows.csv",
        "feedback apples outcomes.csv",
        "monitor apples",
        "answers destroy-keys apples --until 2026-01-01 --reason x",
        "token new --for x --pipelines apples",
        "token revoke x",
        "password ann",
        "pack apples --edge --out pack",
        "ingest-log log",
        "ledger add cosigned",
        "ledger exchange folder",
    ],
)
def test_root_stores_nothing_in_the_home_of_another_user(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Home(tmp_path).tmp.mkdir()
    (tmp_path / "prepared.json").touch()
    os.chown(tmp_path / "prepared.json", *USER)
    ended = CliRunner().invoke(main, shlex.split(typed), prog_name="factory")
    assert (ended.exit_code, "sudo -u 'nobody' factory" in ended.stderr) == (2, True), ended.output
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["prepared.json", "tmp"]


def test_folders_are_named_so_that_a_process_with_another_working_folder_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FACTORY_DEFS", f"../own{os.pathsep}~/more{os.pathsep}")
    monkeypatch.setenv("FACTORY_SECRETS", "hidden")
    monkeypatch.setenv("FACTORY_HOME", "home")
    monkeypatch.setenv("PYTHONPATH", f"../lib{os.pathsep}")
    assert CliRunner().invoke(main, ["schema"]).exit_code == 0
    here = tmp_path / "here"
    assert os.environ["FACTORY_DEFS"] == f"{here}/../own{os.pathsep}{Path.home()}/more"
    assert os.environ["FACTORY_SECRETS"] == f"{here}/hidden"
    assert os.environ["FACTORY_HOME"] == f"{here}/home"
    assert os.environ["PYTHONPATH"] == f"{tmp_path}/lib{os.pathsep}{here}"
