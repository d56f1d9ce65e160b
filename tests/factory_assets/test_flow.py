"""Data that flows from assets and pipelines into pipelines: the graph, the order, the errors."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from factory_assets.cli.check.check import check, check_folder
from factory_assets.cli.check.user_assets import user_asset_problems
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection, select
from factory_assets.components.io_manager import TableIOManager
from factory_assets.data.sources.discovery import discover_sources, sources_key
from factory_assets.declarations.loader import load_pipeline
from factory_assets.definitions import build_defs, defs
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.stages.ingest import ingest
from factory_resources.errors import DataError, DeclarationError, SourceError
from factory_resources.home.home import Home
from factory_resources.tables.asset_tables import load_table, path_of, save_table
from tests.data_stages import column, rows
from tests.pipelines import APPLES, declare

ORDERS = """
import dagster as dg
import pandas as pd
import pyarrow as pa

@dg.asset(key_prefix="raw")
def orders() -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2, 3], "y": [0.5, 1.5, None]})

@dg.asset(key_prefix="raw")
def totals(orders):
    assert type(orders).__module__.startswith("pandas")
    return pa.table({"n": [len(orders)]})

@dg.asset(ins={"t": dg.AssetIn(["raw", "orders"])})
def arrow(t: pa.Table) -> None:
    assert t.column_names == ["id", "y"]
"""


def _declare(folder: Path, name: str, source: dict[str, Any], **clean: Any) -> None:
    attributes = {"purpose": "test", "ingest": {"source": source, "max_quarantine": 1}}
    declare(folder / name, {**attributes, **({"clean": clean} if clean else {})})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pipelines: c reads b, b reads a, a reads a file."""
    folder = tmp_path / "defs"
    _declare(folder, "c", {"pipeline": "b", "stage": "ingest"})
    _declare(folder, "b", {"pipeline": "a"}, derive={"z": "y * 2"})
    _declare(folder, "a", {"files": "d.csv"}, where={"positive": "y > 0"})
    (folder / "a" / "d.csv").write_text("id,y\n1,5\n2,-1\n3,7\n")
    monkeypatch.setenv("FACTORY_DEFS", str(folder))
    return folder


def _run(name: str, folder: Path, home: Home) -> Any:
    pipeline = load_pipeline(folder / name)
    for stage in ("ingest", "clean"):
        outcome = run_stage(StageRequest(pipeline, stage, home, run_id=f"{name}-{stage}"))  # type: ignore[arg-type]
    return outcome


def test_a_declared_zone_does_not_move_the_times_of_a_snapshot_again(
    folder: Path, home: Home
) -> None:
    berlin = {"type": "timestamp", "timezone": "Europe/Berlin"}
    local = [{"name": "id", "type": "int64"}, {"name": "t", **berlin}]
    (folder / "a" / "d.csv").write_text("id,t\n1,2024-07-01 12:00:00\n")
    declare(
        folder / "a",
        {"purpose": "test", "ingest": {"source": {"files": "d.csv"}, "contract": local}},
    )
    made = _run("a", folder, home).value
    assert [str(time) for time in column(made.snapshot, home, "t")] == ["2024-07-01 10:00:00"]
    source, other = {"source": {"pipeline": "a"}}, {"source": {"files": "o.csv"}}
    joined = {"a": {**source, "on": "id", "rename": {"t": "u"}}}
    (folder / "b" / "o.csv").write_text("id,t\n1,2024-07-01 12:00:00\n")
    for ingested, contract in (
        (source, local),
        ({**source, "joins": {"o": {**other, "on": "id", "columns": []}}}, local),
        ({**other, "joins": joined}, [*local, {"name": "u", **berlin}]),
    ):
        declare(folder / "b", {"purpose": "test", "ingest": {**ingested, "contract": contract}})
        read = ingest(load_pipeline(folder / "b"), home).snapshot
        for name in {"t", "u"} & {*read.columns}:
            assert column(read, home, name) == column(made.snapshot, home, "t")


def test_the_advice_to_run_a_source_first_names_all_that_it_reads_itself(
    folder: Path, home: Home
) -> None:
    read = {"source": {"pipeline": "b"}, "joins": {"a": {"source": {"pipeline": "a"}, "on": "id"}}}
    declare(folder / "c", {"purpose": "test", "ingest": read})
    with pytest.raises(SourceError, match=r"b/clean: there is no result yet; .*: factory run a b$"):
        ingest(load_pipeline(folder / "c"), home)
    declare(folder / "c", {"purpose": "test", "ingest": {"source": {"pipeline": "bb"}}})
    with pytest.raises(SourceError, match=r"bb/clean: no pipeline 'bb'; did you mean 'b'\?"):
        ingest(load_pipeline(folder / "c"), home)


def test_a_snapshot_is_read_as_a_source_with_row_identities(folder: Path, home: Home) -> None:
    with pytest.raises(SourceError, match=r"a/clean: there is no result yet.*factory run a"):
        ingest(load_pipeline(folder / "b"), home)
    made = _run("a", folder, home).value
    read = ingest(load_pipeline(folder / "b"), home)
    assert read.sources[0].name == f"a/clean@{made.data_version}"
    version = made.snapshot.data_version
    assert rows(read.snapshot, home) == [
        {"id": 1, "y": 5, "_file": version, "_row": 1},
        {"id": 3, "y": 7, "_file": version, "_row": 2},
    ]


def test_only_new_rows_upstream_are_new_downstream(folder: Path, home: Home) -> None:
    _run("a", folder, home)
    assert not _run("b", folder, home).reused
    (folder / "a" / "d.csv").write_text("id,y\n1,5\n2,-2\n3,7\n")
    _run("a", folder, home)
    # Another row breaks the rule, so both the file and the snapshot that was made from it differ.
    assert not _run("b", folder, home).reused
    _run("a", folder, home)
    assert _run("b", folder, home).reused


def test_pipelines_run_in_the_order_in_which_data_flows(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [p.name for p in select(["c", "a", "b"])] == ["a", "b", "c"]
    assert [p.name for p in select(["c", "b"])] == ["b", "c"]
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    run(RunSelection(["c", "b", "a"]), Console(quiet=True))
    result = ingest(load_pipeline(folder / "c"), home)
    assert [row["_row"] for row in rows(result.snapshot, home)] == [1, 2]


def test_the_graph_connects_pipelines(folder: Path) -> None:
    graph = defs().resolve_asset_graph()
    node = graph.get(dg.AssetKey(["b", "ingest"]))
    assert node.parent_keys == {dg.AssetKey(["a", "clean"])}
    assert graph.get(dg.AssetKey(["c", "ingest"])).parent_keys == {dg.AssetKey(["b", "ingest"])}
    for name in ("ingest", "clean"):
        assert graph.get(dg.AssetKey(["b", name])).automation_condition is not None
        assert graph.get(dg.AssetKey(["a", name])).automation_condition is None


def test_new_data_requests_downstream_runs(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    folders = [folder / name for name in ("a", "b", "c")]
    definitions = build_defs(folders, resource_overrides={"home": home})
    keys = [dg.AssetKey(["a", "ingest"]), dg.AssetKey(["a", "clean"])]
    with dg.instance_for_test() as instance:
        first = dg.evaluate_automation_conditions(definitions, instance)
        assert first.total_requested == 0
        job = definitions.resolve_job_def("a")
        assert job.execute_in_process(instance=instance, asset_selection=keys).success
        then = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
        requested = {key.to_user_string() for key in _requested(then)}
        assert requested == {"b/ingest", "b/clean", "c/ingest", "c/clean"}


DAYS = {"day": {"every": "day", "start": "2024-01-01", "end": "2024-01-04"}}


def _days(folder: Path, name: str, more: Any = None, /, **ingest: Any) -> Path:
    """Declare a pipeline in partitions with data for two of three days."""
    contract = [{"name": "x", "type": "int64"}]
    declared = {"source": {"files": "{day}.csv"}, "contract": contract, **ingest}
    attributes = {"purpose": "test", "partitions": DAYS, "ingest": declared, **(more or {})}
    declare(folder / name, attributes)
    for day in (1, 3):
        (folder / name / f"2024-01-0{day}.csv").write_text("x\n1\n2\n")
    return folder / name


def test_new_data_in_partitions_requests_downstream_runs(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    _declare(folder, "b", {"pipeline": "days"})
    built = build_defs([_days(folder, "days"), folder / "b"], resource_overrides={"home": home})
    with dg.instance_for_test() as instance:
        first = dg.evaluate_automation_conditions(built, instance)
        assert first.total_requested == 0
        assert built.resolve_job_def("days").execute_in_process(instance=instance).success
        then = dg.evaluate_automation_conditions(built, instance, cursor=first.cursor)
        assert {key.to_user_string() for key in _requested(then)} == {"b/ingest", "b/clean"}


def test_a_pipeline_in_partitions_trains_once_what_it_reads_is_new(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    join = {"source": {"pipeline": "a"}, "on": "x", "key": "id", "columns": "y"}
    columns = [{"name": "x", "type": "int64"}, {"name": "y", "type": "int64"}]
    model = {"target": "y", "model": {"kind": "linear"}}
    _days(folder, "days", {"train": model}, joins={"a": join}, contract=columns)
    built = build_defs([folder / "a", folder / "days"], resource_overrides={"home": home})
    with dg.instance_for_test() as instance:
        first = dg.evaluate_automation_conditions(built, instance)
        assert built.resolve_job_def("a").execute_in_process(instance=instance).success
        then = dg.evaluate_automation_conditions(built, instance, cursor=first.cursor)
        stages = ("partitions", "split", "train", "evaluate", "deploy")
        assert _requested(then) == {dg.AssetKey(["days", stage]) for stage in stages}


def _requested(result: Any) -> set[dg.AssetKey]:
    return {r.key for r in result.results if result.get_num_requested(r.key)}


def test_circles_and_unknown_names_are_reported(folder: Path) -> None:
    _declare(folder, "a", {"pipeline": "c"})
    [problem] = check_folder(folder / "a")
    assert "in a circle: a → c → b → a" in problem.what
    keys = {key.to_user_string() for key in defs().resolve_all_asset_keys()}
    assert {"a/broken", "b/broken", "c/broken", "machine_failure/deploy"} <= keys
    with pytest.raises(DeclarationError, match="in a circle"):
        select(["b"])
    _declare(folder, "a", {"pipeline": "machine_failur"})
    [problem] = check_folder(folder / "a")
    assert (problem.line, problem.path) == (6, "attributes.ingest.source.pipeline")
    assert "no pipeline 'machine_failur'; did you mean 'machine_failure'?" in problem.what


def test_the_asset_of_a_pipeline_is_read_as_that_pipeline(folder: Path) -> None:
    _declare(folder, "a", {"asset": "a/clean"})
    _declare(folder, "b", {"asset": "c/ingest"})
    [problem] = check_folder(folder / "a")
    assert (problem.line, problem.path) == (6, "attributes.ingest.source.asset")
    assert "it is an asset of a pipeline; let it read the original source" in problem.what
    [problem] = check_folder(folder / "b")
    assert "an asset of a pipeline; declare source: {pipeline: c, stage: ingest}" in problem.what
    found = defs()
    found.get_repository_def().load_all_definitions()
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    assert {"a/broken", "b/broken", "c/ingest", "machine_failure/deploy"} <= keys
    with pytest.raises(DeclarationError, match="asset c/ingest is one of a pipeline; declare"):
        select(["b"])


def test_a_name_that_the_job_of_looks_has_breaks_that_pipeline_alone(folder: Path) -> None:
    declare(folder / "a", {**APPLES, "watch": {}})
    declare(folder / "a_monitor", APPLES)
    assert not check_folder(folder / "a")
    [problem] = check_folder(folder / "a_monitor")
    assert problem.what == (
        "attributes: the job that looks at the answers of a is called a_monitor, too; give this "
        "pipeline another name"
    )
    found = defs()
    assert found.resolve_job_def("a_monitor").asset_layer.has(dg.AssetKey(["a", "monitor"]))
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    assert {"a_monitor/broken", "a/monitor", "machine_failure/deploy"} <= keys
    declare(folder / "a", APPLES)
    assert not check_folder(folder / "a_monitor")


def test_a_name_that_an_asset_has_breaks_that_pipeline_alone(folder: Path) -> None:
    declare(folder / "a__ingest", APPLES)
    declare(folder / "a__train", APPLES)
    [problem] = check_folder(folder / "a__ingest")
    assert problem.what == (
        "attributes: Dagster calls the asset a/ingest a__ingest, too; give this pipeline another "
        "name"
    )
    assert not check_folder(folder / "a__train"), "a has no such asset"
    found = defs()
    found.get_repository_def().load_all_definitions()
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    assert {"a__ingest/broken", "a__train/ingest", "a/ingest", "machine_failure/deploy"} <= keys


def _own_assets(folder: Path, text: str, name: str = "raw") -> Path:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "assets.py").write_text(text)
    return folder / name


def test_a_users_own_asset_is_a_source(folder: Path, home: Home) -> None:
    own = _own_assets(folder, ORDERS)
    _declare(folder, "sales", {"asset": "raw/orders"})
    sales = load_pipeline(folder / "sales")
    says = (
        "asset raw/orders: has not been materialised yet; materialise it in the UI, or with: "
        "dagster asset materialize -m factory_assets.definitions --select raw/orders; if you"
    )
    with pytest.raises(SourceError, match=says):
        ingest(sales, home)
    overrides = {"home": home}
    built = build_defs([folder / "sales"], own_assets=[own], resource_overrides=overrides)
    with dg.instance_for_test() as instance:
        keys = [
            dg.AssetKey(["raw", "orders"]),
            dg.AssetKey(["raw", "totals"]),
            dg.AssetKey("arrow"),
        ]
        job = built.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(instance=instance, asset_selection=keys)
        assert done.success
        event = instance.get_latest_materialization_event(keys[0])
        assert event
        assert event.asset_materialization
        assert event.asset_materialization.metadata["dagster/row_count"].value == 3
    result = ingest(sales, home)
    assert [row["y"] for row in rows(result.snapshot, home)] == [0.5, 1.5, None]
    assert result.sources[0].name == "asset raw/orders"
    parents = built.resolve_asset_graph().get(dg.AssetKey(["sales", "ingest"])).parent_keys
    assert parents == {keys[0]}
    assert not [path for path in home.path.rglob("*") if path.suffix in {".pickle", ".pkl"}]


def test_the_same_table_is_the_same_source(folder: Path, home: Home) -> None:
    import pandas as pd

    _declare(folder, "sales", {"asset": "raw/orders"})
    sales, path = load_pipeline(folder / "sales"), path_of(home, ["raw", "orders"])
    home.require_writable()

    def key(frame: pd.DataFrame) -> str:
        save_table(frame, path, "raw/orders")
        with home.scratch() as scratch:
            return sources_key(discover_sources(sales, home, scratch))

    first = key(pd.DataFrame({"y": [1, 2]}))
    assert key(pd.DataFrame({"y": [1, 2]})) == first
    assert key(pd.DataFrame({"y": [1, 3]})) != first
    save_table(pd.DataFrame({"y": pd.to_timedelta(["1h", "2h"])}), path, "raw/orders")
    with pytest.raises(SourceError, match="asset raw/orders: column 'y' holds durations"):
        ingest(sales, home)


def test_where_a_boundary_is_required_only_code_inside_one_is_imported(
    folder: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _own_assets(folder, "open('imported', 'w').close()\n" + ORDERS)
    _declare(folder, "sales", {"asset": "raw/orders"})
    monkeypatch.chdir(folder)
    (folder / "factory.yaml").write_text("boundary: required\n")

    def keys() -> set[str]:
        built = build_defs([], own_assets=[own], resource_overrides={"home": home})
        return {key.to_user_string() for key in built.resolve_all_asset_keys()}

    assert keys() == {"raw_assets/broken"}
    assert not (folder / "imported").exists()
    [problem] = check(["sales"])
    assert (problem.file, problem.line) == (own / "assets.py", 1)
    assert "the code server imports this file without one" in problem.message
    # The worker of a run is inside one.
    monkeypatch.setenv("FACTORY_BOUNDARY", "namespaces")
    assert keys() == {"raw/orders", "raw/totals", "arrow"}
    assert check(["sales"]) == []


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("x = 1\nimport nothing_like_it", "ModuleNotFoundError", 2),
        ("x = 1\ny = (", "SyntaxError: '(' was never closed", 2),
        ("import sys\nsys.exit('set PLANT_DB first')", "SystemExit: set PLANT_DB first", 2),
        ("import dagster as dg\n@dg.asset(required_resource_keys={'x'})\ndef a(): ...", "'x'", 1),
        (
            "import dagster as dg\n@dg.asset(key=['a', 'clean'])\ndef a(): ...",
            "asset a/clean exists already",
            1,
        ),
        (
            "import dagster as dg\n@dg.asset\ndef a(): ...",
            "asset a has the name of a pipeline, or of its looks; give it another key",
            1,
        ),
        (
            "import dagster as dg\n@dg.asset_check(asset=dg.AssetKey(['a', 'ingest']))\n"
            "def contract(): return dg.AssetCheckResult(passed=True)",
            "Duplicate asset check key",
            1,
        ),
        (
            "import dagster as dg\n@dg.asset(key='x', deps=[dg.AssetKey(['reader', 'clean'])])\n"
            "def x(): ...",
            "Circular dependencies",
            1,
        ),
    ],
)
def test_a_broken_assets_file_does_not_affect_other_assets(
    text: str, says: str, line: int, folder: Path
) -> None:
    _declare(folder, "reader", {"asset": "x"})
    _own_assets(folder, text)
    _own_assets(folder, "import dagster as dg\n@dg.asset\ndef fine() -> None: ...", "other")
    found = defs()
    found.get_repository_def().load_all_definitions()
    graph = found.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {"raw_assets/broken", "fine", "a/clean", "machine_failure/deploy"} <= keys
    description = graph.get(dg.AssetKey(["raw_assets", "broken"])).description or ""
    assert says in " ".join(description.split())
    [problem] = user_asset_problems()
    assert (problem.file, problem.line) == (folder / "raw" / "assets.py", line)
    assert says in problem.message


def test_an_asset_value_that_is_not_a_table_is_refused(folder: Path, home: Home) -> None:
    own = _own_assets(folder, "import dagster as dg\n@dg.asset\ndef a():\n    return {'x': 1}")
    built = build_defs([], own_assets=[own], resource_overrides={"home": home})
    done = built.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert failure.step_failure_data.error
    assert "asset a: yielded dict, which is not a table; yield a pandas or polars" in (
        failure.step_failure_data.error.to_string()
    )
    assert not path_of(home, ["a"]).exists()


def test_an_asset_in_partitions_reads_whole_tables_and_stores_none(home: Home) -> None:
    import pandas as pd

    days = dg.StaticPartitionsDefinition(["monday", "tuesday"])

    @dg.asset
    def whole() -> pd.DataFrame:
        return pd.DataFrame({"id": [1]})

    @dg.asset(partitions_def=days)
    def told(whole: pd.DataFrame) -> None:
        assert len(whole) == 1

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def stored(context: dg.AssetExecutionContext) -> pd.DataFrame:
        return pd.DataFrame({"day": list(context.partition_keys)})

    resources = {"io_manager": TableIOManager(home)}
    assert dg.materialize([whole], resources=resources).success
    one = dg.materialize(
        [whole, told], selection=[told], resources=resources, partition_key="monday"
    )
    assert one.success
    ends = {"start": "monday", "end": "tuesday"}
    span = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
    with pytest.raises(dg.Failure, match=r"asset stored: is in partitions, .* io_manager_def"):
        dg.materialize([stored], resources=resources, tags=span)
    assert not path_of(home, ["stored"]).exists()


def test_tables_are_loaded_as_the_stored_or_requested_type(home: Home) -> None:
    import pandas as pd
    import pyarrow as pa

    path = path_of(home, ["t"])
    save_table(pd.DataFrame({"a": [1]}), path, "t")
    assert isinstance(load_table(path, "t", ""), pd.DataFrame)
    assert isinstance(load_table(path, "t", "pyarrow"), pa.Table)
    save_table(pa.table({"a": [1]}), path, "t")
    assert isinstance(load_table(path, "t", ""), pa.Table)
    with pytest.raises(DataError, match="has yielded no table yet"):
        load_table(path_of(home, ["u"]), "u", "")
    with pytest.raises(DataError, match="column of mixed types"):
        save_table(pd.DataFrame({"a": [1, "x"]}), path, "t")
    assert "polars" not in sys.modules
