"""Times with and without an offset in one column are told; a declared zone reads the latter."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from factory_assets.data.contract.table_checks import table_checks
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import IngestResult
from factory_assets.spec import Column, Pipeline
from factory_resources.home.home import Home
from tests.data_stages import column, pipeline
from tests.factory_assets.data.contract.test_table_checks import NOW

LOCAL = ["2024-07-01 12:00:00", "2024-01-01T12:00:00.5", "2024-07-01 12:00", "2024-07-01"]

OFFSET = ["2024-07-01 12:00:00+02:00", "2024-07-01T12:00Z", "2024-07-01 12:00:00 Europe/Berlin"]


def _pipeline(folder: Path, times: list[str], **keys: Any) -> Pipeline:
    lines = [f"{time},{i}" for i, time in enumerate(times)]
    (folder / "data.csv").write_text("\n".join(["t,y", *lines]) + "\n")
    contract = [{"name": "t", **keys}, {"name": "y", "type": "int64"}]
    return pipeline(folder, ingest={"source": {"files": "data.csv"}, "contract": contract})


def _run(declared: Pipeline, home: Home, run: str = "run") -> tuple[IngestResult, TableCheck]:
    value = run_stage(StageRequest(declared, "ingest", home, run)).value
    assert isinstance(value, IngestResult)
    contract = declared.spec.ingest.contract
    checks = table_checks(contract, value.snapshot.rows, value.findings, NOW)
    return value, next(check for check in checks if check.name == "offsets")


def _times(value: IngestResult, home: Home) -> list[str]:
    return [str(time) for time in column(value.snapshot, home, "t")]


@pytest.mark.parametrize("kind", [{}, {"type": "timestamp"}])
def test_a_mixture_is_told_with_counts_and_ended_by_the_line_that_is_told(
    kind: dict[str, str], tmp_path: Path, home: Home
) -> None:
    value, check = _run(_pipeline(tmp_path, [*LOCAL, *OFFSET], **kind), home)
    assert (check.passed, check.blocking) == (False, False)
    assert "'t' has 3 times with an offset from UTC and 4 without, which were read as" in check.says
    assert "{name: t, timezone: Europe/Berlin}, or UTC" in check.remedy
    shown = ["2024-07-01 12:00:00", "2024-01-01 12:00:00.500000", "2024-07-01 12:00:00"]
    instants = ["2024-07-01 10:00:00", "2024-07-01 12:00:00", "2024-07-01 10:00:00"]
    assert _times(value, home) == [*shown, "2024-07-01 00:00:00", *instants]
    declared = _pipeline(tmp_path, [*LOCAL, *OFFSET], **kind, timezone="Europe/Berlin")
    value, check = _run(declared, home)
    assert check.passed
    moved = ["2024-07-01 10:00:00", "2024-01-01 11:00:00.500000", "2024-07-01 10:00:00"]
    assert _times(value, home) == [*moved, "2024-06-30 22:00:00", *instants]


def test_an_offset_after_minutes_counts_too(tmp_path: Path, home: Home) -> None:
    times = ["2024-07-01 12:00+02", "2024-07-01 12:00:00"]
    value, check = _run(_pipeline(tmp_path, times), home)
    assert value.findings.offsets == {"t": (1, 1)}
    assert not check.passed
    value, _ = _run(_pipeline(tmp_path, times, timezone="Europe/Berlin"), home)
    assert _times(value, home) == ["2024-07-01 10:00:00", "2024-07-01 10:00:00"]


def test_times_that_a_clock_skips_or_shows_twice_are_read_as_documented(
    tmp_path: Path, home: Home
) -> None:
    times = ["2025-03-30 02:30:00", "2025-03-30 03:30:00", "2025-10-26 02:30:00"]
    value, _ = _run(_pipeline(tmp_path, times, timezone="Europe/Berlin"), home)
    both = "2025-03-30 01:30:00"
    assert _times(value, home) == [both, both, "2025-10-26 01:30:00"]


def test_a_time_that_its_zone_moves_beyond_the_last_year_is_quarantined(
    tmp_path: Path, home: Home
) -> None:
    times = ["2025-03-30 02:30:00", "9999-12-31 23:59:59", "9999-12-31T23:59:59Z"]
    zone = {"type": "timestamp", "timezone": "America/New_York"}
    value, _ = _run(_pipeline(tmp_path, times, **zone), home)
    assert value.quarantined == {"type:t": 1}
    assert _times(value, home) == ["2025-03-30 06:30:00", "9999-12-31 23:59:59"]


@pytest.mark.parametrize("times", [LOCAL, OFFSET, ["", *OFFSET]])
def test_times_of_one_kind_are_no_mixture(times: list[str], tmp_path: Path, home: Home) -> None:
    assert _run(_pipeline(tmp_path, times, type="timestamp"), home)[1].passed


def test_the_blocks_of_a_table_that_grows_count_together(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_assets.data.block_plan.BLOCK_BYTES", 1)
    contract = [{"name": "t", "type": "timestamp"}, {"name": "y", "type": "int64"}]
    part = {"source": {"files": "*.csv"}, "contract": contract}
    declared = pipeline(tmp_path, ingest=part)
    (tmp_path / "1.csv").write_text(f"t,y\n{LOCAL[0]},1\n")
    assert _run(declared, home, "one")[1].passed
    (tmp_path / "2.csv").write_text(f"t,y\n{OFFSET[0]},2\n")
    value, check = _run(declared, home, "two")
    assert value.findings.offsets == {"t": (1, 1)}
    assert not check.passed
    assert [block.offsets for block in value.blocks] == [{"t": (0, 1)}, {"t": (1, 0)}]


def test_typed_columns_of_several_files_can_be_mixed(tmp_path: Path, home: Home) -> None:
    moment = pa.scalar(1_720_000_000_000_000, pa.timestamp("us"))
    for name, kind in (("a", pa.timestamp("us")), ("b", pa.timestamp("us", "UTC"))):
        table = pa.table({"t": pa.array([moment.as_py()], kind), "y": [1]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    value, check = _run(pipeline(tmp_path, files="*.parquet"), home)
    assert value.findings.offsets == {"t": (1, 1)}
    assert not check.passed


def test_times_of_pandas_with_an_offset_keep_their_nanoseconds_or_are_quarantined(
    tmp_path: Path, home: Home
) -> None:
    moment = 1_720_000_000_000_000_000
    times = pa.array([moment, moment + 1], pa.timestamp("ns", "Europe/Berlin"))
    pq.write_table(pa.table({"t": times, "y": [1, 2]}), tmp_path / "data.parquet")
    contract = [{"name": "t", "timezone": "Europe/Berlin"}, {"name": "y"}]
    for listed in ([], contract):
        source = {"source": {"files": "data.parquet"}, "contract": listed}
        value = run_stage(
            StageRequest(pipeline(tmp_path, ingest=source), "ingest", home, "r")
        ).value
        assert isinstance(value, IngestResult)
        assert value.quarantined == {"type:t": 1}
        assert _times(value, home) == ["2024-07-03 09:46:40"]
        assert value.blocks[0].offsets == ({} if listed else {"t": (2, 0)})


def test_a_zone_is_for_timestamps_and_must_exist() -> None:
    with pytest.raises(ValidationError, match="timezone of column 't' is for timestamps, not for"):
        Column.model_validate({"name": "t", "type": "string", "timezone": "UTC"})
    with pytest.raises(ValidationError, match="unknown time zone 'Berlin'"):
        Column.model_validate({"name": "t", "timezone": "Berlin"})
    assert "timezone" not in Column(name="t").model_dump(mode="json")
