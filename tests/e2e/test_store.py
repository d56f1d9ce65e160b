"""One setting moves tables, records and models to S3-compatible storage, which homes share."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from factory_assets.audit.trace.trace import trace
from factory_assets.cli.backup import back_up, restore
from factory_assets.cli.gc import collect_garbage
from factory_assets.cli.main import main
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_resources.boundary.report import parse_report
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.store.location import require_recorded_store
from factory_resources.store.store import SharedStore, shared_store
from factory_resources.tables.shared_log import catch_up
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.postgres import Postgres
from tests.storage import S3
from tests.user_factory import UserFactory, user_factory

pytestmark = pytest.mark.slow

SETTINGS = (
    "FACTORY_STORE",
    "FACTORY_S3_ENDPOINT",
    "FACTORY_S3_ACCESS_KEY",
    "FACTORY_S3_SECRET_KEY",
)


def _name_store(patch: pytest.MonkeyPatch, s3: S3, prefix: str) -> None:
    values = (f"s3://plant/{prefix}", s3.endpoint, "a", "b")
    for name, value in zip(SETTINGS, values, strict=True):
        patch.setenv(name, value)


def _compute(home: Home, name: str, defs: Path) -> dict[str, str]:
    """Run all stages of a pipeline; return the data version of each."""
    pipeline = load_pipeline(defs / name)
    stages = stages_of(pipeline)
    runs = [run_stage(StageRequest(pipeline, stage, home, "run")) for stage in stages]
    return {run.record.stage: run.record.data_version for run in runs}


def _of(home: Home) -> SharedStore:
    store = shared_store(home)
    assert store is not None
    return store


def _say(*arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, prepared_tables: str, s3: S3
) -> Iterator[Path]:
    """A folder with a home whose model serves, on PostgreSQL and with a store, and its pipeline."""
    root = tmp_path_factory.mktemp("shared")
    write_apples(root / "defs" / "apples")
    declare(root / "defs" / "apples", APPLES)
    with postgres.database(prepared_tables) as address, pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        patch.setenv(DATABASE_VARIABLE, address)
        _name_store(patch, s3, "e2e")
        prepare(Home(root / "home"))
        _compute(Home(root / "home"), "apples", root / "defs")
        yield root


@pytest.fixture
def first(made: Path) -> Home:
    return Home(made / "home")


@pytest.fixture(scope="module")
def machine(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of another machine, with the secrets of the first and nothing else."""
    home = Home(tmp_path_factory.mktemp("other") / "home")
    shutil.copytree(made / "home" / "secrets", home.path / "secrets")
    catch_up(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORY_HOME", str(home.path))
        prepare(home)
    return home


@pytest.fixture
def other(machine: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """That home, which the environment names."""
    monkeypatch.setenv("FACTORY_HOME", str(machine.path))
    monkeypatch.setenv("DAGSTER_HOME", str(machine.dagster))
    return machine


def _parquet(home: Home) -> list[str]:
    return sorted(path.name for path in home.tables.glob("*/*/*.parquet"))


def test_another_machine_goes_on(made: Path, first: Home, other: Home) -> None:
    text = io.StringIO()
    run(RunSelection(["apples"]), Console(file=text, width=200))
    assert "nothing changed since" in text.getvalue()
    assert text.getvalue().count("reused") >= 6
    # That needs no rows.
    assert not _parquet(other)
    assert not trace("apples@1", other, folders={}, verify=True).problems
    assert _parquet(other) == _parquet(first)

    # It trains, and stores the version where the first home finds it.
    write_apples(made / "defs" / "apples", 210)
    there = _compute(other, "apples", made / "defs")
    catch_up(first)
    assert Registry(first).champion("apples") == 2
    assert _compute(first, "apples", made / "defs") == there
    assert Registry(first).has_version("apples", 2)


def test_a_verification_reads_what_is_in_the_store(other: Home) -> None:
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 0, done.output
    assert "all holds" in done.output
    [path, *_] = sorted(other.tables.glob("*/*/*.parquet"))
    key = str(path.relative_to(other.path))
    content = path.read_bytes()
    path.unlink()
    _of(other).client.write(key, content[:-1] + b"?")
    try:
        done = CliRunner().invoke(main, ["verify"])
    finally:
        _of(other).client.write(key, content)
    assert done.exit_code == 1
    assert f"{key}: the object is not what was written" in done.output


def test_what_no_log_names_is_garbage(other: Home) -> None:
    """A killed run leaves it in the store; another home may be about to name it."""
    key = f"tables/apples/ingest/{'0' * 64}.parquet"
    _of(other).client.write(key, b"rows")
    assert other.path / key not in [
        item.path for item in collect_garbage("1h", None, apply=True).files
    ]
    [found] = [
        item for item in collect_garbage("0d", None, apply=True).files if item.path.stem == "0" * 64
    ]
    assert (found.kind, found.bytes) == ("table file", 4)
    left = {one.key for one in _of(other).client.list("")}
    assert key not in left
    assert not trace("apples@1", other, folders={}, verify=True).problems


def test_a_backup_has_everything_and_is_restored_without_a_store(
    other: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = Console(quiet=True)
    back_up(tmp_path / "backup.tar", None, quiet)
    with monkeypatch.context() as patch:
        patch.delenv(DATABASE_VARIABLE)
        restore(tmp_path / "backup.tar", tmp_path / "restored", "all", quiet)
        restored = Home(tmp_path / "restored")
        with pytest.raises(StorageError, match="factory migrate --to s3://plant/e2e"):
            require_recorded_store(restored)
        patch.delenv("FACTORY_STORE")
        assert not trace("apples@1", restored, folders={}, verify=True).problems
        assert _parquet(restored) == _parquet(other)

        # It is carried over to a store of its own, and back.
        patch.setenv("FACTORY_HOME", str(restored.path))
        said = _say("migrate", "--to", "s3://plant/again")
        assert "from now on: export FACTORY_STORE=s3://plant/again" in said
        patch.setenv("FACTORY_STORE", "s3://plant/again")
        assert len([*_of(restored).client.list("tables/")]) > len(_parquet(other))
        for path in restored.tables.glob("*/*/*.parquet"):
            path.unlink()
        assert "from now on: unset FACTORY_STORE" in _say("migrate", "--to", "home")
        patch.delenv("FACTORY_STORE")
        assert not trace("apples@1", restored, folders={}, verify=True).problems


def test_nobody_is_erased_while_there_is_a_store(other: Home) -> None:
    done = CliRunner().invoke(main, ["forget", "--where", "size = 1", "--preview"])
    assert done.exit_code == 2
    assert "nobody can be erased while the tables are in a store" in done.output


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FACTORY_S3_ENDPOINT", "http://127.0.0.1:9", "the storage cannot be reached"),
        ("FACTORY_S3_ACCESS_KEY", "", "secret FACTORY_S3_ACCESS_KEY is not set"),
        ("FACTORY_STORE", "", "but FACTORY_STORE is not set"),
        ("FACTORY_STORE", "s3://plant/other", "but FACTORY_STORE is s3://plant/other"),
        ("FACTORY_STORE", "s3:plant", "is not the address of a store"),
    ],
)
def test_a_wrong_setting_is_one_line(
    name: str, value: str, said: str, other: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.splitlines()) == 1
    # What needs no records works.
    if name != "FACTORY_STORE":
        assert CliRunner().invoke(main, ["schema"]).exit_code == 0


def test_results_are_those_of_a_home_without_a_store(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Home
) -> None:
    for setting in (*SETTINGS, DATABASE_VARIABLE):
        monkeypatch.delenv(setting)
    plain = Home(tmp_path / "plain")
    pipeline = load_pipeline(made / "defs" / "apples")
    for stage in ("ingest", "clean", "split"):
        run_stage(StageRequest(pipeline, stage, plain, "run"))
    expected = {one.key: one.data_version for one in Records(plain, counted=False).all()}
    found = {one.key: one.data_version for one in Records(first, counted=False).all()}
    assert len(expected) == 3
    assert expected.items() <= found.items()


@pytest.fixture
def place() -> Iterator[UserFactory]:
    with user_factory() as made:
        yield made


@needs_namespaces
@pytest.mark.long
def test_a_run_reaches_the_store_through_its_boundary(
    place: UserFactory, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.path / "defs" / "apples"
    write_apples(folder)
    declare(folder, {"purpose": "Apples.", "ingest": APPLES["ingest"]})
    _name_store(monkeypatch, s3, "sealed")
    monkeypatch.setenv(DATABASE_VARIABLE, "")
    done = place.run("apples")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.level for one in place.boundaries()] == ["namespaces"]
    [report] = (place.home.path / "boundary").rglob("*.json")
    [traffic] = parse_report(report.read_text()).traffic
    assert traffic.address == s3.endpoint.removeprefix("http://")
