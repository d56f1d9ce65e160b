"""Blocks: a table that grew equals one that is computed at once; only new files are read."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from factory_assets.data import block_plan
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult, Findings, IngestResult
from factory_assets.spec import Pipeline
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from tests.data_stages import pipeline, rows
from tests.erasures import note_erased
from tests.random_examples import examples

_INGEST: dict[str, Any] = {
    "source": {"files": "part*.csv"},
    "contract": [
        {"name": "key", "type": "int64"},
        {"name": "size", "type": "float64", "range": [0, 100]},
    ],
    "max_quarantine": 1.0,
}

_CLEAN = {
    "where": {"small": "size < 90"},
    "deduplicate": ["key"],
    "derive": {"double": "size * 2"},
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 60)


def _write(folder: Path, number: int, table: list[tuple[int, float]]) -> None:
    lines = ["key,size", *(f"{key},{size}" for key, size in table)]
    (folder / f"part{number:03}.csv").write_text("\n".join(lines) + "\n")


def _pipeline(folder: Path, **clean: Any) -> Pipeline:
    return pipeline(folder, ingest=_INGEST, clean=clean or _CLEAN, train=None)


def _run(declared: Pipeline, home: Home) -> tuple[IngestResult, CleanResult]:
    values = [
        run_stage(StageRequest(declared, stage, home, "run")).value for stage in ("ingest", "clean")
    ]
    ingested, cleaned = values
    assert isinstance(ingested, IngestResult)
    assert isinstance(cleaned, CleanResult)
    return ingested, cleaned


_TABLE = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([-1.0, 5.0, 50.0, 95.0])), min_size=1, max_size=12
)


@settings(max_examples=examples(12), deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    first=st.lists(_TABLE, min_size=1, max_size=4),
    later=st.lists(_TABLE, max_size=4),
    same=st.sampled_from(
        [["key"], {"key": "key", "keep": "last"}, {"key": "key", "order": "size"}]
    ),
)
def test_a_grown_table_equals_one_computed_at_once(
    first: list[list[tuple[int, float]]],
    later: list[list[tuple[int, float]]],
    same: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("grown")
    where = {"any": "size < 90 or size is null"}
    declared = _pipeline(folder, **{**_CLEAN, "where": where, "deduplicate": same})
    if not any(0 <= size < 90 for table in first for _, size in table):
        first = [[(1, 5.0)], *first]
    for number, table in enumerate(first):
        _write(folder, number, table)
    _run(declared, Home(folder / "home"))
    for number, table in enumerate(later, len(first)):
        _write(folder, number, table)
    grown, at_once = _run(declared, Home(folder / "home")), _run(declared, Home(folder / "other"))
    # Only one of the two homes had a previous table to compare with.
    no_findings = {"findings": Findings()}
    assert grown[0].model_copy(update=no_findings) == at_once[0].model_copy(update=no_findings)
    assert grown[1] == at_once[1]
    ingested, cleaned = grown
    complete = ingested.rows_read == ingested.snapshot.rows + ingested.quarantined_rows
    assert complete
    assert cleaned.rows_in == cleaned.snapshot.rows + cleaned.quarantined_rows + cleaned.duplicates
    named = DeltaTable(str(Home(folder / "home").tables / "p" / "clean")).file_uris()
    assert {Path(uri).name for uri in named} == {file.name for file in cleaned.snapshot.files}


_TWENTY = [(i, float(i)) for i in range(20)]


def test_large_files_of_the_same_content_have_names_of_their_own(
    tmp_path: Path, home: Home
) -> None:
    _write(tmp_path, 0, _TWENTY)
    _write(tmp_path, 1, _TWENTY)
    found, _ = _run(_pipeline(tmp_path), home)
    assert len(found.blocks) == 2
    assert found.findings.copies == {"part001.csv": "part000.csv"}


def test_renamed_files_that_are_known_have_their_new_names(tmp_path: Path, home: Home) -> None:
    _write(tmp_path, 0, _TWENTY)
    with zipfile.ZipFile(tmp_path / "part1.zip", "w") as archive:
        archive.write(tmp_path / "part000.csv", "inner/rows.csv")
    files = {**_INGEST, "source": {"files": "part*"}}
    declared = pipeline(tmp_path, ingest=files, train=None)
    before, _ = _run(declared, home)
    (tmp_path / "part000.csv").rename(tmp_path / "part003.csv")
    (tmp_path / "part1.zip").rename(tmp_path / "part4.zip")
    _write(tmp_path, 5, _TWENTY[1:])
    found, _ = _run(declared, home)
    assert {one.key for one in before.blocks} < {one.key for one in found.blocks}
    names = [one.name for one in found.sources]
    assert names == ["part003.csv", "part005.csv", "part4.zip/inner/rows.csv"]


def test_only_new_files_are_read(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_resources.sources.files import reader

    for number in range(6):
        _write(tmp_path, number, [(number * 10 + i, float(i)) for i in range(20)])
    declared = _pipeline(tmp_path)
    before, cleaned_before = _run(declared, home)
    assert len(before.blocks) == 6
    read: list[str] = []
    original = reader.read_file

    def recording(file: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(file.name)
        return original(file, *args, **kwargs)

    monkeypatch.setattr("factory_assets.data.sources.files.read_file", recording)
    _write(tmp_path, 6, [(3, 4.0), (1000, 5.0)])
    after, cleaned = _run(declared, home)
    assert read == ["part006.csv"]
    assert after.blocks[:6] == before.blocks
    assert cleaned.blocks[:6] == cleaned_before.blocks
    assert cleaned.duplicates == cleaned_before.duplicates + 1
    assert [row["key"] for row in rows(cleaned.snapshot, home)][-1] == 1000


def test_a_derived_column_over_other_rows_gives_a_single_block(tmp_path: Path, home: Home) -> None:
    for number in range(3):
        _write(tmp_path, number, [(number * 10 + i, float(i)) for i in range(20)])
    _, cleaned = _run(_pipeline(tmp_path, derive={"total": "sum(size) OVER ()"}), home)
    assert len(cleaned.blocks) == 1
    assert {row["total"] for row in rows(cleaned.snapshot, home)} == {570.0}


@pytest.mark.parametrize("change", ["removed", "changed"])
def test_a_change_of_an_earlier_file_changes_later_duplicates(
    change: str, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 1)
    for number in range(3):
        _write(tmp_path, number, [(key, 5.0) for key in (number, 7, 8, 9, number + 100)])
    declared = _pipeline(tmp_path)
    _, before = _run(declared, home)
    assert before.duplicates == 6
    if change == "removed":
        (tmp_path / "part000.csv").unlink()
    else:
        _write(tmp_path, 0, [(key, 5.0) for key in (0, 50, 51, 52, 53, 54)])
    ingested, cleaned = _run(declared, home)
    # The findings differ, because only one home has a previous table to compare with.
    other, at_once = _run(declared, Home(tmp_path / "other"))
    assert (ingested.snapshot, cleaned) == (other.snapshot, at_once)
    assert cleaned.duplicates == 3


def test_a_later_file_corrects_earlier_rows(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 1)
    _write(tmp_path, 0, [(1, 5.0), (2, 6.0)])
    declared = _pipeline(tmp_path, deduplicate={"key": "key", "keep": "last"})
    _run(declared, home)
    _write(tmp_path, 1, [(2, 7.0), (3, 95.0)])
    _, cleaned = _run(declared, home)
    assert [(row["key"], row["size"]) for row in rows(cleaned.snapshot, home)] == [
        (1, 5.0),
        (2, 7.0),
        (3, 95.0),
    ]
    assert cleaned.duplicates == 1


def test_a_lost_file_in_the_middle_is_computed_again(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 1)
    for number in range(3):
        _write(tmp_path, number, [(key, 5.0) for key in (number, 7 + number, 8 + number)])
    declared = _pipeline(tmp_path)
    _, before = _run(declared, home)
    before.snapshot.paths(home)[1].unlink()
    _, after = _run(declared, home)
    assert after == before
    assert [row["key"] for row in rows(after.snapshot, home)] == [0, 7, 8, 1, 9, 2, 10]


def test_an_erased_row_in_the_middle_changes_no_other_block(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 1)
    for number in range(3):
        _write(tmp_path, number, [(10 * number + i, 5.0 if i else 500.0) for i in range(5)])
    declared = _pipeline(tmp_path)
    before, _ = _run(declared, home)
    assert len(before.blocks) == 3
    erased = {before.sources[1].sha256: [1, 3]}
    note_erased(home, erased)
    ingested, cleaned = _run(declared, home)
    changed = [old != new for old, new in zip(before.blocks, ingested.blocks, strict=True)]
    assert changed == [False, True, False]
    assert [block.rows_in for block in ingested.blocks] == [5, 3, 5]
    assert 12 not in {row["key"] for row in rows(cleaned.snapshot, home)}
    _write(tmp_path, 3, [(99, 5.0)])
    grown = _run(declared, home)
    assert [block in ingested.blocks for block in grown[0].blocks] == [True, True, True, False]
    other = Home(tmp_path / "other")
    note_erased(other, erased)
    at_once = _run(declared, other)
    assert (grown[0].snapshot, grown[1]) == (at_once[0].snapshot, at_once[1])
    assert (grown[0].quarantine, grown[0].rows_read) == (at_once[0].quarantine, 14)


def test_a_message_shows_a_value_that_broke_the_rule_that_it_names(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_plan, "BLOCK_BYTES", 1)
    (tmp_path / "part000.csv").write_text("key,size\nseven,5\n8,5\n")
    _write(tmp_path, 1, [(1, 500.0), (2, 500.0)])
    declared = pipeline(tmp_path, ingest={**_INGEST, "max_quarantine": 0.0}, train=None)
    with pytest.raises(ContractError, match=r"'range:size' \(2 rows, such as '500.0'\)"):
        _run(declared, home)
