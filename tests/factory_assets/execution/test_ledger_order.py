"""A record counts by its entry, and the ledger says which version serves: after any kill, too."""

import copy
import io
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from factory_assets.cli.check.check import check
from factory_assets.cli.main import main
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.retention import find_garbage
from factory_assets.execution.runner import run_stage
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, StageComputed
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.commands import forked, in_process
from tests.killed_steps import KillPoint, run_killed, run_whole
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.postgres import Postgres
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow
_RECORDS = "factory_resources.tracking.records.Records"


def _run_until_killed(method: str, when: str) -> None:
    """Run the pipeline; before or after this step of a deployment, this process is killed."""
    owners = {"save": Records, "append": Log, "point": Records, "set_alias": Registry}
    owner = owners[method]
    original = getattr(owner, method)

    def is_deployment(arguments: Sequence[Any]) -> bool:
        if method == "append":
            return any(b'"kind":"champion"' in entry.body for entry in arguments[1])
        return method == "set_alias" or arguments[1].stage == "deploy"

    def killed(*arguments: Any, **options: Any) -> Any:
        if not is_deployment(arguments):
            return original(*arguments, **options)
        if when == "after":
            original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, method, killed)
    main(["run", "apples"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_served(tmp_path / "root", monkeypatch)


def _run(root: Path) -> str:
    text = io.StringIO()
    run(RunSelection(["apples"]), Console(file=text, width=200))
    return text.getvalue()


def _declare_another(root: Path) -> None:
    """Declare another seed, so that the next run trains version 2; every gate lets it through."""
    attributes = copy.deepcopy(APPLES)
    attributes["train"]["seed"] = 11
    attributes["evaluate"]["gates"] = {"champion": "off"}
    declare(root / "defs" / "apples", attributes)


@pytest.mark.parametrize(
    ("method", "when", "serves"),
    [
        ("append", "after", 2),
        *in_long([("append", "before", 1), ("save", "before", 1), ("save", "after", 1)]),
        *in_long([("point", "after", 2), ("set_alias", "before", 2), ("set_alias", "after", 2)]),
    ],
)
def test_killed_between_two_steps_of_a_deployment(
    root: Path, method: str, when: str, serves: int
) -> None:
    home = Home(root / "home")
    _declare_another(root)
    run_killed(_run_until_killed, method, when)
    registry = Registry(home)
    assert registry.champion("apples") == serves
    assert registry.alias("apples") == (2 if (method, when) == ("set_alias", "after") else 1)
    moved = registry.moved_alias("apples")
    assert problems(home) == ([moved] if moved else []) or moved
    told = _run(root)
    assert registry.champion("apples") == registry.alias("apples") == 2
    assert problems(home) == []
    assert ("the ledger says that version 2 serves; the alias was set back" in told) == bool(moved)


@pytest.mark.long
def test_killed_on_postgres_when_the_ledger_has_the_champion_and_mlflow_does_not(
    postgres: Postgres, prepared_tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_apples(tmp_path / "defs" / "apples")
    declare(tmp_path / "defs" / "apples", APPLES)
    enter(tmp_path, monkeypatch)
    home = Home(tmp_path / "home")
    with postgres.database(prepared_tables) as address:
        monkeypatch.setenv("FACTORY_DATABASE_URL", address)
        run_killed(_run_until_killed, "append", "after")
        registry = Registry(home)
        assert (registry.champion("apples"), registry.alias("apples")) == (1, None)
        assert problems(home) == []
        assert "the ledger says that version 1 serves; the alias was set back" in _run(tmp_path)
        assert (registry.champion("apples"), registry.alias("apples")) == (1, 1)
        assert problems(home) == []


def test_an_alias_that_was_moved_by_hand_is_told_and_not_served(root: Path) -> None:
    home = Home(root / "home")
    _declare_another(root)
    _run(root)
    registry = Registry(home)
    registry.set_alias("apples", 1)
    assert registry.champion("apples") == 2
    for arguments in (["predict", "apples", "data.csv"], ["trace", "apples@champion"], ["verify"]):
        told = forked(home.path)(*arguments, cwd=root / "defs" / "apples")
        text = told.stdout + told.stderr
        assert "names version 1" in text, text
        assert "the ledger says" in text
        if arguments[0] == "predict":
            assert {row.split(",")[2] for row in told.stdout.splitlines()[1:]} == {"2"}
        else:
            assert told.returncode == 1
    assert "names version 1, but the ledger says that version 2 serves" in _run(root)
    assert registry.alias("apples") == 2


def test_no_entry_of_a_run_is_dated_earlier_than_one_before(root: Path) -> None:
    _declare_another(root)
    _run(root)
    with Ledger(Home(root / "home")).reading() as log:
        times = [entry_in(log, number).time for number in range(log.size)]
    assert times == sorted(times)


def _run_again() -> None:
    main(["run", "apples", "--stages", "clean", "--no-reuse"])


@pytest.mark.parametrize(
    ("step", "counts"),
    [
        (KillPoint("factory_assets.execution.runner", "append_stage"), "the new"),
        *in_long([(KillPoint(_RECORDS, "save"), "the old")]),
        *in_long((KillPoint(_RECORDS, name), "the new") for name in ("put_in_place", "point")),
    ],
    ids=lambda one: one.name if isinstance(one, KillPoint) else "",
)
def test_killed_while_a_stage_is_computed_again_leaves_the_old_record_or_the_new(
    root: Path, step: KillPoint, counts: str
) -> None:
    home = Home(root / "home")
    old = Records(home).latest("apples", "clean")
    assert old
    run_killed(_run_again, step=step)
    assert counts == "the new" or problems(home) == []
    found = Records(home).latest("apples", "clean")
    assert found
    assert (found == old) == (counts == "the old")
    assert (found.key, found.data_version) == (old.key, old.data_version)
    assert problems(home) == []
    assert "6 reused" in _run(root)
    left = sorted(home.records.rglob("*.new"))
    assert len(left) == (counts == "the old")
    assert {one.path for one in find_garbage(home, {"apples": [1]}, 10**6)} >= {*left}
    run_whole(_run_again)
    assert not [*home.records.rglob("*.new")]
    again = Records(home).latest("apples", "clean")
    assert again
    assert again.run_id not in {old.run_id, found.run_id}
    assert problems(home) == []


def test_a_stage_that_is_computed_again_puts_its_record_in_place(root: Path) -> None:
    home, pipeline = Home(root / "home"), load_pipeline(root / "defs" / "apples")
    run_stage(StageRequest(pipeline, "clean", home, run_id="again", reuse=False))
    assert not [*home.records.rglob("*.new")]
    again = Records(home).latest("apples", "clean")
    assert again
    assert again.run_id == "again"


def test_a_record_without_an_entry_is_computed_again(root: Path) -> None:
    home = Home(root / "home")
    record = Records(home).latest("apples", "clean")
    assert record
    changed = record.model_copy(update={"seconds": record.seconds + 1})
    (home.path / record.name).write_text(changed.model_dump_json(indent=1))
    assert Records(home).find("apples", "clean", record.key) is None
    assert any("clean" in problem for problem in problems(home))
    _run(root)
    again = Records(home).latest("apples", "clean")
    assert again
    assert again.run_id != record.run_id
    assert again.data_version == record.data_version
    assert problems(home) == []


@pytest.mark.parametrize("fault", ["read-only", "no key"])
def test_without_a_ledger_that_can_be_written_nothing_changes(
    root: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(root / "home")

    def refused(*_: object, **__: object) -> None:
        raise StorageError("the ledger cannot be written", remedy="mend it")

    _declare_another(root)
    if fault == "no key":
        (home.path / "secrets" / "ledger_key").unlink()
    else:
        monkeypatch.setattr(Log, "append", refused)
    pointers = {p: p.read_bytes() for p in (home.records / "apples" / "latest").iterdir()}
    with pytest.raises(FactoryError, match="the ledger"):
        _run(root)
    monkeypatch.undo()
    assert {p: p.read_bytes() for p in (home.records / "apples" / "latest").iterdir()} == pointers
    assert Registry(home).champion("apples") == 1


def test_a_home_from_before_the_ledger_is_taken_over_as_found(root: Path) -> None:
    home = Home(root / "home")
    home.ledger.unlink()
    (home.path / "secrets" / "ledger_key").unlink()
    # Records of that time had no salt.
    for path in home.records.glob("*/*/*.json"):
        content = json.loads(path.read_bytes())
        if content.pop("salt", None):
            path.write_text(Record.model_validate(content).model_dump_json(indent=1))
    assert Registry(home).champion("apples") == 1
    begin_ledger(home)
    found = Ledger(home).latest(ChampionMade, "champion/apples")
    assert found
    assert found[1].found
    trained = Records(home).latest("apples", "train")
    assert trained
    entry = Ledger(home).latest(StageComputed, trained.name)
    assert entry
    assert entry[1].found
    report, _ = verify_path(str(home.path), Expectation())
    assert [str(problem) for problem in report.problems] == []
    assert "of what was found when the ledger began" in "\n".join(report.lines())
    assert "nothing changed since" in _run(root)


def test_a_home_from_before_the_ledger_is_told_as_that_and_backed_up(
    root: Path, tmp_path: Path
) -> None:
    home = Home(root / "home")
    home.ledger.unlink()
    (home.path / "secrets" / "ledger_key").unlink()
    _, status = in_process("status")
    assert "ledger     none yet: this home is older than the ledger" in status
    # MLflow's alias says there which version serves.
    assert "alias moved" not in status
    code, told = in_process("verify")
    assert (code, "this home has no ledger: it is older" in told) == (1, True), told
    code, told = in_process("backup", tmp_path / "backups")
    assert (code, "backed up to" in told) == (0, True), told
    assert problems(home) == []


def test_a_home_without_a_ledger_is_reused_through_dagster(root: Path) -> None:
    home = Home(root / "home")
    home.ledger.unlink()
    (home.path / "secrets" / "ledger_key").unlink()
    text = io.StringIO()
    run(RunSelection(["apples"], rehash=True), Console(file=text, width=200))
    assert "6 reused" in text.getvalue()


def test_a_mistake_in_the_settings_is_found_before_anything_is_computed(root: Path) -> None:
    _declare_another(root)
    (root / "defs" / "factory.yaml").write_text("witness: {every: sometimes}\n")
    before = set((root / "home" / "records").rglob("*.json"))
    with pytest.raises(FactoryError, match=r"factory\.yaml:1: witness\.every"):
        _run(root)
    with pytest.raises(FactoryError, match=r"factory\.yaml:1: witness\.every"):
        check()
    assert set((root / "home" / "records").rglob("*.json")) == before
