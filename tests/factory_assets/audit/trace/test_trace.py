"""Every row is traced forward to exactly one place, and back to its line with equal values."""

import copy
import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factory_assets.audit.dossier.cited_home import CitedHome, chosen_version, version_documents
from factory_assets.audit.trace.report import RowPlace, RowRoute, Trace
from factory_assets.audit.trace.trace import trace
from factory_assets.execution import runner
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.execution.standing import champions_in
from factory_assets.results.data import CleanResult, IngestResult
from factory_resources.errors import DataError, FactoryError, RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from factory_resources.tables.snapshot import Snapshot, read_arrow
from factory_resources.tracking.records import Records
from tests.approvals import make_factory
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.random_examples import examples

# A row may have a cell that is not a number, break a rule, or be a duplicate.
CELLS = st.sampled_from(["1", "2", "3", "x", "-1"])

TEXTS = st.sampled_from(["red", 'a "quoted"\nname', "with, comma", ""])

ROWS = st.lists(st.tuples(CELLS, TEXTS), min_size=1, max_size=6)

FRUIT: dict[str, Any] = {
    "purpose": "Rows to follow",
    "ingest": {
        "source": {"files": ["one.csv", "two.csv"]},
        "contract": [{"name": "size", "type": "int64"}, {"name": "colour", "type": "string"}],
        "max_quarantine": 1.0,
    },
    "clean": {"where": {"positive": "size > 0"}, "deduplicate": ["size", "colour"]},
}


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("size", "colour"))
    writer.writerows(rows)
    path.write_text(text.getvalue())


def _run(folder: Path, attributes: dict[str, Any], home: Home, run: str = "run") -> None:
    pipeline = declare(folder, attributes)
    for stage in stages_of(pipeline):
        run_stage(StageRequest(pipeline, stage, home, run))


def _trace(name: str, home: Home, folder: Path, row: str | None = None, **more: Any) -> Trace:
    return trace(name, home, row=row, folders={folder.name: folder}, **more)


def _last(fates: tuple[RowRoute, ...]) -> tuple[str, RowPlace]:
    [fate] = fates
    last = fate.passages[-1]
    [place] = last.places
    return last.stage, place


@settings(max_examples=examples(8), deadline=None)
@given(one=ROWS, two=ROWS)
def test_every_row_is_found_once_forward_and_back(
    tmp_path_factory: pytest.TempPathFactory, one: list[tuple[str, str]], two: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("traced") / "fruit"
    home = Home(folder.parent / "home")
    folder.mkdir()
    files = {"one.csv": one, "two.csv": [*two, ("7", "the second file's own")]}
    for name, rows in files.items():
        _write(folder / name, rows)
    _run(folder, FRUIT, home)
    cleaned = CleanResult.model_validate(Records(home).latest("fruit", "clean").value)
    ingested = IngestResult.model_validate(Records(home).latest("fruit", "ingest").value)
    tables = {
        ("ingest", "quarantine"): ingested.quarantine,
        ("clean", "snapshot"): cleaned.snapshot,
        ("clean", "quarantine"): cleaned.quarantine,
    }
    seen: dict[tuple[str, str], int] = {}
    kept: set[tuple[str, str]] = set()
    for name, rows in files.items():
        for number, cells in enumerate(rows, 1):
            path = str(folder / name)
            stage, place = _last(_trace(path, home, folder, str(number), verify=False).fates)
            seen[stage, place.part] = seen.get((stage, place.part), 0) + 1
            expected = "quarantine" if cells[0] in {"x", "-1"} else "snapshot"
            if expected == "snapshot" and cells in kept:
                expected = "duplicate"
            kept.add(cells)
            assert place.part == expected
            assert place.rules == {"x": ("type:size",), "-1": ("positive",)}.get(cells[0], ())
    assert seen.pop(("clean", "duplicate"), 0) == cleaned.duplicates
    assert seen == {key: table.rows for key, table in tables.items() if table}
    for (stage, part), table in tables.items():
        if table:
            _all_lead_back(f"fruit/{stage}.{part}", table, home, folder, files)


def _all_lead_back(
    name: str,
    table: Snapshot,
    home: Home,
    folder: Path,
    files: dict[str, list[tuple[str, str]]],
) -> None:
    for number, row in enumerate(read_arrow(table, home).to_pylist(), 1):
        found = _trace(name, home, folder, str(number), verify=False).row
        assert found
        assert found.source
        assert found.lines
        path = Path(found.source.path or "")
        lines = path.read_text().split("\n")[found.lines[0] - 1 : found.lines[1]]
        [cells] = csv.reader(io.StringIO("\n".join(lines) + "\n", newline=""))
        assert tuple(cells) == files[path.name][found.record - 1]
        assert cells == [str(row["size"]), row["colour"] or ""]
        if files[path.name].count(tuple(cells)) == 1:
            found_again = _trace(
                f"{name}@{table.data_version[:20]}",
                home,
                folder,
                f"{path}:{found.record}",
                verify=False,
            )
            assert found_again.row == found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline that has a champion, and its home."""
    root = tmp_path_factory.mktemp("made")
    folder = root / "apples"
    folder.mkdir()
    lines = [
        f"{i % 7 + i / 100},{('red', 'green')[i % 2]},{'good' if i % 7 > 3 else 'bad'}"
        for i in range(1, 201)
    ]
    lines[4], lines[8] = "-1,red,bad", "x,red,good"
    lines.append(lines[20])
    (folder / "data.csv").write_text("\n".join(["size,colour,label", *lines]) + "\n")
    home = Home(root / "home")
    prepare(home)
    _run(folder, _apples(), home)
    return root


def _apples() -> dict[str, Any]:
    attributes = copy.deepcopy(APPLES)
    attributes["clean"]["deduplicate"] = ["size", "colour"]
    attributes["clean"]["derive"] = {"big": "size > 2"}
    return attributes


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    root = shutil.copytree(made, tmp_path / "copy")
    prepare(Home(root / "home"))
    return root


def _of(root: Path, name: str, row: str | None = None, **more: Any) -> Trace:
    return _trace(name, Home(root / "home"), root / "apples", row, **more)


@pytest.mark.slow
class TestModel:
    def test_a_model_is_traced_back_to_its_source(self, made: Path) -> None:
        found = _of(made, "apples@champion")
        assert found.problems == ()
        assert found.name == "apples@1"
        assert found.model
        assert (found.model.champion, found.model.passed, found.model.state) == (
            True,
            True,
            "whole",
        )
        assert [s.stage for s in found.steps] == [
            *("deploy", "evaluate", "train", "split", "clean", "ingest")
        ]
        assert [s.conserved for s in found.steps] == [None, None, None, True, True, True]
        assert all(table.state == "whole" for step in found.steps for table in step.tables)
        [source] = found.sources
        assert (source.name, source.state, source.rows) == ("data.csv", "whole", 201)
        columns = {c.name: c for c in found.columns}
        assert columns["big"].sources == ("size",)
        assert columns["big"].by == "size > 2"
        assert [c.name for c in found.columns if c.role == "target"] == ["label"]

    def test_a_source_is_traced_forward_to_the_model(self, made: Path) -> None:
        found = _of(made, str(made / "apples" / "data.csv"))
        [fate] = found.fates
        assert [p.rows for p in fate.passages[:2]] == [
            {"snapshot": 200, "quarantine": 1},
            {"snapshot": 198, "quarantine": 1, "duplicates": 1},
        ]
        [fed] = fate.models
        assert (fed.name, fed.champion, fed.passed) == ("apples@1", True, True)
        assert sum(fed.rows.values()) == 198

    @pytest.mark.parametrize(
        ("row", "stage", "part", "rules"),
        [
            (5, "clean", "quarantine", ("positive",)),
            (9, "ingest", "quarantine", ("type:size",)),
            (201, "clean", "duplicate", ()),
        ],
    )
    def test_excluded_rows_reach_no_model(
        self, made: Path, row: int, stage: str, part: str, rules: tuple[str, ...]
    ) -> None:
        found = _of(made, str(made / "apples" / "data.csv"), str(row))
        where, place = _last(found.fates)
        assert (where, place.part, place.rules) == (stage, part, rules)
        assert found.fates[0].models == ()
        assert place.same_as == (21 if part == "duplicate" else None)

    def test_each_row_is_in_one_part_of_the_split(self, made: Path) -> None:
        places = [
            _last(_of(made, "data.csv", str(row), verify=False).fates) for row in (1, 2, 30, 77)
        ]
        for row, (stage, place) in zip((1, 2, 30, 77), places, strict=True):
            assert stage == "split"
            assert place.part in {"train", "validation", "test"}
            of_model = _of(made, "apples@1", f"data.csv:{row}", verify=False).row
            assert of_model
            assert of_model.hops[0].row == place.row
            assert f".{place.part}@" in of_model.hops[0].table
            assert of_model.lines == (row + 1, row + 1)

    def test_predictions_are_traced_back_to_the_source(self, made: Path) -> None:
        found = _of(made, "apples/evaluate.predictions", "1").row
        assert found
        assert found.source
        assert found.source.name == "data.csv"

    def test_a_changed_byte_is_reported(self, copied: Path) -> None:
        [file] = (copied / "home/tables/apples/split_train").glob("*.parquet")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        found = _of(copied, "apples@1")
        assert found.problems == (
            f"apples/split_train/{file.name} is not what was written: its SHA-256 differs",
        )
        assert _of(copied, "apples@1", verify=False).problems == ()

    def test_a_changed_model_is_reported(self, copied: Path) -> None:
        [file] = (copied / "home/artifacts").rglob("model.json")
        file.write_bytes(file.read_bytes() + b" ")
        found = _of(copied, "apples@1")
        assert found.model
        assert found.model.state == "changed"
        assert found.problems == (
            "apples@1/model.json is not what was written: its SHA-256 differs",
        )

    @pytest.mark.parametrize(
        ("pattern", "name"),
        [
            ("home/artifacts/**/onnx/model.onnx", "apples@1/onnx/model.onnx"),
            ("home/artifacts/**/origin/rows.json", "apples@1/origin/rows.json"),
            ("home/artifacts/**/origin/manifest.json", "apples@1/origin/manifest.json"),
            (
                "home/tables/apples/clean/_delta_log/*0.json",
                f"apples/clean/_delta_log/{0:020}.json",
            ),
        ],
    )
    def test_a_changed_file_beside_package_and_tables_is_reported(
        self, copied: Path, pattern: str, name: str
    ) -> None:
        [file] = copied.glob(pattern)
        file.write_bytes(file.read_bytes() + b" ")
        found = _of(copied, "apples@1")
        assert found.problems == (f"{name} is not what was written: its SHA-256 differs",)

    def test_a_lost_graph_is_reported(self, copied: Path) -> None:
        [file] = (copied / "home/artifacts").rglob("onnx/model.onnx")
        file.unlink()
        assert _of(copied, "apples@1").problems == ("apples@1/onnx/model.onnx is gone",)

    def test_a_log_that_names_other_files_is_reported(self, copied: Path) -> None:
        folder = copied / "home/tables/apples/clean"
        [first] = (folder / "_delta_log").glob("*.json")
        [add] = [json.loads(line) for line in first.read_text().splitlines() if '"add"' in line]
        add["add"]["path"] = "other.parquet"
        (folder / "_delta_log" / f"{1:020}.json").write_text(json.dumps(add))
        other = "apples/clean/_delta_log does not name the files of the latest records"
        assert _of(copied, "apples@1").problems == (other,)
        first.write_text("not a commit")
        [changed, unreadable] = _of(copied, "apples@1").problems
        assert "is not what was written" in changed
        assert "apples/clean/_delta_log cannot be read" in unreadable

    @pytest.mark.parametrize("table", ["metrics", "latest_metrics"])
    @pytest.mark.parametrize("metric", ["test_roc_auc", "validation_roc_auc", "train_seconds"])
    def test_a_changed_metric_is_reported(self, copied: Path, table: str, metric: str) -> None:
        with closing(sqlite3.connect(copied / "home/mlflow.db")) as database, database:
            database.execute(f"UPDATE {table} SET value = value + 0.01 WHERE key = ?", (metric,))
        assert _of(copied, "apples@1").problems == (
            f"apples@1: MLflow shows other values of {metric} than the records",
        )

    def test_a_changed_record_is_reported(self, copied: Path) -> None:
        [file] = (copied / "home/records/apples/clean").glob("*.json")
        content = json.loads(file.read_text())
        content["parts"]["declaration"]["where"] = {}
        file.write_text(json.dumps(content))
        assert (
            "its components do not have the digest that is its key"
            in _of(copied, "apples@1").problems[0]
        )

    def test_rows_that_do_not_add_up_are_reported(self, copied: Path) -> None:
        [file] = (copied / "home/records/apples/clean").glob("*.json")
        content = json.loads(file.read_text())
        content["value"]["duplicates"] = 0
        file.write_text(json.dumps(content))
        assert any("do not add up" in problem for problem in _of(copied, "apples@1").problems)

    def test_a_lost_snapshot_is_reported(self, copied: Path) -> None:
        for file in (copied / "home/tables/apples/clean").glob("*.parquet"):
            file.unlink()
        assert [p for p in _of(copied, "apples@1").problems if "is gone" in p]
        found = _of(copied, str(copied / "apples" / "data.csv"))
        assert [p.state for p in found.fates[0].passages] == ["whole", "gone", "whole"]
        with pytest.raises(FactoryError, match="its rows are gone"):
            _of(copied, "apples/clean", "3")

    def test_a_changed_source_is_still_found_by_its_name(self, copied: Path) -> None:
        data = copied / "apples" / "data.csv"
        digest = _of(copied, "apples/ingest").sources[0].sha256
        data.write_text(data.read_text() + "1,red,bad\n")
        found = _of(copied, "apples/clean", "3")
        assert found.sources[0].state == "changed"
        assert found.row
        assert found.row.lines is None
        assert found.row.lines_unknown == "the file has changed since"
        assert found.problems == ()
        with pytest.raises(UnknownNameError, match=f"as it is now .*was sha256:{digest[:12]}"):
            _of(copied, str(data))
        data.unlink()
        found = _of(copied, "apples/clean", "3")
        assert found.row
        assert found.row.lines_unknown == "the file is gone"
        # The records still tell where its rows went, if it is named by its name or its digest.
        for name in ("data.csv", f"sha256:{digest[:8]}"):
            assert _of(copied, name).fates[0].models[0].name == "apples@1"

    def test_a_second_version_shares_what_did_not_change(self, copied: Path) -> None:
        attributes = _apples()
        attributes["train"]["seed"] = 3
        _run(copied / "apples", attributes, Home(copied / "home"), "second")
        [fate] = _of(copied, str(copied / "apples" / "data.csv")).fates
        assert [model.name for model in fate.models] == ["apples@1", "apples@2"]
        first, second = _of(copied, "apples@1"), _of(copied, "apples@2")
        assert first.steps[-3:] == second.steps[-3:]
        assert second.problems == ()


@pytest.mark.parametrize("rule", [{}, {"sensitive": "personal"}], ids=["", "sensitive"])
def test_a_row_of_images_leads_back_to_its_file(
    rule: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    folder = tmp_path / "scans"
    for name, content in {"in/b/2.png": "red", "in/a/1.png": "blue", "in/torn.png": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if content:
            Image.new("RGB", (5, 5), content).save(folder / name)
    (folder / "in/torn.png").write_bytes(b"torn")
    contract = [
        {"name": "file", "from": "path", "type": "string", **rule},
        {"name": "sha256", "type": "string"},
        {"name": "pixels", "type": "string", "nullable": False},
    ]
    ingest = {"source": {"images": "in/**/*.png", "size": 4}, "contract": contract}
    _run(folder, {"purpose": "Pictures to follow", "ingest": ingest}, home)
    for number, name in ((1, "in/a/1.png"), (2, "in/b/2.png")):
        row = _trace("scans/clean", home, folder, str(number)).row
        assert row
        digest = sha256((folder / name).read_bytes()).hexdigest()
        shown = digest if rule else f"{name}, {digest}"
        assert row.lines_unknown == f"the record is an image: {shown}"
    (folder / "defs.yaml").unlink()
    row = _trace("scans/clean", home, folder, "1").row
    assert row
    assert row.lines_unknown == "the source is not a file"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("apples@7", None, "apples has no version 7; its versions are 1"),
        ("aples@1", None, "no model 'aples'; did you mean 'apples'"),
        ("apples/clean@abcdef", None, "has no data version abcdef; choose one of: apples/clean@"),
        ("apples/clean.part", None, "clean has no part 'part'"),
        ("apples/deploy", None, "deploy stores no table; write apples@3"),
        ("pears/clean", None, "pipeline 'pears' has no results yet"),
        ("sha256:abcdef", None, "no pipeline has read a source sha256:abcdef"),
        ("sha256:abc", None, "is not a valid name; write pipeline@3"),
        ("apples@new", None, "is not a valid name; write pipeline@3"),
        ("nothing.csv", None, "there is no file 'nothing.csv'"),
        ("apples/split", "1", "consists of 3 tables; name one: apples/split.train"),
        ("apples/clean", "0", "is not a row number; write a number from 1"),
        pytest.param("apples/clean", "9" * 5000, "is not a row number", id="many digits"),
        ("apples@1", "3", "row 3 is ambiguous: apples@1 learned from several tables"),
        ("sha256:1", "x", "is not a valid name"),
    ],
)
def test_wrong_names_are_refused_with_a_remedy(
    made: Path, name: str, row: str | None, message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        _of(made, name, row)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("apples/clean", "199", "there is no row 199; its rows are 1 to 198"),
        ("data.csv", "202", "there is no row 202; its rows are 1 to 201"),
        ("apples/clean", "data.csv:5", "row 5 of .* is not in this table; follow it forward"),
    ],
)
def test_missing_rows_are_refused_with_a_remedy(
    made: Path, name: str, row: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _of(made, name, row)


@pytest.mark.slow
def test_a_version_became_champion_when_the_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = make_factory(tmp_path / "root")
    enter(factory.root, monkeypatch)

    def became_champion() -> tuple[str, ...]:
        model = trace("apples@1", factory.home, folders={}).model
        assert model
        return model.deployed

    assert became_champion() == ()  # it is exported, and waits
    factory.approve()
    factory.declare(seed=8)
    factory.run()
    factory.approve("apples@2")
    assert factory.factory("rollback", "apples", "--reason", "worse", by="jane")[0] == 0
    with Ledger(factory.home).reading() as log:
        back, _, first = (entry.time for _, entry in champions_in(log, "apples"))
    assert became_champion() == (first, back)


def test_of_several_evaluations_that_holds_which_the_ledger_names_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate is raised, fails, and is as before again: the first evaluation is reused."""

    class HourLater(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    folder, home = tmp_path / "apples", Home(tmp_path / "home")
    write_apples(folder)
    prepare(home)

    def run(least: float) -> None:
        gates = [{"metric": "roc_auc", "at_least": least}]
        _run(folder, {**APPLES, "evaluate": {"gates": gates}}, home)

    run(0.5)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "datetime", HourLater)
        with pytest.raises(RefusedError, match="is below"):
            run(1.0)
    failed = _trace("apples@1", home, folder).model
    assert failed
    assert not failed.passed
    run(0.5)
    holding = _trace("apples@1", home, folder).model
    assert holding
    assert holding.passed
    [fate] = _trace(str(folder / "data.csv"), home, folder).fates
    assert [used.passed for used in fate.models] == [True]
    with Ledger(home).reading() as log:
        documents = version_documents(chosen_version("apples", 1, home), CitedHome(home, log))
    [evaluated] = documents.stages["evaluate"]
    assert evaluated.content["value"]["gates"][0]["bound"] == 0.5
