"""Rows of a person in pipelines that read the tables of others, two levels deep."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.audit.trace.trace import trace
from factory_assets.erasure.read_sources import read_by
from factory_assets.erasure.rewriting import RewrittenFile, TableRewriter
from factory_assets.erasure.table_rows import (
    StoredTableFile,
    find_rows,
    opened,
    rows_left,
    stored_files,
)
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.record_graph import RecordGraph, contradictions, value_in
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.erasures import copied, erase, home_of
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import declare, enter

pytestmark = pytest.mark.slow

NAMES = ("base", "middle", "top")

_NUMBERS = [{"name": "weight", "type": "float64", "range": [0, 100]}]

_DECLARED: dict[str, dict[str, Any]] = {
    "base": {
        "purpose": "People",
        "ingest": {
            "source": {"files": "part*.csv"},
            "contract": [{"name": "nbr", "type": "int64"}, *_NUMBERS],
            "max_quarantine": 0.5,
        },
    },
    # Neither has the column by which a person is found.
    "middle": {
        "purpose": "Weights",
        "ingest": {"source": {"pipeline": "base"}, "contract": _NUMBERS},
        "clean": {"where": {"some": "weight <> 7"}},
    },
    "top": {
        "purpose": "Heavy weights",
        "ingest": {"source": {"pipeline": "middle"}, "contract": _NUMBERS},
    },
}


def _run(root: Path) -> dict[str, tuple[IngestResult, CleanResult]]:
    """Run the pipelines, each after those that it reads."""
    done = {}
    for name in NAMES:
        declared = declare(root / "defs" / name, _DECLARED[name])
        ingested, cleaned = (
            run_stage(StageRequest(declared, stage, home_of(root), "run")).value
            for stage in ("ingest", "clean")
        )
        assert isinstance(ingested, IngestResult)
        assert isinstance(cleaned, CleanResult)
        done[name] = ingested, cleaned
    return done


@pytest.fixture(scope="module")
def made_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("chain") / "root"
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        patch.setattr("factory_assets.data.block_plan.BLOCK_BYTES", 1)
        (root / "defs" / "base").mkdir(parents=True)
        for part in range(3):
            lines = [f"{10 * part + i},{10 * part + i + 0.5}" for i in range(10)]
            # One row is in quarantine, and one stays in the quarantine of the second pipeline.
            lines[8:] = [f"{10 * part + 8},-1", f"{10 * part + 9},7"]
            (root / "defs" / "base" / f"part{part}.csv").write_text(
                "\n".join(["nbr,weight", *lines]) + "\n"
            )
        _run(root)
    return root


@pytest.fixture
def chain(made_chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("factory_assets.data.block_plan.BLOCK_BYTES", 1)
    return copied(made_chain, tmp_path / "root", monkeypatch)


def _weights(home: Home, table: str) -> list[float]:
    paths = f"{home.tables}/{table}/*.parquet"
    return [row[0] for row in duckdb.execute(f"SELECT weight FROM '{paths}' ORDER BY 1").fetchall()]


def _records(home: Home) -> dict[tuple[str, str], Any]:
    graph = RecordGraph.of(home)
    return {(one.pipeline, one.stage): value_in(one) for one in graph.records}


def _content(value: IngestResult | CleanResult, home: Home) -> list[Any]:
    """Return the rows and counts of a result, and which columns may have missing values."""
    content: list[Any] = [value.quarantined, [one.rows_in for one in value.blocks if one.rows_in]]
    for snapshot in (value.snapshot, value.quarantine):
        if snapshot and snapshot.rows:
            # Another run may write the same rows in other bytes.
            table = read_arrow(snapshot, home).drop_columns(["_file"])
            content += [table.schema, table.to_pydict()]
    return content


def test_they_leave_tables_that_read_others(chain: Path) -> None:
    home = home_of(chain)
    before = {name: _weights(home, f"{name}/clean") for name in NAMES}
    assert erase("nbr = 13")
    for name in NAMES:
        expected = [weight for weight in before[name] if weight != 13.5]
        assert _weights(home, f"{name}/clean") == expected
        assert 13.5 not in _weights(home, f"{name}/ingest")
    assert problems(home) == []
    assert [line for r in RecordGraph.of(home).records for line in contradictions(r)] == []


def test_another_person_is_found_before_anything_is_computed_again(chain: Path) -> None:
    """The rows of `top` are known by the numbers that the rows of `middle` have by now."""
    home = home_of(chain)
    for number in (13, 17, 11, 19):
        assert erase(f"nbr = {number}")
    left = [10.5, 12.5, 14.5, 15.5, 16.5]
    assert [w for w in _weights(home, "top/ingest") if 10 <= w < 20] == left
    assert [w for w in _weights(home, "middle/clean_quarantine") if w == 7] == [7, 7]
    assert problems(home) == []


@pytest.mark.parametrize(
    "where", ["nbr < 10", "weight > 12", *in_long(["nbr = 13", "nbr IN (0, 29)"])]
)
def test_what_is_left_is_what_a_run_without_the_rows_makes(chain: Path, where: str) -> None:
    home = home_of(chain)
    assert erase(where)
    erased = _records(home)
    kept = {key: _content(value, home) for key, value in erased.items()}
    again = _run(chain)
    for name in NAMES:
        for stage, value in zip(("ingest", "clean"), again[name], strict=True):
            assert kept[name, stage] == _content(value, home)
        sources = [one.rows for one in erased[name, "ingest"].sources if one.rows]
        assert sources == [one.rows for one in again[name][0].sources if one.rows]
    assert problems(home) == []


def test_a_row_is_traced_to_its_source_afterwards(chain: Path) -> None:
    home = home_of(chain)
    assert erase("nbr = 13")
    cleaned = _records(home)["top", "clean"]
    weights = read_arrow(cleaned.snapshot, home)["weight"].to_pylist()
    folders = {name: chain / "defs" / name for name in NAMES}
    for weight in (12.5, 14.5, 20.5):
        number = weights.index(weight) + 1
        found = trace("top/clean", home, row=str(number), folders=folders)
        assert found.row is not None
        assert found.row.source is not None
        assert (found.row.source.name, found.row.record) == (
            f"part{int(weight) // 10}.csv",
            int(weight) % 10 + 1,
        )
        assert found.problems == ()


def test_files_keep_their_types_and_order(chain: Path) -> None:
    home = home_of(chain)
    before = _records(home)
    tables = {key: read_arrow(one.snapshot, home) for key, one in before.items()}
    assert erase("nbr = 13")
    for key, one in _records(home).items():
        table = read_arrow(one.snapshot, home)
        assert table.schema == tables[key].schema
        weights = [weight for weight in tables[key]["weight"].to_pylist() if weight != 13.5]
        assert table["weight"].to_pylist() == weights
        assert one.snapshot.columns == before[key].snapshot.columns
    for path in home.tables.glob("*/*/*.parquet"):
        assert pq.read_metadata(path).num_rows >= 0


def test_a_folder_above_the_home_becomes_no_column(
    made_chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the engine, a folder such as env=test can be a column of the files in it."""
    monkeypatch.setattr("factory_assets.data.block_plan.BLOCK_BYTES", 1)
    home = home_of(copied(made_chain, tmp_path / "env=test" / "root", monkeypatch))
    assert erase("nbr = 13")
    names = {
        name for file in home.tables.glob("*/*/*.parquet") for name in pq.read_schema(file).names
    }
    assert names == {"nbr", "weight", "_file", "_row", "_rules"}


def test_rows_that_stayed_are_counted_in_tables_without_the_columns(chain: Path) -> None:
    home = home_of(chain)
    files = stored_files(home)
    with home.scratch() as scratch:
        with opened(files, scratch) as connection:
            read = read_by(RecordGraph.of(home))
            found = find_rows(connection, files, "nbr = 13", read)
        others = [file for file in files if file.pipeline != "base"]
        with opened(others, scratch) as connection:
            assert rows_left(connection, others, "nbr = 13", found.sources, read) == 4
        with opened(others, scratch) as connection:
            assert rows_left(connection, others, "nbr = 13", {}, read) == 0


def test_a_row_on_which_the_expression_fails_is_not_counted(chain: Path) -> None:
    home = home_of(chain)
    files = stored_files(home)
    fails = "CAST(CASE WHEN nbr = 13 THEN '1' ELSE concat('x', nbr) END AS INTEGER) = 1"

    def count(where: str) -> int:
        with home.scratch() as scratch, opened(files, scratch) as connection:
            return rows_left(connection, files, where, {}, {})

    assert count(fails) == count("nbr = 13") > 0


@pytest.mark.parametrize("content", [b"", b"PAR1" + bytes(99) + b"PAR1"])
def test_a_damaged_table_is_told_by_its_name(content: bytes, home: Home) -> None:
    path = home.tables / "apples" / "clean" / f"{64 * 'a'}.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=f"{path.name}: the table file cannot be read"):
        stored_files(home)


def _stored(
    home: Home, table: str, columns: dict[str, Any], schema: pa.Schema | None = None
) -> StoredTableFile:
    home.path.mkdir(mode=0o700, exist_ok=True)
    folder = home.tables / table
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema), folder / "table")
    digest = sha256((folder / "table").read_bytes()).hexdigest()
    kinds = {name: "VARCHAR" if name == "_file" else "BIGINT" for name in columns}
    return StoredTableFile(table, (folder / "table").rename(folder / f"{digest}.parquet"), kinds)


def test_many_rows_of_a_large_table_are_numbered_anew(home: Home) -> None:
    rows = 400_000
    file = _stored(home, "top/clean", {"_file": ["old"] * rows, "_row": range(1, rows + 1)})
    gone = tuple(range(1, rows + 1, 50))
    with home.scratch() as scratch, TableRewriter([file], home, scratch) as rewriter:
        places = tuple(number - 1 for number in gone)
        new = rewriter.rewrite(file, places, {"old": RewrittenFile("new", gone)})
    stored = pq.read_table(file.path.with_name(new.name))
    assert stored["_row"].to_pylist() == [*range(1, rows - len(gone) + 1)]
    assert set(stored["_file"].to_pylist()) == {"new"}


def test_a_changed_file_is_refused_before_anything_is_written(home: Home) -> None:
    file = _stored(home, "top/clean", {"_file": ["old"] * 3, "_row": range(1, 4)})
    pq.write_table(pa.table({"_file": ["new"], "_row": [1]}), file.path)
    with home.scratch() as scratch, TableRewriter([file], home, scratch) as rewriter:
        with pytest.raises(StorageError, match=file.path.name):
            rewriter.rewrite(file, (0,), {})
        assert [*scratch.iterdir()] == []
    assert [*file.path.parent.iterdir()] == [file.path]


def test_its_engines_are_closed_in_the_end(home: Home) -> None:
    file = _stored(home, "top/clean", {"_file": ["old"] * 3, "_row": range(1, 4)})
    with home.scratch() as scratch:
        with TableRewriter([file], home, scratch) as rewriter:
            rewriter.rewrite(file, (0,), {})
        for engine in (rewriter._strict, rewriter._lenient):
            with pytest.raises(duckdb.ConnectionException):
                engine.execute("SELECT 1")


def test_a_column_without_missing_values_may_still_have_some(home: Home) -> None:
    fields = [("_file", pa.string(), False), ("_row", pa.int64(), False), ("age", pa.int64(), True)]
    schema = pa.schema([pa.field(name, kind, nullable=some) for name, kind, some in fields])
    columns = {"_file": ["old"] * 3, "_row": range(1, 4), "age": [6, 7, 8]}
    file = _stored(home, "top/clean", columns, schema)
    with home.scratch() as scratch, TableRewriter([file], home, scratch) as rewriter:
        new = rewriter.rewrite(file, (0,), {})
    assert pq.read_schema(file.path.with_name(new.name)) == schema


def test_many_rows_are_found_in_what_reads_them(home: Home) -> None:
    numbers = range(1, 40_001)
    identity = {"_file": ["source"] * len(numbers), "_row": numbers}
    base = _stored(home, "base/clean", {"nbr": [7] * len(numbers), **identity})
    own = {"_file": [base.sha256] * len(numbers), "_row": numbers}
    top = _stored(home, "top/ingest", own)
    read = {"top": {base.sha256: {(): [base.sha256]}}, "base": {"source": {(): ["source"]}}}
    with home.scratch() as scratch, opened([base, top], scratch) as connection:
        found = find_rows(connection, [base, top], "nbr = 7", read)
    assert found.sources == {"source": frozenset(numbers), base.sha256: frozenset(numbers)}
    assert [len(places) for places in found.positions.values()] == [len(numbers)] * 2
