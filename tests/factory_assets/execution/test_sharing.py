"""What holds a column with `share: never` stays in the home, by whatever name it is read."""

import copy
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.execution.unchanged import unchanged_stages
from factory_assets.execution.unshared_columns import unshared_columns
from factory_assets.results.latest import value_of
from factory_assets.results.record_graph import tables_of
from factory_assets.results.stages import Stage
from factory_resources.errors import DeclarationError, StorageError
from factory_resources.home.home import Home
from factory_resources.store.location import recorded_address
from factory_resources.store.store import shared_store
from factory_resources.tables.logged_files import current_files, past_versions
from factory_resources.tables.shared_log import catch_up
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from tests.pipelines import declare
from tests.storage import S3

STAYS: dict[str, Any] = {
    "purpose": "How long patients stay",
    "ingest": {
        "source": {"files": "stays.csv"},
        "contract": [
            {"name": "born", "from": "Born", "type": "int64", "share": "never"},
            {"name": "days", "type": "int64"},
            {"name": "ward", "type": "string"},
        ],
    },
    "clean": {"derive": {"age": "2024 - born", "group": "age // 10", "long": "days > 3"}},
}


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "defs"
    declare(folder / "stays", STAYS)
    (folder / "stays" / "stays.csv").write_text("Born,days,ward\n1950,3,a\n1990,5,b\n")
    monkeypatch.setenv("FACTORY_DEFS", str(folder))
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    return folder


def _reading(columns: list[str] | None, **source: Any) -> dict[str, Any]:
    contract = [{"name": f"my_{name}", "from": name} for name in columns or ()]
    ingest = {"source": {"pipeline": "stays", **source}, "contract": contract}
    return {"purpose": "Reads another pipeline", "ingest": ingest}


def _joined(**join: Any) -> dict[str, Any]:
    joined = {"source": {"pipeline": "stays"}, "on": "ward", **join}
    return {
        "purpose": "Joins another pipeline",
        "ingest": {"source": {"files": "wards.csv"}, "joins": {"stays": joined}},
    }


@pytest.mark.parametrize(
    ("declared", "columns"),
    [
        (_reading(["days", "ward", "long"]), set()),
        (_reading(["born"]), {"my_born"}),
        (_reading(["group", "days"]), {"my_group"}),
        (_reading(None), {"born", "age", "group"}),
        (_reading(None, stage="ingest"), {"born"}),
        (_joined(), {"born", "age", "group"}),
        (_joined(columns=["days"]), set()),
        (_joined(columns=["age", "days"], prefix="p_"), {"p_age"}),
        (_joined(columns=["age"], rename={"age": "years"}), {"years"}),
        ({**_reading([]), "ingest": {"source": {"answers": "stays"}}}, {"Born"}),
    ],
)
def test_a_column_is_followed_into_pipelines_that_read_it(
    declared: dict[str, Any], columns: set[str], defs: Path
) -> None:
    found = unshared_columns(declare(defs / "reader", declared))
    assert {*found} == columns
    assert {*found.values()} <= {"stays.born"}


def test_a_column_is_followed_through_several_pipelines(defs: Path) -> None:
    middle = _reading(["group"])
    declare(defs / "middle", {**middle, "clean": {"derive": {"old": "my_group > 6"}}})
    last = _reading(["old"])
    last["ingest"]["source"]["pipeline"] = "middle"
    assert unshared_columns(declare(defs / "last", last)) == {"my_old": "stays.born"}
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if "only in this home" in line]
    assert lines == [
        "last runs only in this home: my_old (from stays.born) must not leave it",
        "middle runs only in this home: my_group (from stays.born) must not leave it",
        "stays runs only in this home: born must not leave it",
    ]


_CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: stays
version: 1.0.0
status: active
schema:
- name: stays
  properties:
  - name: born
    physicalName: Born
    logicalType: integer
    customProperties: [{property: share, value: never}]
  - {name: days, logicalType: integer}
  - {name: ward, logicalType: string}
"""


@pytest.mark.parametrize(
    "contract",
    [
        "../../of all/stays.odcs.yaml",
        {"file": "../../contracts/stays.odcs.yaml", "table": "stays"},
    ],
    ids=["with a space", "with a table"],
)
def test_check_names_what_a_contract_elsewhere_keeps_at_home(defs: Path, contract: Any) -> None:
    file = defs / "stays" / (contract if isinstance(contract, str) else contract["file"])
    file.parent.mkdir()
    file.write_text(_CONTRACT)
    ingest = {**STAYS["ingest"], "contract": contract}
    declare(defs / "stays", {**STAYS, "ingest": ingest})
    assert "never" not in (defs / "stays" / "defs.yaml").read_text()
    done = CliRunner().invoke(main, ["check"])
    assert "stays runs only in this home: born must not leave it" in done.output


def test_another_word_is_a_mistake(defs: Path) -> None:
    wrong = copy.deepcopy(STAYS)
    wrong["ingest"]["contract"][0]["share"] = "sometimes"
    with pytest.raises(DeclarationError, match="share"):
        declare(defs / "stays", wrong)


@pytest.fixture
def store(s3: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    prefix = re.sub(r"\W", "-", request.node.name).strip("-")
    monkeypatch.setenv("FACTORY_STORE", f"s3://plant/sharing/{prefix}")
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", s3.endpoint)
    monkeypatch.setenv("FACTORY_S3_ACCESS_KEY", "a")
    monkeypatch.setenv("FACTORY_S3_SECRET_KEY", "b")
    return s3.endpoint


def _run(defs: Path, name: str, home: Home, *stages: Stage) -> list[Record]:
    pipeline = load_pipeline(defs / name)
    return [run_stage(StageRequest(pipeline, stage, home, "run")).record for stage in stages]


def _stored(home: Home) -> dict[str, set[str]]:
    """Return what is in the store: each pipeline with its tables, or the word `records`."""
    store = shared_store(home)
    assert store is not None
    found: dict[str, set[str]] = {}
    for one in store.client.list(""):
        folder, _, rest = one.key.partition("/")
        name, _, rest = rest.partition("/")
        if rest:
            found.setdefault(name, set()).add(rest.split("/")[0] if folder == "tables" else folder)
    return found


def test_tables_stay_at_home_and_others_do_not(
    defs: Path, home: Home, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(defs / "lengths", _reading(["days", "long"]))
    declare(defs / "ages", _reading(["age"]))
    kept = _run(defs, "stays", home, "ingest", "clean")
    _run(defs, "ages", home, "ingest")
    assert _stored(home) == {}
    _run(defs, "lengths", home, "ingest")
    assert _stored(home) == {"lengths": {"ingest", "records"}}
    # What stays is read and reused as ever.
    assert _run(defs, "stays", home, "ingest", "clean") == kept
    table = tables_of(value_of(kept[1:]))["snapshot"]
    assert read_arrow(table, home, ["age"]).to_pydict() == {"age": [74, 34]}


def test_a_new_home_does_not_take_an_empty_store_for_that_of_its_ledger(
    defs: Path, home: Home, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(defs, "stays", home, "ingest")
    other = Home(tmp_path / "other")
    for name in ("ledger.db", "secrets"):
        copy_of = shutil.copytree if (home.path / name).is_dir() else shutil.copy
        other.path.mkdir(exist_ok=True)
        copy_of(home.path / name, other.path / name)
    address = os.environ["FACTORY_STORE"]
    monkeypatch.setenv("FACTORY_STORE", f"{address}-mistyped")
    for begin in (lambda: catch_up(other), lambda: _run(defs, "stays", other, "ingest")):
        with pytest.raises(StorageError, match="is empty, but the ledger of this factory has"):
            begin()
    assert recorded_address(other) is None
    monkeypatch.setenv("FACTORY_STORE", address)
    catch_up(other)
    assert recorded_address(other) == address


def test_what_was_shared_before_is_taken_back(defs: Path, home: Home, store: str) -> None:
    declared = copy.deepcopy(STAYS)
    del declared["ingest"]["contract"][0]["share"]
    declare(defs / "stays", declared)
    [ingested, cleaned] = _run(defs, "stays", home, "ingest", "clean")
    assert _stored(home) == {"stays": {"ingest", "clean", "records"}}
    for path in home.tables.glob("stays/*/*.parquet"):
        path.unlink()
    declare(defs / "stays", STAYS)
    # Nothing is computed again, and the rows come home first.
    assert _run(defs, "stays", home, "ingest", "clean") == [ingested, cleaned]
    assert _stored(home) == {}
    table = tables_of(value_of([cleaned]))["snapshot"]
    assert read_arrow(table, home, ["age"]).to_pydict() == {"age": [74, 34]}
    assert len([*Records(home).all("stays")]) == 2


def test_a_run_in_which_only_the_sharing_changed_is_not_left_out(
    defs: Path, home: Home, store: str
) -> None:
    stages: list[Stage] = ["ingest", "clean"]

    def may_be_left_out() -> bool:
        call = StageRequest(load_pipeline(defs / "stays"), "ingest", home, "run")
        return unchanged_stages(call, stages, []) is not None

    shared = copy.deepcopy(STAYS)
    del shared["ingest"]["contract"][0]["share"]
    for declared in (shared, STAYS, shared):
        declare(defs / "stays", declared)
        assert not may_be_left_out()
        _run(defs, "stays", home, *stages)
        assert may_be_left_out()


def test_a_table_whose_pipeline_is_declared_no_more_is_not_shared(
    defs: Path, home: Home, store: str
) -> None:
    declare(defs / "ages", _reading(None))
    _run(defs, "stays", home, "ingest", "clean")
    shutil.move(defs / "stays", defs.parent / "stays")
    with pytest.raises(DeclarationError, match="no pipeline 'stays' is declared"):
        _run(defs, "ages", home, "ingest")
    assert _stored(home) == {}


@pytest.mark.parametrize("declared", [True, False])
def test_what_must_stay_is_not_carried_over(
    defs: Path, home: Home, store: str, declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = os.environ["FACTORY_STORE"]
    with monkeypatch.context() as patch:
        patch.delenv("FACTORY_STORE")
        done = CliRunner().invoke(main, ["run", "stays"])
        assert done.exit_code == 0, done.output
        if not declared:
            shutil.move(defs / "stays", defs.parent / "stays")
            declare(defs / "lengths", {**STAYS, "ingest": {"source": {"files": "none.csv"}}})
        done = CliRunner().invoke(main, ["migrate", "--to", address])
    assert done.exit_code == 0, done.output
    assert "stays stays in this home" in done.output
    assert _stored(home) == {}


def test_what_stayed_at_home_is_shared_when_it_may_be(
    defs: Path, home: Home, store: str, tmp_path: Path
) -> None:
    [_, cleaned] = _run(defs, "stays", home, "ingest", "clean")
    declared = copy.deepcopy(STAYS)
    del declared["ingest"]["contract"][0]["share"]
    declare(defs / "stays", declared)
    assert _run(defs, "stays", home, "ingest", "clean")[1] == cleaned
    assert _stored(home) == {"stays": {"ingest", "clean", "records"}}
    # Its log goes on where it was.
    (defs / "stays" / "stays.csv").write_text("Born,days,ward\n1960,3,a\n")
    [_, cleaned] = _run(defs, "stays", home, "ingest", "clean")
    other = Home(tmp_path / "other")
    shutil.copytree(home.path, other.path, ignore=shutil.ignore_patterns("tables", "logs"))
    catch_up(other)
    table = tables_of(value_of([cleaned]))["snapshot"]
    assert read_arrow(table, other, ["age"]).to_pydict() == {"age": [64]}
    assert current_files(other.tables / "stays" / "clean") == {table.files[0].name}
    assert len(past_versions(other.tables / "stays" / "clean")) == 2


def test_a_result_that_another_home_removed_is_there_again(
    defs: Path, home: Home, store: str
) -> None:
    declare(defs / "lengths", _reading(["days"]))
    file = defs / "stays" / "stays.csv"
    before = file.read_text()

    def run() -> Record:
        _run(defs, "stays", home, "ingest", "clean")
        return _run(defs, "lengths", home, "ingest")[0]

    first = run()
    file.write_text("Born,days,ward\n1960,7,a\n")
    run()
    shared = shared_store(home)
    assert shared is not None
    rows = tables_of(value_of([first]))["snapshot"]
    gone = [home.path / first.name, *rows.paths(home)]
    for path in gone:
        shared.remove(path)
    file.write_text(before)
    assert run() == first
    assert {*shared.sizes(gone)} == {*gone}


def test_another_home_goes_back_to_an_older_result_without_its_rows(
    defs: Path, home: Home, store: str, tmp_path: Path
) -> None:
    file = defs / "lengths" / "more.csv"
    declared = {"source": {"files": "*.csv"}, "contract": [{"name": "days", "type": "int64"}]}
    declare(defs / "lengths", {"purpose": "Lengths of stays", "ingest": declared})
    # Two files with the same rows are one file with two names.
    for name in ("a", "b"):
        (defs / "lengths" / f"{name}.csv").write_text("days\n3\n")
    [first] = _run(defs, "lengths", home, "ingest")
    file.write_text("days\n9\n")
    _run(defs, "lengths", home, "ingest")
    other = Home(tmp_path / "other")
    shutil.copytree(home.path, other.path, ignore=shutil.ignore_patterns("tables", "logs"))
    file.unlink()
    assert _run(defs, "lengths", other, "ingest") == [first]
    catch_up(home)
    rows = tables_of(value_of([first]))["snapshot"]
    names = {one.name for one in rows.files}
    assert current_files(home.tables / "lengths" / "ingest") == names
    assert Records(home).latest("lengths", "ingest") == first
    assert read_arrow(rows, other, ["days"]).to_pydict() == {"days": [3, 3]}
