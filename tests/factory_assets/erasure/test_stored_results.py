"""Results after an erasure are valid, whatever tables there were: counts add up, rows are right."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data import block_plan
from factory_assets.erasure.stored_results import _named
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.record_graph import RecordGraph, contradictions, value_in
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow
from tests.erasures import erase, home_of
from tests.ledger import problems
from tests.pipelines import declare, enter
from tests.random_examples import examples

pytestmark = pytest.mark.slow

DECLARED: dict[str, Any] = {
    "purpose": "Weigh people",
    "ingest": {
        "source": {"files": "part*.csv"},
        "contract": [
            {"name": "nbr", "type": "int64"},
            {"name": "who, and where", "type": "string"},
            {"name": "weight", "type": "float64", "range": [0, 100]},
        ],
        "max_quarantine": 1.0,
    },
    "clean": {"where": {"light": "weight < 90"}, "deduplicate": ["nbr", "weight"]},
}

ROWS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["Ulm", "", "Bonn"]),
        st.sampled_from(["5.5", "95", "-1", "", "heavy"]),
    ),
    min_size=1,
    max_size=6,
)


def _rows(snapshot: Snapshot | None, home: Home) -> list[dict[str, Any]]:
    return read_arrow(snapshot, home).to_pylist() if snapshot and snapshot.rows else []


def _require_valid(value: IngestResult | CleanResult, home: Home) -> None:
    """Require that the rows of a result are those that it tells of."""
    broken = value.quarantine.rows if value.quarantine else 0
    assert len(_rows(value.snapshot, home)) == value.snapshot.rows
    quarantined = _rows(value.quarantine, home)
    assert len(quarantined) == broken
    counts = Counter(rule for row in quarantined for rule in row["_rules"].split(","))
    assert value.quarantined == counts
    if isinstance(value, IngestResult):
        assert value.rows_read == value.snapshot.rows + broken
        assert value.rows_read == sum(one.rows for one in value.sources)
        assert value.rows_read == sum(block.rows_in for block in value.blocks)
    else:
        assert value.rows_in == value.snapshot.rows + broken + value.duplicates
    for snapshot in (value.snapshot, value.quarantine):
        names = [(one.sha256, one.copy_number) for one in snapshot.files] if snapshot else []
        assert len(names) == len(set(names))


@settings(max_examples=examples(16))
@given(parts=st.lists(ROWS, min_size=1, max_size=3), equal=st.booleans(), nbr=st.integers(1, 4))
def test_any_person_leaves_any_table(
    parts: list[list[tuple[int, str, str]]],
    equal: bool,
    nbr: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("any") / "root"
    folder, home = root / "defs" / "people", home_of(root)
    folder.mkdir(parents=True)
    # A row of somebody else that stays everywhere: a table without rows is an error of its own.
    parts = [[(9, "Ulm", "7.25")], *parts, *(parts[:1] if equal else [])]
    for number, part in enumerate(parts):
        lines = ['nbr,"who, and where",weight', *(",".join(map(str, row)) for row in part)]
        (folder / f"part{number}.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        patch.setattr(block_plan, "BLOCK_BYTES", 1)
        pipeline = declare(folder, DECLARED)
        for stage in ("ingest", "clean"):
            run_stage(StageRequest(pipeline, stage, home, "run"))
        before = {one.stage: value_in(one) for one in RecordGraph.of(home).records}
        kept = {stage: _kept(value, home, nbr) for stage, value in before.items()}
        assert erase(f"nbr = {nbr}")
        records = RecordGraph.of(home).records
    assert [line for record in records for line in contradictions(record)] == []
    for record in records:
        value = value_in(record)
        assert isinstance(value, IngestResult | CleanResult)
        _require_valid(value, home)
        assert _kept(value, home, nbr) == kept[record.stage]
    assert problems(home) == []


def _kept(value: Any, home: Home, nbr: int) -> list[list[dict[str, Any]]]:
    return [
        [row for row in _rows(snapshot, home) if str(row["nbr"]) != str(nbr)]
        for snapshot in (value.snapshot, value.quarantine)
    ]


def test_a_number_of_the_person_that_is_also_a_count_is_a_count_where_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    folder, home, rows = tmp_path / "defs" / "people", home_of(tmp_path), 123_456
    folder.mkdir(parents=True)
    lines = (f"{number},Ulm,5" for number in range(1, rows + 1))
    (folder / "part0.csv").write_text("\n".join(['nbr,"who, and where",weight', *lines]) + "\n")
    pipeline = declare(folder, DECLARED)
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(pipeline, stage, home, "run"))
    # The person has the number of all rows, and that of their own row.
    assert erase(f"nbr = {rows}")
    records = RecordGraph.of(home).records
    assert [line for record in records for line in contradictions(record)] == []
    for value in map(value_in, records):
        assert isinstance(value, IngestResult | CleanResult)
        read = value.rows_read if isinstance(value, IngestResult) else value.rows_in
        assert value.snapshot.rows == read == rows - 1
    assert problems(home) == []


@pytest.mark.parametrize(
    ("broken", "rules", "named"),
    [
        ("unique:a,b,range:c", ["unique:a", "unique:a,b", "range:c"], ["range:c", "unique:a,b"]),
        ("unique:a,unique:a,b", ["unique:a", "unique:a,b"], ["unique:a", "unique:a,b"]),
        ("range:a", ["unique:a"], []),
    ],
)
def test_names_of_rules_may_have_commas(broken: str, rules: list[str], named: list[str]) -> None:
    assert sorted(_named(broken, rules)) == named


def test_every_row_of_a_table_may_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    folder, home = tmp_path / "defs" / "people", home_of(tmp_path)
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"part{number}.csv").write_text(f'nbr,"who, and where",weight\n{number},Ulm,5\n')
    pipeline = declare(folder, DECLARED)
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(pipeline, stage, home, "run"))
    assert erase("nbr < 2")
    for record in RecordGraph.of(home).records:
        value = value_in(record)
        assert isinstance(value, IngestResult | CleanResult)
        assert value.snapshot.rows == 0
        assert len(value.snapshot.files) == 1
        _require_valid(value, home)
    assert problems(home) == []
