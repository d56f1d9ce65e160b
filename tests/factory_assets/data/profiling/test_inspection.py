"""The rows of an ingest are measured before they are published."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.data.profiling.inspection import inspect_table
from factory_assets.data.profiling.profile import StagedRows
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines
from tests.data_stages import pipeline


def test_too_little_memory_for_a_profile_is_told_with_what_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"y": range(1000)}), tmp_path / "rows.parquet")
    written = StagedRows([(tmp_path / "rows.parquet", 1000)], {"y": "BIGINT"})
    monkeypatch.setenv("FACTORY_MEMORY", "1MB")
    with (
        SharedEngines(tmp_path) as engines,
        pytest.raises(StorageError, match="profile: not enough memory") as caught,
    ):
        inspect_table(pipeline(tmp_path), written, Home(tmp_path / "home"), tmp_path, None, engines)
    assert caught.value.remedy == "raise FACTORY_MEMORY or free disk space"
