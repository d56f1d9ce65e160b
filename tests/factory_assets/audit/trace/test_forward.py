"""Traces through other pipelines' snapshots, joins, several sources and partitions."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.trace.report import Trace
from factory_assets.audit.trace.trace import trace
from factory_assets.cli.trace import trace_text
from factory_assets.execution import cache_key
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.spec import partition_of
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from tests.pipelines import declare

CONTRACT = [{"name": "size", "type": "int64"}, {"name": "colour", "type": "string"}]


def _run(root: Path, name: str, attributes: dict[str, Any], partition: str | None = None) -> None:
    pipeline = declare(root / name, {"purpose": name, **attributes})
    key = partition_of(pipeline.spec.partitions, partition) if partition else None
    for stage in ("ingest", "clean"):
        run_stage(
            StageRequest(pipeline, stage, Home(root / "home"), f"run {name} {partition}", key)
        )


def _trace(root: Path, name: str, row: str | None = None) -> Trace:
    folders = {folder.name: folder for folder in root.iterdir() if folder.is_dir()}
    found = trace(name, Home(root / "home"), row=row, folders=folders)
    assert found.problems == ()
    return found


def _write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_trace_passes_through_another_pipeline(tmp_path: Path) -> None:
    data = _write(
        tmp_path, "orchard/data.csv", "size,colour\n1,red\n-1,red\n2,green\n2,green\n9,x\n"
    )
    _run(
        tmp_path,
        "orchard",
        {
            "ingest": {"source": {"files": "data.csv"}, "contract": CONTRACT},
            "clean": {
                "where": {"positive": "size > 0"},
                "deduplicate": ["size"],
                "derive": {"area": "size * size"},
            },
        },
    )
    _run(
        tmp_path,
        "juice",
        {
            "ingest": {"source": {"pipeline": "orchard"}},
            "clean": {"where": {"small": "size < 9"}, "derive": {"half": "area / 2"}},
        },
    )
    found = _trace(tmp_path, "juice/clean", "2")
    assert found.row
    assert [hop.table.partition("@")[0] for hop in found.row.hops] == [
        "juice/clean",
        "orchard/clean",
    ]
    assert [hop.row for hop in found.row.hops] == [2, 2]
    assert (found.row.record, found.row.lines) == (3, (4, 4))
    assert [f"{s.pipeline}/{s.stage}" for s in found.steps] == [
        *("juice/clean", "juice/ingest", "orchard/clean", "orchard/ingest")
    ]
    assert {s.name: s.snapshot is not None for s in found.sources}["data.csv"] is False
    assert [c.sources for c in found.columns if c.name in {"half", "area", "colour"}] == [
        ("colour",),
        ("size",),
        ("size",),
    ]
    [fate] = _trace(tmp_path, str(data)).fates
    assert fate.passages[1].rows == {"snapshot": 3, "quarantine": 1, "duplicates": 1}
    [other] = fate.into
    assert [p.rows for p in other.passages] == [
        {"snapshot": 3},
        {"snapshot": 2, "quarantine": 1, "duplicates": 0},
    ]
    assert other.passages[1].rules == {"small": 1}
    # A single row: from its file to the other pipeline's quarantine, and by its snapshot.
    [fate] = _trace(tmp_path, str(data), "5").fates
    assert fate.into[0].passages[1].places[0].rules == ("small",)
    again = _trace(tmp_path, "juice/clean", "orchard/clean:2")
    assert again.row == found.row


def test_what_another_version_of_the_code_computed_alike_is_on_one_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _write(tmp_path, "orchard/data.csv", "size,colour\n1,red\n2,green\n")
    orchard = {"ingest": {"source": {"files": "data.csv"}, "contract": CONTRACT}}
    _run(tmp_path, "orchard", orchard)
    _run(tmp_path, "juice", {"ingest": {"source": {"pipeline": "orchard"}}})
    monkeypatch.setattr(cache_key, "stage_code", lambda stage: f"newer code of {stage}")
    _run(tmp_path, "orchard", orchard)
    _run(tmp_path, "jam", {"ingest": {"source": {"pipeline": "orchard"}}})
    [fate] = _trace(tmp_path, str(data), "2").fates
    # Of records that were finished in the same second, any may come first.
    reached = sorted(route.passages[0].step.partition("@")[0] for route in fate.into)
    assert reached == ["jam/ingest", "juice/ingest"]


def test_a_corrected_row_is_traced_to_its_correction(tmp_path: Path) -> None:
    data = _write(tmp_path, "orchard/data.csv", "size,colour\n1,red\n2,green\n1,blue\n")
    clean = {"deduplicate": {"key": "size", "keep": "last"}}
    ingest = {"source": {"files": "data.csv"}, "contract": CONTRACT}
    _run(tmp_path, "orchard", {"ingest": ingest, "clean": clean})
    [fate] = _trace(tmp_path, str(data), "1").fates
    [place] = fate.passages[1].places
    assert (place.part, place.same_as) == ("duplicate", 3)


def test_rows_of_several_sources_and_joined_tables_are_traced(tmp_path: Path) -> None:
    _write(tmp_path, "site/a.csv", "size,colour\n1,red\n2,green\n")
    _write(tmp_path, "site/b.csv", "size;colour\n3;red\n")
    prices = _write(tmp_path, "site/prices.csv", "colour,price\nred,5\ngreen,7\n")
    _run(
        tmp_path,
        "site",
        {
            "ingest": {
                "sources": {"b": {"files": "b.csv", "delimiter": ";"}, "a": {"files": "a.csv"}},
                "label": "where",
                "joins": {
                    "prices": {
                        "source": {"files": "prices.csv"},
                        "on": "colour",
                        "columns": ["price"],
                    }
                },
            }
        },
    )
    rows = [_trace(tmp_path, "site/clean", str(n)).row for n in (1, 2, 3)]
    names = [(row.source.name, row.record, row.lines) for row in rows if row and row.source]
    assert names == [("a.csv", 1, (2, 2)), ("a.csv", 2, (3, 3)), ("b.csv", 1, (2, 2))]
    found = _trace(tmp_path, "site/clean")
    assert {c.name: c.sources for c in found.columns} == {
        "size": ("size",),
        "colour": ("colour",),
        "price": ("prices.price",),
        "where": (),
    }
    assert [s.join for s in found.sources] == ["", "", "prices"]
    [fate] = _trace(tmp_path, str(prices)).fates
    assert [(p.stage, p.joined, p.rows) for p in fate.passages] == [
        ("ingest", "prices", {}),
        ("clean", "prices", {}),
    ]


def test_a_database_is_traced_by_the_names_of_its_tables(tmp_path: Path) -> None:
    (tmp_path / "fruit").mkdir()
    database = tmp_path / "fruit" / "plant.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("CREATE TABLE t (size); INSERT INTO t VALUES (1), (2)")
    source = {"database": "sqlite:plant.db", "table": "t", "key": "size"}
    _run(tmp_path, "fruit", {"ingest": {"source": source}})
    found = _trace(tmp_path, "t")
    assert "is not a file: only a run can read it again" in trace_text(found)
    [fate] = found.fates
    assert [passage.stage for passage in fate.passages] == ["ingest", "clean"]
    with pytest.raises(UnknownNameError, match=r"is a database; .* factory trace t; read"):
        _trace(tmp_path, str(database))


def test_a_file_can_be_a_source_of_rows_and_of_a_join(tmp_path: Path) -> None:
    data = _write(tmp_path, "shared.csv", "colour,price\nred,5\ngreen,7\n")
    _write(tmp_path, "one/a.csv", "size,colour\n1,red\n")
    join = {"prices": {"source": {"files": str(data)}, "on": "colour"}}
    _run(tmp_path, "one", {"ingest": {"source": {"files": "a.csv"}, "joins": join}})
    columns = {c.name: c.sources for c in _trace(tmp_path, "one/clean").columns}
    assert columns == {"size": ("size",), "colour": ("colour",), "price": ("prices.price",)}
    _run(tmp_path, "two", {"ingest": {"source": {"files": str(data)}}})
    found = _trace(tmp_path, str(data))
    assert sorted(f.passages[0].joined for f in found.fates) == ["", "prices"]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    for number, day in enumerate(("2024-01-01", "2024-01-02"), 1):
        _write(tmp_path, f"plant/{day}.csv", f"size,colour\n{number},red\n{number + 5},green\n")
        _run(
            tmp_path,
            "plant",
            {
                "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
                "ingest": {"source": {"files": "{day}.csv"}, "contract": CONTRACT},
            },
            day,
        )
    return tmp_path


def test_partitions_are_traced_as_one_table(days: Path) -> None:
    found = _trace(days, "plant/clean")
    assert [(s.stage, s.partition) for s in found.steps if s.stage == "clean"] == [
        ("clean", "2024-01-01"),
        ("clean", "2024-01-02"),
    ]
    row = _trace(days, "plant/clean", "3").row
    assert row
    assert row.source
    assert (row.source.name, row.record, row.lines) == ("2024-01-02.csv", 1, (2, 2))
    one = _trace(days, found.steps[0].name, "1").row
    assert one
    assert one.source
    assert one.source.name == f"{found.steps[0].partition}.csv"
    [fate] = _trace(days, str(days / "plant/2024-01-01.csv"), "2").fates
    assert [p.partition for p in fate.passages] == ["2024-01-01", "2024-01-01"]


def test_a_trace_passes_through_partitions_of_another_pipeline(days: Path) -> None:
    _run(days, "all", {"ingest": {"source": {"pipeline": "plant"}}})
    found = _trace(days, "all/clean", "4")
    assert found.row
    assert found.row.source
    assert (found.row.source.name, found.row.record) == ("2024-01-02.csv", 2)
    partitions = {s.partition for s in found.steps if s.pipeline == "plant"}
    assert partitions == {"2024-01-01", "2024-01-02"}
    assert {c.name: c.sources for c in found.columns}["day"] == ()
    [fate] = _trace(days, str(days / "plant/2024-01-02.csv")).fates
    assert fate.into[0].passages[-1].rows["snapshot"] == 2
