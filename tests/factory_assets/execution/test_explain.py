"""For each stage what would run and why, with nothing run: every reason there is."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from factory_assets.execution import cache_key
from factory_assets.execution.explain import Explained, explain
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.base import digest
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.records import Records
from tests.data_stages import files_of
from tests.factory_assets.execution.test_partitions import declared, partition, write
from tests.ledger import count, make_champion
from tests.pipelines import APPLES, declare, write_apples

Change = Callable[[dict[str, Any], Path], None]

DATA: tuple[Stage, ...] = ("ingest", "clean", "split")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in which the stages of data have run once."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "apples").mkdir()
    write_apples(folder / "apples")
    shutil.copy(folder / "apples" / "data.csv", folder / "apples" / "more.csv")
    (folder / "apples" / "more.csv").open("a").write("7,red,good\n")
    pipeline = declare(folder / "apples", _attributes())
    for stage in DATA:
        run_stage(StageRequest(pipeline, stage, Home(folder / "home"), "first-run"))
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def _attributes() -> dict[str, Any]:
    attributes = copy.deepcopy(APPLES)
    attributes["ingest"]["source"]["files"] = "*.csv"
    return attributes


def _explained(root: Path, attributes: dict[str, Any], **how: Any) -> list[Explained]:
    pipeline = declare(root / "apples", attributes)
    call = StageRequest(pipeline, "ingest", Home(root / "home"), "", **how)
    return list(explain(call, DATA, ()))


def _words(told: Explained) -> str:
    return f"{told.what}: {told.why}"


def test_nothing_changed(root: Path) -> None:
    home = Home(root / "home")
    before = files_of(home)
    told = _explained(root, _attributes())
    assert [one.what for one in told] == ["reuse"] * 3
    assert all(" by run first-ru, " in one.why for one in told)
    assert told[0].why.startswith("computed 2")
    assert {name for name in files_of(home) ^ before if not name.startswith("tmp/")} <= {
        "digests.db"
    }


def _set(path: str, value: Any) -> Change:
    def change(attributes: dict[str, Any], _: Path) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            attributes = attributes[parent]
        attributes[last] = value

    return change


def _append(_: dict[str, Any], folder: Path) -> None:
    with (folder / "data.csv").open("a") as file:
        file.write("9.5,red,good\n")


def _add(_: dict[str, Any], folder: Path) -> None:
    (folder / "third.csv").write_text("size,colour,label\n9,red,good\n")


def _remove(_: dict[str, Any], folder: Path) -> None:
    (folder / "more.csv").unlink()


def _swap(_: dict[str, Any], folder: Path) -> None:
    (folder / "data.csv").rename(folder / "zdata.csv")


@pytest.mark.parametrize(
    ("change", "stage", "words"),
    [
        pytest.param(
            _set("clean.where.positive", "size > 1"),
            "clean",
            "compute: rule positive changed",
            id="rule",
        ),
        pytest.param(
            _set("clean.where", {"positive": "size > 0", "small": "size < 5"}),
            "clean",
            "compute: rule small is new",
            id="new rule",
        ),
        pytest.param(
            _set("clean.where", {}), "clean", "compute: rule positive is gone", id="no rule"
        ),
        pytest.param(
            _set("clean.derive", {"double": "size * 2"}),
            "clean",
            "compute: derived column double is new",
            id="derived",
        ),
        pytest.param(
            _set("split", {"seed": 7}), "split", "compute: split.split.seed 0 → 7", id="seed"
        ),
        pytest.param(
            _set("ingest.max_quarantine", 0.25),
            "ingest",
            "compute: ingest.max_quarantine 0.5 → 0.25",
            id="limit",
        ),
        pytest.param(_append, "ingest", "compute: 1 of 2 sources changed (data.csv)", id="bytes"),
        pytest.param(_add, "ingest", "compute: 1 new source (third.csv)", id="new source"),
        pytest.param(_remove, "ingest", "compute: 1 of 2 sources are gone", id="gone source"),
        pytest.param(
            _swap,
            "ingest",
            "compute: the sources have another order or other labels",
            id="order",
        ),
    ],
)
def test_what_changed_is_named(root: Path, change: Change, stage: Stage, words: str) -> None:
    attributes = _attributes()
    change(attributes, root / "apples")
    told = {one.stage: one for one in _explained(root, attributes)}
    assert _words(told[stage]) == words
    place = DATA.index(stage)
    assert all(told[name].what == "reuse" for name in DATA[:place])
    for before, name in zip(DATA[place:], DATA[place + 1 :], strict=False):
        assert _words(told[name]) == f"waits: {before} runs first; reused if the result is the same"


def test_what_waits_and_has_changed_itself_is_computed_whatever_comes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = _attributes()
    attributes["clean"]["where"] = {}
    attributes["split"] = {"seed": 7}
    assert [*map(_words, _explained(root, attributes))][1:] == [
        "compute: rule positive is gone",
        "compute: split.split.seed 0 → 7",
    ]
    monkeypatch.setattr(cache_key, "stage_code", lambda stage: f"newer code of {stage}")
    assert {*map(_words, _explained(root, _attributes()))} == {"compute: code of the stage changed"}


def test_what_waits_may_have_been_computed_before_the_last_time(root: Path) -> None:
    attributes = _attributes()
    pipeline = declare(root / "apples", {**attributes, "split": {"seed": 7}})
    run_stage(StageRequest(pipeline, "split", Home(root / "home"), "second-run"))
    attributes["clean"]["where"] = {}
    assert _words(_explained(root, attributes)[2]).startswith("waits: clean runs first")


def test_a_column_of_the_contract(root: Path) -> None:
    attributes = _attributes()
    attributes["ingest"]["contract"][0]["range"] = [0, 100]
    assert _words(_explained(root, attributes)[0]) == "compute: contract of column size changed"


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ({"libraries": {"duckdb": "2.0.0"}}, "compute: library duckdb 2.0.0 → "),
        ({"libraries": {}}, f"compute: library duckdb {duckdb.__version__} is new"),
        ({"libraries": {"bear": "1.0"}}, "compute: library bear 1.0 is gone"),
        ({"code": "other"}, "compute: code of the stage changed"),
        ({"inputs": {"ingest": "other"}}, "compute: result of ingest changed"),
        ({"user code": "other"}, "compute: your code changed"),
    ],
)
def test_what_a_record_was_made_of(root: Path, old: dict[str, Any], words: str) -> None:
    records = Records(Home(root / "home"))
    record = records.latest("apples", "clean")
    assert record
    parts = {**record.parts, **old}
    older = record.model_copy(update={"parts": parts, "key": digest(parts)})
    (root / "home" / "records" / "apples" / "clean" / f"{record.key}.json").unlink()
    count(older, Home(root / "home"))
    records.point(older, "older")
    told = _explained(root, _attributes())[1]
    assert _words(told).startswith(words)


def test_a_lost_snapshot(root: Path) -> None:
    for file in (root / "home" / "tables" / "apples" / "clean").glob("*.parquet"):
        file.unlink()
    told = _explained(root, _attributes())
    assert _words(told[1]) == "compute: a file of the snapshot is gone"
    assert told[2].what == "waits"


def test_a_first_run(tmp_path: Path) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    told = _explained(tmp_path, APPLES)
    assert _words(told[0]) == "compute: never computed"
    assert {one.what for one in told[1:]} == {"waits"}
    assert [_words(one) for one in told[1:]] == [
        "waits: ingest runs first; never computed",
        "waits: clean runs first; never computed",
    ]


def test_without_reuse(root: Path) -> None:
    told = _explained(root, _attributes(), reuse=False)
    assert {_words(one) for one in told} == {"compute: nothing is to be reused"}


def test_a_source_that_is_not_there(root: Path) -> None:
    attributes = _attributes()
    attributes["ingest"]["source"]["files"] = "nowhere.csv"
    told = _explained(root, attributes)
    assert told[0].what == "fails"
    assert "no file matches 'nowhere.csv'" in told[0].why
    assert told[1].what == "waits"


def test_an_older_result_that_comes_back_moves_what_follows(root: Path) -> None:
    changed = _attributes()
    changed["clean"]["where"]["small"] = "size < 5"
    pipeline = declare(root / "apples", changed)
    for stage in DATA:
        run_stage(StageRequest(pipeline, stage, Home(root / "home"), "second-run"))
    told = _explained(root, _attributes())
    assert [one.what for one in told] == ["reuse", "reuse", "waits"]


def test_partition_by_partition(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    keys = ["2024-01-01", "2024-01-02", "2024-01-03"]
    for i, key in enumerate(keys):
        write(tmp_path, key, *range(i, i + 8))
    for key in keys[:2]:
        for stage in ("ingest", "clean"):
            run_stage(StageRequest(made, stage, home, "run", partition(made, key)))
    write(tmp_path, "2024-01-02", 50, 51)
    told = {(one.stage, one.partition): _words(one) for one in _all(made, home, keys)}
    assert told["ingest", "2024-01-01"].startswith("reuse: computed")
    assert told["ingest", "2024-01-02"] == "compute: the source changed (2024-01-02.csv)"
    assert told["ingest", "2024-01-03"] == "compute: never computed"
    assert told["clean", "2024-01-01"].startswith("reuse: computed")
    assert told["clean", "2024-01-02"].startswith("waits: ingest runs first")
    assert told["split", None].startswith("waits: clean runs first")


def _all(made: Pipeline, home: Home, keys: list[str]) -> list[Explained]:
    call = StageRequest(made, "ingest", home, "")
    return list(explain(call, DATA, [partition(made, key) for key in keys]))


@pytest.mark.slow
def test_models_that_are_gone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    prepare(home)
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    pipeline = declare(tmp_path / "apples", APPLES)

    def told() -> dict[str, str]:
        call = StageRequest(pipeline, "ingest", home, "")
        return {one.stage: _words(one) for one in explain(call, STAGES, ())}

    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, home, "run"))
    assert {words.partition(":")[0] for words in told().values()} == {"reuse"}
    shutil.rmtree(home.pictures)
    assert told()["evaluate"] == "compute: a picture or the predictions' file is gone"
    assert told()["deploy"] == "waits: evaluate runs first; reused if the result is the same"
    run_stage(StageRequest(pipeline, "evaluate", home, "run"))
    make_champion("apples", 7, home)
    # The candidate must be compared with the version that serves.
    assert told()["evaluate"] == "compute: champion none → v7"
