"""A changed record, database or model ends each command in one line with what to do."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from tests.commands import forked
from tests.ledger import problems
from tests.long_run import in_long
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow

COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("check", "apples"),
    "explain": ("run", "apples", "--explain"),
    "trace": ("trace", "apples@1"),
    "trace data": ("trace", "apples/clean"),
    "predict": ("predict", "apples", "data.csv"),
    "reproduce": ("reproduce", "apples@1"),
    "gc": ("gc", "--older-than", "0h"),
    "run": ("run", "apples"),
}
REGISTRY = {"explain", "trace", "predict", "reproduce", "gc", "run"}
"""The commands that read MLflow's database."""

Damage = Callable[[Path], None]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which a pipeline has run; the working folder is that of its declaration."""
    root = enter_served(tmp_path / "copy", monkeypatch)
    monkeypatch.chdir(root / "defs" / "apples")
    home = Home(root / "home")
    prepare(home)
    return home


def _factory(*arguments: str) -> Result:
    # Dagster leaves its instance in a context variable if closing a damaged database fails.
    return copy_context().run(CliRunner().invoke, main, arguments)


def _line(result: Result) -> str:
    assert "Traceback" not in result.output
    assert result.exit_code in (0, 1, 2), result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    # With exit code 1 a gate has refused the model, or a trace has found problems.
    assert len(lines) == 1 if result.exit_code == 2 else len(lines) <= 1, result.output
    return lines[0] if lines else ""


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def _without_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE model_versions")


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_garbage, _emptied, *in_long([_without_tables, _a_folder])])
def test_a_damaged_database_of_mlflow_is_told(copy: Home, damage: Damage) -> None:
    damage(copy.mlflow_database)
    for name, arguments in COMMANDS.items():
        result = _factory(*arguments)
        line = result.stdout if name == "explain" else _line(result)
        if name in REGISTRY:
            assert "MLflow's database is damaged" in line, (name, line)
            assert "restore it from a backup, or move it away" in line


def test_without_mlflows_database_the_next_run_trains_again(copy: Home) -> None:
    shutil.move(copy.mlflow_database, copy.path / "moved_away")
    # In a process of its own: MLflow holds a database open as long as its process runs.
    defs = copy.path.parent / "defs"
    factory = forked(copy.path, FACTORY_DEFS=str(defs))
    for arguments in (("status",), ("trace", "apples@1")):
        told = factory(*arguments)
        words = " ".join((told.stdout + told.stderr).split())
        assert "restore its database from a backup" in words, arguments
    done = factory("run", "apples")
    assert done.returncode == 0, done.stdout + done.stderr
    done = factory("predict", "apples", defs / "apples" / "data.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    # Version 1 is that of the ledger for ever.
    assert Registry(copy).champion("apples") == 2
    assert problems(copy) == []


@pytest.mark.long
def test_an_older_database_of_mlflow_gives_no_number_twice(copy: Home) -> None:
    older = copy.path.parent / "older.db"
    shutil.copy(copy.mlflow_database, older)
    factory = forked(copy.path, FACTORY_DEFS=str(copy.path.parent / "defs"))
    assert factory("run", "apples", "--no-reuse").returncode == 0
    shutil.copy(older, copy.mlflow_database)
    done = factory("run", "apples", "--no-reuse")
    assert "candidate v3 is not deployed" in done.stderr
    assert "let another one serve: factory rollback apples" in done.stderr
    done = factory("rollback", "apples", "--reason", "its version was lost")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Registry(copy).champion("apples") == 1
    assert problems(copy) == []


@pytest.mark.parametrize(("number", "damage"), [(0, _garbage), (1, _garbage), (2, _cut)])
def test_a_damaged_database_of_dagster_is_told(copy: Home, number: int, damage: Damage) -> None:
    file = dagster_files(copy)[number]
    damage(file.path)
    for arguments in (COMMANDS["explain"], COMMANDS["gc"], ("run", "apples", "--no-reuse")):
        line = _line(_factory(*arguments))
        # Only a run that computes something reads all of them.
        if line or (arguments[0] == "run" and arguments[-1] == "--no-reuse"):
            assert "Dagster's database is damaged" in line, line
            assert str(file.path) in line
    shutil.move(file.path, copy.path / "moved_away")
    assert _line(_factory("run", "apples")) == ""


def _changes(**fields: object) -> Damage:
    """Return a damage that replaces fields of a record."""

    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def _numbers_in(field: str) -> Damage:
    """Return a damage that replaces everything in a field of a record by a number."""

    def change(path: Path) -> None:
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, field: dict.fromkeys(record[field], 3)}))

    return change


RECORDS: dict[str, Damage] = {
    "cut": _cut,
    "a folder": _a_folder,
    "no value": _changes(value={}),
    "other value": _numbers_in("value"),
    "no parts": _changes(parts={}),
    "other parts": _numbers_in("parts"),
    "other stage": _changes(stage="odd"),
    "other key": _changes(key="0" * 64),
    "other inputs": _changes(inputs={"clean": ["0" * 64], "odd": ["1"]}),
}


STAGES = ("ingest", "split", "train", "evaluate", "deploy")
CHANGED = list(zip(STAGES * 2, RECORDS, strict=False))


def _requires_lines(copy: Home, stage: str, change: str) -> None:
    for path in (copy.records / "apples" / stage).glob("*.json"):
        RECORDS[change](path)
    for arguments in COMMANDS.values():
        _line(_factory(*arguments))


@pytest.mark.parametrize(("stage", "change"), [*CHANGED[:2], *in_long(CHANGED[2:])])
def test_a_changed_record_is_told(copy: Home, stage: str, change: str) -> None:
    _requires_lines(copy, stage, change)


def test_a_changed_record_stops_no_other_pipeline(copy: Home) -> None:
    shutil.copytree(copy.path.parent / "defs" / "apples", copy.path.parent / "defs" / "pears")
    for path in (copy.records / "apples" / "split").glob("*.json"):
        _cut(path)
    line = _line(_factory("run", "apples", "pears"))
    assert "/records/apples/split/" in line
    assert "the record is damaged; delete it to run the stage again" in line
    assert _line(_factory("predict", "pears", "data.csv")) == ""


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("change", list(RECORDS))
def test_each_change_of_each_record_is_told(copy: Home, stage: str, change: str) -> None:
    _requires_lines(copy, stage, change)


@pytest.mark.parametrize("content", ["", '{"key": "0"}', *in_long(["[]"])])
def test_a_changed_pointer_is_told(copy: Home, content: str) -> None:
    for path in (copy.records / "apples" / "latest").glob("*.json"):
        path.write_text(content)
    for arguments in COMMANDS.values():
        _line(_factory(*arguments))


@pytest.mark.parametrize(
    "change", ["gone", "cut", *in_long(["a folder"])], ids=lambda name: name.replace(" ", "_")
)
def test_a_changed_file_of_a_model_is_told(copy: Home, change: str) -> None:
    damages: dict[str, Damage] = {
        "gone": Path.unlink,
        "cut": _cut,
        "a folder": _a_folder,
    }
    for path in sorted(p for p in copy.artifacts.rglob("*") if p.is_file()):
        damages[change](path)
    for name, arguments in COMMANDS.items():
        line = _line(_factory(*arguments))
        assert line or name not in {"predict", "reproduce"}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM model_versions",
        "DELETE FROM registered_model_aliases",
        "UPDATE model_versions SET source = NULL, run_id = NULL, storage_location = NULL",
        "UPDATE registered_model_aliases SET version = 7",
        "UPDATE metrics SET value = 'odd'",
        *in_long(
            [
                "DELETE FROM model_version_tags",
                "DELETE FROM runs",
                "UPDATE model_versions SET source = 'odd', run_id = 'odd'",
                "UPDATE registered_model_aliases SET version = 'odd'",
                "UPDATE model_version_tags SET value = 'odd'",
            ]
        ),
    ],
)
def test_changed_rows_of_mlflow_are_told(copy: Home, statement: str) -> None:
    with sqlite3.connect(copy.mlflow_database) as connection:
        connection.execute(statement)
    for arguments in COMMANDS.values():
        _line(_factory(*arguments))


@pytest.mark.parametrize(
    "change",
    ["source = '/etc', storage_location = '/etc'", *in_long(["run_id = '/etc'", "run_id = '..'"])],
)
def test_a_version_whose_files_mlflow_has_elsewhere_is_told(copy: Home, change: str) -> None:
    with sqlite3.connect(copy.mlflow_database) as connection:
        connection.execute(f"UPDATE model_versions SET {change}")
    for command in (
        ("trace", "apples@1"),
        ("evidence", "apples@1", "--out", "z.zip"),
        ("predict", "apples", "data.csv"),
    ):
        result = _factory(*command)
        assert result.exit_code == 2, result.output
        told = "what MLflow has stored about version 1 of model 'apples' was changed and cannot be"
        assert f"error: {copy.mlflow_database}: {told}" in _line(result)
    assert not Path("z.zip").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("trace", "apples@1"),
        ("trace", "apples/clean"),
        ("governance", "show", "apples"),
        ("status",),
        ("run", "apples"),
        ("predict", "apples", "data.csv"),
    ],
)
def test_a_ledger_that_is_gone_is_told_as_gone(copy: Home, arguments: tuple[str, ...]) -> None:
    copy.ledger.unlink()
    result = _factory(*arguments)
    assert "the ledger is gone, but its key is there" in _line(result)
    assert not copy.ledger.exists()


@pytest.mark.parametrize("form", ["md", "json"])
def test_the_dossier_of_a_home_that_does_not_exist_makes_none(
    copy: Home, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "typo"))
    result = _factory("dossier", "apples@1", "--format", form)
    told = "nothing has run in this home yet"
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a/b": "c"}'])
def test_a_damaged_list_of_the_files_of_a_model_is_told(copy: Home, content: bytes) -> None:
    [manifest] = copy.artifacts.glob("apples/models/*/artifacts/manifest.json")
    manifest.chmod(0o600)
    manifest.write_bytes(content)
    for command in (("evidence", "apples@1"), ("sbom", "apples@1", "--as", "ml-bom")):
        line = _line(_factory(*command, "--out", "written"))
        assert "apples@1: manifest.json is missing or damaged; factory verify" in line
