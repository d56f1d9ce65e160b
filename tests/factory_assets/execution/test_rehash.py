"""Which changes of a source are noticed although neither its size nor its times changed."""

import mmap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.execution.backfill import backfill
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.sources import digest_cache
from tests.factory_assets.execution.test_partitions import declared, partition, write
from tests.pipelines import APPLES, declare, write_apples


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that every file was written ten seconds ago."""
    real = time.time_ns
    monkeypatch.setattr(digest_cache.time, "time_ns", lambda: real() + 10**10)


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline of a small file, without a model."""
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    attributes = {key: APPLES[key] for key in ("purpose", "ingest", "clean")}
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    return declare(tmp_path / "apples", {**attributes, "schedule": {"cron": "0 2 * * *"}})


def _between(path: Path, work: Callable[[], object]) -> None:
    """Change a byte of a mapped file after some work, with the same size and times as before."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        last = len(mapped) - 2
        # From its first write on the page is dirty, and further ones leave the times alone.
        mapped[last] = mapped[last]
        work()
        before = digest_cache.file_signature(path.stat())
        mapped[last] ^= 1
        assert digest_cache.file_signature(path.stat()) == before


def _reused(pipeline: Pipeline, home: Home, **how: Any) -> bool:
    return run_stage(StageRequest(pipeline, "ingest", home, "run", **how)).reused


def test_a_small_source_that_changes_without_its_times(product: Pipeline, home: Home) -> None:
    _between(product.folder / "data.csv", lambda: _reused(product, home))
    assert not _reused(product, home)
    assert _reused(product, home)


def test_a_large_source_is_trusted_unless_a_run_rehashes(product: Pipeline, home: Home) -> None:
    def trusting() -> digest_cache.Hashing:
        return digest_cache.Hashing(left=100)

    path = product.folder / "data.csv"
    _between(path, lambda: _reused(product, home, hashing=trusting()))
    assert _reused(product, home, hashing=trusting())
    assert not _reused(product, home, hashing=digest_cache.Hashing.of("files"))


def test_the_partitions_of_a_run_share_what_is_hashed(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    keys = ["2024-01-01", "2024-01-02", "2024-01-03"]
    for i, key in enumerate(keys):
        write(tmp_path, key, *range(i, i + 8))
    hashing = digest_cache.Hashing()
    call = StageRequest(made, "ingest", home, "run", hashing=hashing)
    assert all(
        run.outcome
        for run in backfill(run_stage, call, [partition(made, k) for k in keys], ["ingest"])
    )
    size = sum(path.stat().st_size for path in tmp_path.rglob("2024-*.csv"))
    assert digest_cache.ALWAYS_HASHED - hashing.left == size > 0


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file be large."""
    monkeypatch.setattr(digest_cache.Hashing, "takes", lambda self, size: self.left > 10**9)


def _text(**options: Any) -> str:
    console = Console(record=True, width=120)
    run(RunSelection(["apples"], **options), console)
    return console.export_text()


@pytest.mark.slow
@pytest.mark.usefixtures("trusting")
def test_the_command_hashes_large_sources_anew_if_told_to(product: Pipeline) -> None:
    _between(product.folder / "data.csv", _text)
    assert _text().count("reused") == 3
    assert _text(rehash=True).count("reused") < 3


@pytest.mark.slow
@pytest.mark.usefixtures("trusting")
def test_a_scheduled_run_hashes_large_sources_anew(product: Pipeline, tmp_path: Path) -> None:
    import dagster as dg

    from factory_assets.definitions import build_defs
    from factory_resources.tracking.records import Records

    _between(product.folder / "data.csv", _text)
    records = Records(Home(tmp_path / "home"))
    before = records.latest("apples", "ingest")
    definitions = build_defs([product.folder])
    with dg.DagsterInstance.get() as instance:
        now = datetime.now(UTC)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=now)
        ticked = definitions.resolve_schedule_def("apples_schedule").evaluate_tick(context)
        (request,) = ticked.run_requests or ()
        job = definitions.resolve_job_def("apples")
        assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert records.latest("apples", "ingest") != before
