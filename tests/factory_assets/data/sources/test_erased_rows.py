"""Rows that were erased are left out of every kind of source, and of its counts."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import IngestResult
from factory_assets.spec import Pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.tables.asset_tables import path_of, save_table
from factory_resources.tables.snapshot import Snapshot
from tests.data_stages import pipeline, rows
from tests.erasures import note_erased
from tests.factory_assets.data.sources.test_discovery import PLAIN, key
from tests.random_examples import examples

IDS = (1, 2, 3, 4, 5, 6)

YS = (0.5, 1.5, 2.5, 3.5, -1.0, -2.0)
"""The last two break the contract."""

Identity = tuple[str, int]


def _table() -> pa.Table:
    return pa.table({"id": IDS, "y": YS})


def _csv(names: Sequence[str] = ("id", "y")) -> str:
    lines = [f"{i},{y}" for i, y in zip(IDS, YS, strict=True)]
    return "\n".join([",".join(names), *lines]) + "\n"


def _declared(folder: Path, source: dict[str, Any], **more: Any) -> Pipeline:
    part = {"source": source, "contract": PLAIN, "max_quarantine": 0.9, **more}
    return pipeline(folder, ingest=part)


def _text(folder: Path, home: Home) -> Pipeline:
    (folder / "data.csv").write_text(_csv())
    return _declared(folder, {"files": "data.csv"})


def _unique_text(folder: Path, home: Home) -> Pipeline:
    (folder / "data.csv").write_text(_csv())
    unique = [{**PLAIN[0], "unique": True}, PLAIN[1]]
    return _declared(folder, {"files": "data.csv"}, contract=unique)


def _files_with_label(folder: Path, home: Home) -> Pipeline:
    (folder / "a.csv").write_text(_csv())
    (folder / "b.csv").write_text("id,y\n7,8\n8,-9\n")
    return _declared(folder, {"files": {"x": "a.csv", "w": "b.csv"}, "label": "site"})


def _parquet(folder: Path, home: Home) -> Pipeline:
    pq.write_table(_table(), folder / "data.parquet", row_group_size=2)
    return _declared(folder, {"files": "data.parquet"})


def _lines(folder: Path, home: Home) -> Pipeline:
    lines = [json.dumps({"id": i, "y": y}) for i, y in zip(IDS, YS, strict=True)]
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return _declared(folder, {"files": "data.jsonl"})


def _arff(folder: Path, home: Home) -> Pipeline:
    head = "@RELATION r\n@ATTRIBUTE id NUMERIC\n@ATTRIBUTE y NUMERIC\n@DATA\n"
    (folder / "data.arff").write_text(head + _csv().partition("\n")[2])
    return _declared(folder, {"files": "data.arff"})


def _function(folder: Path, **source: Any) -> Pipeline:
    body = f"import pyarrow as pa\n\ndef rows():\n    return pa.table({_table().to_pydict()!r})\n"
    (folder / "made.py").write_text(body)
    return _declared(folder, {"python": "made:rows", **source})


def _python(folder: Path, home: Home) -> Pipeline:
    return _function(folder)


def _python_that_reads(folder: Path, home: Home) -> Pipeline:
    return _function(folder, reads=[])


def _database(folder: Path, home: Home) -> Pipeline:
    with closing(sqlite3.connect(folder / "plant.db")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER, y REAL)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", zip(IDS, YS, strict=True))
    return _declared(folder, {"database": "sqlite:plant.db", "query": "SELECT * FROM t"})


def _delta(folder: Path, home: Home) -> Pipeline:
    for start in (0, 3):
        write_deltalake(folder / "lake", _table().slice(start, 3), mode="append")
    return _declared(folder, {"delta": "lake"})


def _asset(folder: Path, home: Home) -> Pipeline:
    home.require_writable()
    save_table(_table(), path_of(home, ["own"]), "own")
    return _declared(folder, {"asset": "own"})


def _snapshot(folder: Path, home: Home) -> Pipeline:
    (folder / "other").mkdir()
    (folder / "other" / "data.csv").write_text(_csv())
    other = pipeline(folder / "other", files="data.csv")
    other = Pipeline("other", other.spec, other.folder)
    run_stage(StageRequest(other, "ingest", home, "run"))
    return _declared(folder, {"pipeline": "other", "stage": "ingest"})


def _joined(folder: Path, home: Home) -> Pipeline:
    (folder / "names.csv").write_text("id,name\n1,a\n3,c\n5,e\n")
    joins = {"names": {"source": {"files": "names.csv"}, "on": "id", "columns": ["name"]}}
    contract = [*PLAIN, {"name": "name", "type": "string"}]
    _text(folder, home)
    return _declared(folder, {"files": "data.csv"}, joins=joins, contract=contract)


KINDS: dict[str, Callable[[Path, Home], Pipeline]] = {
    "text in one pass": _text,
    "text in two passes": _unique_text,
    "files with a label": _files_with_label,
    "parquet": _parquet,
    "lines of JSON": _lines,
    "ARFF": _arff,
    "Python": _python,
    "Python that reads files": _python_that_reads,
    "database": _database,
    "Delta": _delta,
    "asset": _asset,
    "snapshot of another pipeline": _snapshot,
    "with a join": _joined,
}


def _identities(snapshot: Snapshot | None, home: Home, *ids: Any) -> set[Identity]:
    found = rows(snapshot, home)
    return {(row["_file"], row["_row"]) for row in found if row["id"] in ids}


def _left(snapshot: Snapshot | None, home: Home, gone: set[Identity]) -> list[dict[str, Any]]:
    return [row for row in rows(snapshot, home) if (row["_file"], row["_row"]) not in gone]


def _erase(home: Home, gone: set[Identity]) -> None:
    sources: dict[str, list[int]] = {}
    for source, row in sorted(gone):
        sources.setdefault(source, []).append(row)
    note_erased(home, sources)


def _require_counts(result: IngestResult) -> None:
    broken = result.quarantine.rows if result.quarantine else 0
    assert result.rows_read == result.snapshot.rows + broken
    assert result.rows_read == sum(one.rows for one in result.sources if not one.join)
    assert result.rows_read == sum(block.rows_in for block in result.blocks)
    assert sum(result.quarantined.values()) == broken


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_left_out_of_tables_and_counts(kind: str, tmp_path: Path, home: Home) -> None:
    declared = KINDS[kind](tmp_path, home)
    first, before = key(declared, home), ingest(declared, home)
    gone = _identities(before.snapshot, home, 3) | _identities(before.quarantine, home, "5", "5.0")
    assert len(gone) == 2
    _erase(home, gone)
    after = ingest(declared, home)
    assert rows(after.snapshot, home) == _left(before.snapshot, home, gone)
    assert rows(after.quarantine, home) == _left(before.quarantine, home, gone)
    assert after.rows_read == before.rows_read - 2
    _require_counts(after)
    assert key(declared, home) != first


@pytest.mark.parametrize("kind", KINDS)
def test_erasing_others_changes_no_key(kind: str, tmp_path: Path, home: Home) -> None:
    declared = KINDS[kind](tmp_path, home)
    first = key(declared, home)
    note_erased(home, {"0" * 64: [1]}, pipeline="another")
    assert key(declared, home) == first
    note_erased(home, {"1" * 64: [1]})
    # What a function returns is known by its digest, which is not known before it is called.
    assert (key(declared, home) == first) is (kind != "Python that reads files")


@pytest.mark.parametrize("kind", ["text in one pass", "Python that reads files", "Delta"])
def test_a_run_afterwards_computes_once(kind: str, tmp_path: Path, home: Home) -> None:
    declared = KINDS[kind](tmp_path, home)

    def run() -> tuple[bool, IngestResult]:
        done = run_stage(StageRequest(declared, "ingest", home, "run"))
        assert isinstance(done.value, IngestResult)
        return done.reused, done.value

    _, before = run()
    assert run()[0]
    _erase(home, _identities(before.snapshot, home, 3))
    assert [run()[0], run()[0]] == [False, True]
    assert run()[1].rows_read == before.rows_read - 1


def test_an_image_is_left_out(tmp_path: Path, home: Home) -> None:
    for number in range(4):
        Image.new("L", (4, 4), 40 * number).save(tmp_path / f"{number}.png")
    source = {"images": "*.png", "size": 4, "colours": "grey"}
    declared = pipeline(tmp_path, ingest={"source": source})
    before = ingest(declared, home)
    note_erased(home, {before.sources[0].sha256: [2]})
    after = ingest(declared, home)
    assert [row["path"] for row in rows(after.snapshot, home)] == ["0.png", "2.png", "3.png"]
    assert [row["_row"] for row in rows(after.snapshot, home)] == [1, 3, 4]
    assert (after.rows_read, after.sources[0].rows) == (3, 3)


def test_a_row_of_a_joined_table_is_left_out_where_it_is_joined(tmp_path: Path, home: Home) -> None:
    declared = _joined(tmp_path, home)
    [names] = [one for one in ingest(declared, home).sources if one.join]
    note_erased(home, {names.sha256: [2]})
    after = ingest(declared, home)
    assert [row["name"] for row in rows(after.snapshot, home)] == ["a", None, None, None]
    assert [(one.join, one.rows) for one in after.sources] == [("", 6), ("names", 2)]
    assert after.rows_read == 6


def test_the_type_of_a_column_is_inferred_without_them(tmp_path: Path, home: Home) -> None:
    (tmp_path / "data.csv").write_text("id,y\n1,5\nQwertz,6\n3,7\n")
    declared = pipeline(tmp_path, files="data.csv")
    before = ingest(declared, home)
    assert before.snapshot.columns["id"] == "VARCHAR"
    note_erased(home, {before.sources[0].sha256: [2]})
    assert [row["id"] for row in rows(ingest(declared, home).snapshot, home)] == [1, 3]


def test_the_first_of_two_equal_keys_is_left_out(tmp_path: Path, home: Home) -> None:
    """The second has the key alone then, and leaves the quarantine."""
    declared = _unique_text(tmp_path, home)
    (tmp_path / "data.csv").write_text("id,y\n1,5\n2,6\n1,7\n")
    before = ingest(declared, home)
    assert before.quarantined == {"unique:id": 1}
    note_erased(home, {before.sources[0].sha256: [1]})
    after = ingest(declared, home)
    assert [row["y"] for row in rows(after.snapshot, home)] == [6, 7]
    assert (after.quarantined, after.quarantine) == ({}, None)


@settings(max_examples=examples(50))
@given(gone=st.sets(st.integers(1, 9)), kind=st.sampled_from([_text, _unique_text, _parquet]))
def test_any_rows_are_left_out(
    gone: set[int],
    kind: Callable[[Path, Home], Pipeline],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    home = Home(folder / "home")
    declared = kind(folder, home)
    [source] = ingest(declared, home).sources
    # A number that the source does not have changes nothing.
    note_erased(home, {source.sha256: sorted(gone)})
    if not {1, 2, 3, 4} - gone:
        return
    after = ingest(declared, home)
    kept = [row["_row"] for row in rows(after.snapshot, home)]
    broken = [row["_row"] for row in rows(after.quarantine, home)]
    assert (kept, broken) == (
        [i for i in (1, 2, 3, 4) if i not in gone],
        [i for i in (5, 6) if i not in gone],
    )
    _require_counts(after)
