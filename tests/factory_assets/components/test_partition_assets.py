"""Partitions in Dagster: each has events and metadata, however the run was started."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factory_assets.components.run_context import REUSE_TAG
from factory_assets.definitions import build_defs
from factory_assets.execution.progress import Progress
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from tests.pipelines import declare

DAYS = {"day": {"every": "day", "start": "2024-01-01", "end": "2024-01-11"}}


def declared(folder: Path, **changed: Any) -> Pipeline:
    """A data product without a model."""
    attributes: dict[str, Any] = {
        "purpose": "Count",
        "partitions": DAYS,
        "ingest": {
            "source": {"files": "{day}.csv"},
            "contract": [{"name": "x", "type": "int64", "range": [0, None]}],
            "max_quarantine": 0.5,
        },
        "clean": {"where": {"small": "x < 90"}},
        **changed,
    }
    return declare(folder / "meter", attributes)


def write(pipeline: Pipeline, key: str, *xs: int) -> None:
    path = pipeline.folder / f"{key}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["x", *map(str, xs)]) + "\n")


class Warned(Progress):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[tuple[Stage, str]] = []

    def warned(self, pipeline: str, stage: Stage, message: str) -> None:
        self.warnings.append((stage, message))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def definitions(pipeline: Pipeline, home: Home, progress: Progress | None = None) -> dg.Definitions:
    resources = {"home": home, "progress": progress or Progress()}
    return build_defs([pipeline.folder], resource_overrides=resources)


def run_job(
    pipeline: Pipeline,
    home: Home,
    instance: dg.DagsterInstance,
    progress: Progress | None = None,
    **chosen: Any,
) -> dg.ExecuteInProcessResult:
    """The pipeline's own job, as a schedule runs it."""
    job = definitions(pipeline, home, progress).resolve_job_def("meter")
    config = {"ops": {"meter__partitions": {"config": chosen}}} if chosen else None
    return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)


def run_partitions(
    pipeline: Pipeline, home: Home, instance: dg.DagsterInstance, first: str, last: str, **tags: str
) -> dg.ExecuteInProcessResult:
    """`ingest` and `clean` of a range of partitions, as a backfill runs them."""
    made = definitions(pipeline, home)
    assets = [a for a in made.assets or () if isinstance(a, dg.AssetsDefinition)]
    chosen = [asset for asset in assets if asset.partitions_def]
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(
        chosen,
        resources=made.resources,
        instance=instance,
        tags={**span, **tags},
        raise_on_error=False,
    )


def events_of(
    result: dg.ExecuteInProcessResult, stage: str
) -> dict[str | None, dg.AssetMaterialization]:
    events = (event.materialization for event in result.get_asset_materialization_events())
    return {event.partition: event for event in events if event.asset_key.path[-1] == stage}


def meta(event: dg.AssetMaterialization, name: str) -> Any:
    return event.metadata[name].value


def known(instance: dg.DagsterInstance, stage: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey(["meter", stage])))


def test_a_backfill_records_each_partition(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1, 2)
    write(pipeline, "2024-01-02", 3, 4, 5)
    result = run_partitions(pipeline, home, instance, "2024-01-01", "2024-01-02")
    assert result.success
    events = events_of(result, "clean")
    assert {key: meta(event, "dagster/row_count") for key, event in events.items()} == {
        "2024-01-01": 2,
        "2024-01-02": 3,
    }
    versions = {meta(event, "data version") for event in events.values()}
    assert len(versions) == 2
    assert known(instance, "ingest") == {"2024-01-01", "2024-01-02"}
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    assert checks["conservation"].passed
    assert checks["conservation"].metadata["partitions"].value == 2


def test_a_job_warns_of_what_it_computed_once_for_each_check(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    capture = Warned()
    contract = [{"name": "x", "type": "int64"}, {"name": "email", "type": "string"}]
    pipeline = declared(
        tmp_path, ingest={"source": {"files": "{day}.csv"}, "contract": contract}, clean={}
    )
    for day in range(1, 4):
        lines = [f"{x},a{x}@example.org" for x in range(day, day + 20)]
        path = pipeline.folder / f"2024-01-0{day}.csv"
        path.write_text("\n".join(["x,email", *lines]) + "\n")
    result = run_job(pipeline, home, instance, progress=capture)
    assert result.success
    [(stage, warning)] = capture.warnings
    assert stage == "ingest"
    assert warning.startswith("partition 2024-01-01: may be personal: 'email'")
    assert warning.endswith("(2 more partitions have such a warning)")
    event = events_of(result, "ingest")["2024-01-03"]
    assert "may be personal: 'email'" in meta(event, "warnings")
    assert "warnings" not in events_of(result, "clean")["2024-01-03"].metadata


def test_a_job_warns_of_partitions_without_a_clean_row(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    capture = Warned()
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1, 2)
    write(pipeline, "2024-01-02", 95, 96, 97)
    write(pipeline, "2024-01-03", 98)
    assert run_job(pipeline, home, instance, progress=capture).success
    assert capture.warnings == [
        (
            "clean",
            "partition 2024-01-02: no row is left: rule 'small' sends 3 to quarantine "
            "(1 more partitions have such a warning)",
        )
    ]
    # What is reused was told before.
    assert run_job(pipeline, home, instance, progress=capture).success
    assert len(capture.warnings) == 1


def test_a_job_warns_of_a_file_that_repeats_that_of_another_period(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    capture = Warned()
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1, 2)
    write(pipeline, "2024-01-02", 3, 4)
    assert run_job(pipeline, home, instance, progress=capture).success
    assert capture.warnings == []
    write(pipeline, "2024-01-03", 1, 2)
    warning = (
        "partition 2024-01-03: 2024-01-03.csv has the content of 2024-01-01.csv of partition "
        "2024-01-01, so that its rows count twice; replace one of them, or list its key under "
        "partitions.day.exclude"
    )
    for _ in range(2):
        assert run_job(pipeline, home, instance, progress=capture).success
        # What is reused was told before.
        assert capture.warnings == [("ingest", warning)]
    write(pipeline, "2024-01-01", 3, 4)
    assert run_job(pipeline, home, instance, progress=capture).success
    _, (_, again) = capture.warnings
    assert again.startswith("partition 2024-01-02: 2024-01-02.csv has the content of 2024-01-01")


def test_files_without_rows_of_a_join_or_of_several_labels_may_be_alike(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    capture = Warned()
    pipeline = declared(
        tmp_path,
        ingest={
            "source": {
                "files": {"morning": "{day}-am.csv", "evening": "{day}-pm.csv"},
                "label": "half",
            },
            "contract": [{"name": "x", "type": "int64"}],
            "joins": {"names": {"source": {"files": "names.csv"}, "on": "x", "columns": ["label"]}},
        },
    )
    (pipeline.folder / "names.csv").write_text("x,label\n1,one\n2,two\n")
    for day in (1, 2, 3):
        write(pipeline, f"2024-01-0{day}-am", day)
        write(pipeline, f"2024-01-0{day}-pm", *([1] if day == 3 else []))
    assert run_job(pipeline, home, instance, progress=capture).success
    assert not [text for _, text in capture.warnings if "rows count twice" in text]


def test_files_of_several_sites_may_be_alike(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    capture = Warned()
    pipeline = declared(
        tmp_path,
        partitions={**DAYS, "site": {"values": ["berlin", "munich"]}},
        ingest={
            "source": {"files": "{day}-{site}.csv"},
            "contract": [{"name": "x", "type": "int64"}],
        },
    )
    write(pipeline, "2024-01-01-berlin", 1, 2)
    write(pipeline, "2024-01-01-munich", 1, 2)
    assert run_job(pipeline, home, instance, progress=capture).success
    assert capture.warnings == []
    write(pipeline, "2024-01-02-munich", 1, 2)
    assert run_job(pipeline, home, instance, progress=capture).success
    [(_, warning)] = capture.warnings
    assert "2024-01-02-munich.csv has the content of 2024-01-01-munich.csv" in warning


def test_a_repeated_partition_is_reused_and_its_metadata_says_so(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1, 2)
    first = run_partitions(pipeline, home, instance, "2024-01-01", "2024-01-01")
    again = run_partitions(pipeline, home, instance, "2024-01-01", "2024-01-01")
    event = events_of(again, "clean")["2024-01-01"]
    assert meta(event, "reused") is True
    assert meta(event, "computed by run") == first.run_id
    assert meta(event, "saved seconds") >= 0
    assert meta(event, "saved energy [Wh]") >= 0
    before = events_of(first, "clean")["2024-01-01"]
    assert event.tags
    assert before.tags
    assert event.tags["dagster/data_version"] == before.tags["dagster/data_version"]
    forced = run_partitions(
        pipeline, home, instance, "2024-01-01", "2024-01-01", **{REUSE_TAG: "false"}
    )
    assert meta(events_of(forced, "clean")["2024-01-01"], "reused") is False


def test_a_failing_partition_does_not_stop_the_others(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1)
    write(pipeline, "2024-01-02", -1, -2)
    write(pipeline, "2024-01-03", 3)
    result = run_partitions(pipeline, home, instance, "2024-01-01", "2024-01-04")
    assert not result.success
    failures = [e for e in result.all_events if e.is_step_failure]
    error = failures[0].step_failure_data.error
    assert error
    assert "partition 2024-01-02: meter/ingest: 2 of 2 rows break the contract" in str(error)
    assert "(1 more failed: 2024-01-04)" in str(error)
    assert known(instance, "ingest") == {"2024-01-01", "2024-01-03"}
    again = run_partitions(pipeline, home, instance, "2024-01-01", "2024-01-01")
    assert meta(events_of(again, "ingest")["2024-01-01"], "reused") is True


SITES: dict[str, Any] = {"site": {"values": ["ulm", "jena"]}}


@pytest.mark.parametrize("read", [DAYS, {"machine": {"dynamic": True}}, SITES], ids=[*"123"])
@pytest.mark.parametrize("own", [{}, SITES, SITES | DAYS], ids=["whole", "sites", "two"])
def test_a_pipeline_may_read_one_with_other_partitions(
    read: Any, own: Any, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its partitions reads the whole table."""
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))

    def declare_by(name: str, dimensions: dict[str, Any], **more: Any) -> Path:
        files = f"{'-'.join(f'{{{one}}}' for one in dimensions) or 'x'}.csv"
        contract = [{"name": "x", "type": "int64"}]
        ingest = {"source": {"files": files}, "contract": contract, **more}
        attributes = {"purpose": "Count", "partitions": dimensions, "ingest": ingest}
        return declare(tmp_path / name, attributes).folder

    join = {"source": {"pipeline": "meter"}, "on": "x", "columns": []}
    folders = [declare_by("meter", read), declare_by("reader", own, joins={"meter": join})]
    made = build_defs(folders, resource_overrides={"home": home})
    dg.Definitions.validate_loadable(made)
    graph = made.resolve_asset_graph()
    mapping = graph.get_partition_mapping(
        dg.AssetKey(["reader", "ingest"]), dg.AssetKey(["meter", "clean"])
    )
    assert isinstance(mapping, dg.AllPartitionMapping)


def test_an_excluded_partition_does_not_stop_a_backfill_of_the_others(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    """Dagster goes on listing the key of a dynamic dimension."""

    def dynamic(**more: Any) -> Pipeline:
        source = {"files": "{machine}.csv"}
        return declared(
            tmp_path,
            partitions={"machine": {"dynamic": True, **more}},
            ingest={"source": source, "contract": [{"name": "x", "type": "int64"}]},
        )

    for machine in ("m1", "m2", "m3"):
        write(dynamic(), machine, 1, 2)
    assert run_job(dynamic(), home, instance).success
    write(dynamic(), "m3", 1, 2, 3)
    result = run_partitions(dynamic(exclude="m2"), home, instance, "m1", "m3")
    assert not result.success
    record = Records(home).latest("meter", "ingest", "m3")
    assert record is not None
    assert record.value["rows_read"] == 3
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.error is not None
    assert "partition m2: meter: partition 'm2' is excluded" in (
        failed.step_failure_data.error.to_string()
    )


def test_the_job_brings_outdated_partitions_up_to_date(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1, 2)
    write(pipeline, "2024-01-02", 3)
    first = run_job(pipeline, home, instance)
    assert first.success
    assert set(events_of(first, "clean")) == {"2024-01-01", "2024-01-02"}
    summed = events_of(first, "partitions")[None]
    assert meta(summed, "partitions") == 2
    assert meta(summed, "without data") == 8
    assert meta(summed, "dagster/row_count") == 3
    assert meta(summed, "computed") == 4
    write(pipeline, "2024-01-02", 3, 4)
    write(pipeline, "2024-01-05", 5)
    second = run_job(pipeline, home, instance)
    assert set(events_of(second, "clean")) == {"2024-01-02", "2024-01-05"}
    assert meta(events_of(second, "partitions")[None], "kept") == 2
    third = run_job(pipeline, home, instance)
    assert set(events_of(third, "clean")) == set()
    assert meta(events_of(third, "partitions")[None], "reused") is True
    assert meta(events_of(third, "partitions")[None], "saved seconds") > 0
    event = events_of(second, "clean")["2024-01-05"]
    assert event.tags
    assert event.tags["dagster/data_version"] == meta(event, "data version")


def test_the_job_runs_only_the_requested_partitions(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    for day in ("2024-01-01", "2024-01-02"):
        write(pipeline, day, 1)
    result = run_job(pipeline, home, instance, keys=["2024-01-02"], stages=["ingest"])
    assert result.success
    assert set(events_of(result, "ingest")) == {"2024-01-02"}
    assert set(events_of(result, "clean")) == set()
    missing = run_job(pipeline, home, instance, keys=["2024-01-03"])
    assert not missing.success


def test_a_job_whose_partition_fails_finishes_the_others(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", -1)
    write(pipeline, "2024-01-02", 2)
    assert not run_job(pipeline, home, instance).success
    assert known(instance, "clean") == {"2024-01-02"}
    write(pipeline, "2024-01-01", 1)
    assert run_job(pipeline, home, instance).success
    assert known(instance, "clean") == {"2024-01-01", "2024-01-02"}


def test_missing_data_of_all_partitions_is_reported(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    result = run_job(declared(tmp_path), home, instance)
    failures = [e for e in result.all_events if e.is_step_failure]
    assert "no partition has data yet; add files that match {day}.csv" in str(
        failures[0].step_failure_data.error
    )


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (["ingst"], "'ingst' is no stage that partitions have; did you mean 'ingest'? valid: "),
        (["ingest", "claen"], "'claen' is no stage that partitions have; did you mean 'clean'? "),
        (["train"], "'train' is no stage that partitions have; valid: ingest, clean"),
        ([], "no stage is named; valid: ingest, clean"),
    ],
    ids=str,
)
def test_a_stage_that_partitions_do_not_have_is_named(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance, stages: list[str], said: str
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1)
    result = run_job(pipeline, home, instance, stages=stages)
    assert not result.success
    assert f"meter/partitions: stages: {said}" in str(
        result.failure_data_for_node("meter__partitions")
    )
    assert known(instance, "ingest") == set()


def test_the_job_handles_two_dimensions_with_dynamic_keys(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    both = {**DAYS, "machine": {"dynamic": True}}
    ingest = {
        "source": {"files": "{machine}/{day}.csv"},
        "contract": [{"name": "x", "type": "int64"}],
    }
    pipeline = declared(tmp_path, partitions=both, ingest=ingest)
    write(pipeline, "m1/2024-01-01", 1)
    write(pipeline, "m2/2024-01-02", 2)
    result = run_job(pipeline, home, instance)
    assert result.success
    assert set(instance.get_dynamic_partitions("meter_machine")) == {"m1", "m2"}
    assert known(instance, "clean") == {"2024-01-01|m1", "2024-01-02|m2"}
    # As the UI does it, with the same keys.
    again = run_partitions(pipeline, home, instance, "2024-01-02|m2", "2024-01-02|m2")
    assert again.success
    assert meta(events_of(again, "clean")["2024-01-02|m2"], "reused") is True


def test_later_stages_depend_on_the_partitions_asset(tmp_path: Path, home: Home) -> None:
    train = {"target": "x", "model": {"kind": "linear"}}
    pipeline = declared(tmp_path, train=train)
    graph = definitions(pipeline, home).resolve_asset_graph()
    split = graph.get(dg.AssetKey(["meter", "split"]))
    assert split.parent_keys == {
        dg.AssetKey(["meter", "clean"]),
        dg.AssetKey(["meter", "partitions"]),
    }
    assert split.partitions_def is None
    policy = graph.get(dg.AssetKey(["meter", "clean"])).backfill_policy
    assert policy
    assert policy.max_partitions_per_run == 100
