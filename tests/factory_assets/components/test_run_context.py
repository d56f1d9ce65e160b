"""A second run computes nothing, and each stage says so, however the run was started."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from errno import EACCES
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG
from rich.console import Console

from factory_assets.audit.cost.forecast import CostForecast
from factory_assets.cli.cost_text import cost_text
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.components import run_context
from factory_assets.components.metadata import markdown
from factory_assets.definitions import build_defs
from factory_assets.execution.progress import Progress
from factory_assets.openlineage.delivery import events_folder
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import DatabaseAwayError, FactoryError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import AVOIDED_TAG, run_tag_values
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.postgres import Postgres

pytestmark = pytest.mark.slow

Start = Callable[[Pipeline, dg.DagsterInstance], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, Home, str]]:
    """A pipeline that has run once in a home of its own, and the run."""
    folder = tmp_path_factory.mktemp("made")
    home = Home(folder / "home")
    attributes = copy.deepcopy(APPLES)
    attributes["schedule"] = {"cron": "0 2 * * *"}
    (folder / "apples").mkdir()
    write_apples(folder / "apples")
    pipeline = declare(folder / "apples", attributes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORY_HOME", str(home.path))
        patch.setenv("DAGSTER_HOME", str(home.dagster))
        patch.setenv("FACTORY_DEFS", str(folder))
        prepare(home)
        _by_command(pipeline, None)
        with dg.DagsterInstance.get() as instance:
            yield pipeline, home, instance.get_runs()[0].run_id


def _by_command(pipeline: Pipeline, _: dg.DagsterInstance | None) -> None:
    run(RunSelection([pipeline.name]), Console(quiet=True))


def _by_schedule(pipeline: Pipeline, instance: dg.DagsterInstance) -> None:
    definitions = build_defs([pipeline.folder])
    schedule = definitions.resolve_schedule_def(f"{pipeline.name}_schedule")
    now = datetime(2026, 1, 2, 2, tzinfo=UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=now)
    ticked = schedule.evaluate_tick(context)
    assert ticked.run_requests
    (request,) = ticked.run_requests
    job = definitions.resolve_job_def(schedule.job_name)
    job.execute_in_process(instance=instance, run_config=request.run_config, tags=request.tags)


def _by_assets(pipeline: Pipeline, instance: dg.DagsterInstance) -> None:
    """As the UI's "Materialize all" does."""
    job = build_defs([pipeline.folder]).resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance)


@pytest.mark.parametrize("start", [_by_schedule, _by_assets])
def test_a_second_run_reuses_every_stage(made: tuple[Pipeline, Home, str], start: Start) -> None:
    pipeline, _, first = made
    with dg.DagsterInstance.get() as instance:
        start(pipeline, instance)
        again = instance.get_runs()[0]
        assert again.status == dg.DagsterRunStatus.SUCCESS
        assert again.run_id != first
        for stage in STAGES:
            event = instance.get_latest_materialization_event(dg.AssetKey([pipeline.name, stage]))
            assert event
            assert event.run_id == again.run_id
            materialization = event.asset_materialization
            assert materialization
            metadata = {name: value.value for name, value in materialization.metadata.items()}
            assert metadata["reused"] is True
            assert metadata["computed by run"] == first
            assert metadata["saved seconds"] == metadata["seconds"]
            assert metadata["saved energy [Wh]"] == metadata["energy [Wh]"]
            assert metadata["saved carbon [g CO2e]"] == metadata["carbon [g CO2e]"]
        assert float(again.tags["factory/energy_wh"]) == 0
        earlier = instance.get_run_by_id(first)
        assert earlier
        assert float(earlier.tags["factory/energy_wh"]) > 0
        assert float(earlier.tags["factory/co2e_g"]) > 0
        assert float(earlier.tags["factory/saved_wh"]) == 0
        assert again.tags["factory/saved_wh"] == earlier.tags["factory/energy_wh"]


class Failures(Progress):
    """Keeps what stages failed with."""

    def __init__(self) -> None:
        self.errors: list[FactoryError] = []

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        self.errors.append(error)


class Restarting(Failures):
    """Starts the database again when a stage has failed."""

    def __init__(self, server: Postgres) -> None:
        super().__init__()
        self.server = server

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        super().failed(pipeline, stage, error)
        self.server.start()


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_step_is_tried_again_when_postgres_was_away_unless_a_person_waits(
    by_hand: bool,
    postgres: Postgres,
    prepared_tables: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_context, "_PAUSE", 0.01)
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    pipeline = declare(tmp_path / "defs" / "apples", APPLES)
    progress = Restarting(postgres)
    definitions = build_defs([pipeline.folder], resource_overrides={"progress": progress})
    with postgres.database(prepared_tables) as address, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("FACTORY_DATABASE_URL", address)
        postgres.stop()
        done = definitions.resolve_job_def("apples").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["apples", "ingest"])],
            tags={"dagster/max_retries": "0"} if by_hand else {},
            raise_on_error=False,
        )
    assert [type(error) for error in progress.errors] == [DatabaseAwayError]
    assert done.success == (not by_hand)


def test_what_a_page_shows_and_another_user_has_closed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    pipeline = declare(tmp_path / "defs" / "apples", APPLES)
    closed = Home.from_env().pictures / "previews"

    def preview(*_: object) -> str:
        raise PermissionError(EACCES, "Permission denied", str(closed))

    monkeypatch.setattr(markdown, "preview", preview)
    progress = Failures()
    definitions = build_defs([pipeline.folder], resource_overrides={"progress": progress})
    with dg.DagsterInstance.ephemeral() as instance:
        definitions.resolve_job_def("apples").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["apples", "ingest"])],
            tags={"dagster/max_retries": "0"},
            raise_on_error=False,
        )
    [error] = progress.errors
    assert str(error).startswith(f"{closed}: cannot read or write (Permission denied); run the ")


def test_an_event_of_a_scheduled_run_says_when_it_was_meant_to_start(
    made: tuple[Pipeline, Home, str],
) -> None:
    pipeline, home, _ = made
    settings = pipeline.folder.parent / "factory.yaml"
    settings.write_text("openlineage: {}\n")
    meant = "2026-01-02T02:00:00+00:00"
    tags = {SCHEDULED_EXECUTION_TIME_TAG: meant, run_context.REUSE_TAG: "false"}
    try:
        with dg.DagsterInstance.get() as instance:
            job = build_defs([pipeline.folder]).resolve_job_def(pipeline.name)
            keys = [dg.AssetKey([pipeline.name, "ingest"])]
            job.execute_in_process(instance=instance, tags=tags, asset_selection=keys)
    finally:
        settings.unlink()
    lines = (events_folder(home) / "events.jsonl").read_text().splitlines()
    times = [json.loads(line)["run"]["facets"]["nominalTime"] for line in lines]
    assert [one["nominalStartTime"] for one in times] == [meant, meant]


def test_a_run_at_a_chosen_hour_tells_what_it_avoided(made: tuple[Pipeline, Home, str]) -> None:
    pipeline, home, _ = made
    chosen = {
        run_context.CARBON_TAG: "90.5",
        run_context.CARBON_BEFORE_TAG: "400",
        run_context.REUSE_TAG: "false",
    }
    with dg.DagsterInstance.get() as instance:
        job = build_defs([pipeline.folder]).resolve_job_def(pipeline.name)
        job.execute_in_process(instance=instance, tags=chosen)
        tags = instance.get_runs()[0].tags
    wh = float(tags[run_context.ENERGY])
    assert wh > 0
    avoided = float(tags[AVOIDED_TAG])
    assert avoided == pytest.approx(wh * (400 - 90.5) / 1000, abs=2e-6)
    assert run_tag_values(home, pipeline.name, AVOIDED_TAG) == [tags[AVOIDED_TAG]]
    assert run_tag_values(home, "pears", AVOIDED_TAG) == []
    hours = {"source": "a meter", "daily": [90.5 if hour == 3 else 400.0 for hour in range(24)]}
    window = {"within": "22:00-06:00", "prefer": "lowest_carbon", "carbon": hours}
    green = declare(pipeline.folder, {**APPLES, "schedule": window})
    found = CostForecast(green, home, None, {}, datetime(2026, 6, 1, tzinfo=UTC)).report()
    assert found.avoided
    assert (found.nights, found.avoided.runs) == (365, 1)
    assert found.avoided.co2e_g == pytest.approx(avoided)
    assert found.avoided.year_co2e_g
    kwh = found.machines[0].year.kwh
    assert kwh
    assert found.avoided.year_co2e_g.value == pytest.approx(kwh.value * (400 - 90.5))
    assert found.machines[0].year.co2e_g
    assert found.machines[0].year.co2e_g.value == pytest.approx(kwh.value * 90.5)
    text = cost_text(found)
    assert "by 1 run so far, against starts with the window" in text
    assert "carbon by: a meter" in text


@pytest.mark.parametrize("share", ["never", "allowed"])
def test_a_cluster_does_not_work_on_what_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    # Neither it nor its token is there: who asks it fails.
    monkeypatch.setenv("FACTORY_WORKERS", "ray://127.0.0.1:9")
    column = {"name": "size", "type": "int64"} | ({"share": share} if share == "never" else {})
    attributes = {
        "purpose": "Sizes of each day",
        "partitions": {"day": {"every": "day", "start": "2024-01-01", "end": "2024-01-02"}},
        "ingest": {"source": {"files": "{day}.csv"}, "contract": {"columns": [column]}},
    }
    (tmp_path / "days").mkdir()
    (tmp_path / "days" / "2024-01-01.csv").write_text("size\n1\n2\n")
    pipeline = declare(tmp_path / "days", attributes)
    prepare(home)
    job = build_defs([pipeline.folder]).resolve_job_def(pipeline.name)
    with dg.DagsterInstance.get() as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False)
    assert done.success == (share == "never")
