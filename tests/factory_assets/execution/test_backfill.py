"""Which partitions a run covers, and which have no data yet or no more."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.backfill import wanted
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from tests.pipelines import declare

SITES: dict[str, Any] = {
    "purpose": "Rows of sites",
    "partitions": {
        "day": {"every": "day", "start": "2026-03-01", "end": "2026-03-03"},
        "site": {"dynamic": True},
    },
    "ingest": {
        "source": {"files": "{day}-{site}.csv"},
        "contract": [{"name": "size", "type": "float64"}],
    },
}


@pytest.mark.parametrize("known", [(), ("b",)])
def test_stored_partitions_whose_files_are_gone_are_no_partitions_without_data_yet(
    known: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = declare(tmp_path / "defs" / "sites", SITES)
    for name in ("2026-03-01-a", "2026-03-02-c"):
        (pipeline.folder / f"{name}.csv").write_text("size\n1\n")
    stored = ["2026-03-01|a", "2026-03-01|b", "2026-03-02|b"]
    monkeypatch.setattr(Records, "partitions", lambda *_: stored)
    # Whose history was moved away, knows no key by now.
    found = wanted(pipeline, datetime.now(UTC), {"site": known}, Home(tmp_path / "home"))
    assert found.gone == ("2026-03-01|b", "2026-03-02|b")
    assert found.absent == 2
