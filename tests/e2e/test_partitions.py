"""Partitions end to end: the command, the daemon with its sensor, backfills from the UI."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from tests.commands import FactoryCommand, forked
from tests.long_run import in_long
from tests.running_factory import RunningFactory, ask_graphql

pytestmark = pytest.mark.slow
DECLARED: dict[str, Any] = {
    "purpose": "Count what machines report",
    "partitions": {
        "day": {"every": "day", "start": "2024-01-01", "end": "2024-01-06"},
        "machine": {"dynamic": True},
    },
    "ingest": {
        "source": {"files": "arrivals/{machine}/{day}.csv"},
        "contract": [{"name": "heat", "type": "float64"}, {"name": "fault", "type": "string"}],
    },
    "clean": {"where": {"sane": "heat < 1000"}},
    "arrivals": {"settle": 1, "enabled": True},
}
MODEL: dict[str, Any] = {"train": {"target": "fault", "model": {"kind": "linear"}}}


def put(folder: Path, machine: str, day: int, shift: float = 0) -> None:
    path = folder / "arrivals" / machine / f"2024-01-{day:02}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{i + shift},{'yes' if i + i % 5 * 3 > 25 else 'no'}" for i in range(40)]
    path.write_text("\n".join(["heat,fault", *rows]) + "\n")


def declare(folder: Path, attributes: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    document = {"type": "factory_assets.ModelPipeline", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


@pytest.fixture
def meter(tmp_path: Path) -> Path:
    """The folder of a pipeline without a model, with data for three partitions."""
    folder = declare(tmp_path / "defs" / "meter", DECLARED)
    for machine, day in (("m1", 1), ("m1", 2), ("m2", 2)):
        put(folder, machine, day)
    return folder


@pytest.fixture
def factory(tmp_path: Path) -> FactoryCommand:
    return forked(tmp_path / "home", FACTORY_DEFS=str(tmp_path / "defs"))


def test_the_command_computes_only_new_and_changed_partitions(
    meter: Path, factory: FactoryCommand
) -> None:
    assert "1 pipeline, no problems" in factory("check", "meter").stdout
    before = factory("run", "meter", "--explain")
    assert before.returncode == 0, before.stderr
    assert "ingest    compute: never computed [2024-01-01|m1, 2024-01-02|m1" in before.stdout
    first = factory("run", "meter")
    assert first.returncode == 0, first.stderr
    assert "meter · ingest    3 computed in" in first.stdout
    assert "7 partitions have no data yet" in first.stdout
    assert "120 clean" in first.stdout
    again = factory("run", "meter")
    assert "meter · ingest    3 reused" in again.stdout
    assert "meter · clean     3 reused" in again.stdout
    put(meter, "m2", 2, shift=0.5)
    late = factory("run", "meter")
    assert "meter · ingest    1 computed in" in late.stdout
    assert "2 reused" in late.stdout
    one = factory("run", "meter", "--partition", "2024-01-02|m1", "--no-reuse")
    assert "meter · ingest    1 computed in" in one.stdout


def test_what_was_delivered_by_mistake_is_excluded(meter: Path, factory: FactoryCommand) -> None:
    assert "120 clean" in factory("run", "meter").stdout
    (meter / "arrivals" / "m1" / "2024-01-02.csv").unlink()
    kept = factory("run", "meter")
    assert "7 partitions have no data yet" in kept.stdout
    assert "the files of 1 stored partition are gone (2024-01-02|m1); the rows stay" in kept.stdout
    assert "120 clean" in kept.stdout
    plan = factory("run", "meter", "--explain")
    assert "meter · the files of 1 stored partition are gone" in plan.stdout
    machine = {"dynamic": True, "exclude": ["2024-01-02|m1"]}
    partitions = {**DECLARED["partitions"], "machine": machine}
    document = {
        "type": "factory_assets.ModelPipeline",
        "attributes": {**DECLARED, "partitions": partitions},
    }
    (meter / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    excluded = factory("run", "meter")
    assert "meter · ingest    2 reused" in excluded.stdout
    assert "are gone" not in excluded.stdout
    assert "80 clean" in excluded.stdout
    asked = factory("run", "meter", "--partition", "2024-01-02|m1")
    assert asked.returncode == 2
    assert asked.stderr == (
        "error: meter: partition '2024-01-02|m1' is excluded; to read it again, take its key out "
        "of `partitions.machine.exclude`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--partition", "2024-01-03|m1"], "error: partition 2024-01-03|m1: meter/ingest: no file"),
        (["--partition", "2024-02-03|m1"], "error: meter: there is no partition '2024-02-03|m1'"),
        (["--stages", "train"], "error: meter: a pipeline without `train` has no stage 'train'"),
    ],
)
def test_a_wrong_request_is_one_line(
    meter: Path, factory: FactoryCommand, arguments: list[str], message: str
) -> None:
    done = factory("run", "meter", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_a_key_without_a_partition_is_refused_before_anything_runs(
    meter: Path, factory: FactoryCommand, tmp_path: Path
) -> None:
    keys = ["--partition", "2024-01-01|m1", "--partition", "2024-02-03|m1"]
    done = factory("run", "meter", *keys)
    assert done.returncode == 2
    assert done.stderr.startswith("error: meter: there is no partition '2024-02-03|m1'")
    assert done.stdout == ""
    assert not (tmp_path / "home").exists()


def test_a_partition_of_an_unpartitioned_pipeline_is_refused(
    factory: FactoryCommand, tmp_path: Path
) -> None:
    done = factory("run", "tumour_diagnosis", "--partition", "x")
    assert done.returncode == 2
    assert "this pipeline has no partitions" in done.stderr


class Up:
    """A running `factory up`, queried by GraphQL as its pages do."""

    def __init__(self, home: Path, defs: Path, **settings: Any) -> None:
        self.home = Home(home)
        self.running = RunningFactory(home, {"FACTORY_DEFS": str(defs)}, **settings)
        self.client = self.running.enter()

    def ask(self, query: str, **variables: Any) -> Any:
        return ask_graphql(self.client, query, **variables)

    def until(self, query: str, done: Any, **variables: Any) -> Any:
        deadline = time.monotonic() + 180
        while not done(data := self.ask(query, **variables)):
            assert time.monotonic() < deadline, data
            time.sleep(0.5)
        return data

    def runs(self) -> list[dict[str, Any]]:
        query = "{runsOrError {... on Runs {results {runId status tags {key value}}}}}"
        results: list[dict[str, Any]] = self.ask(query)["runsOrError"]["results"]
        return results

    def stop(self) -> None:
        self.client.close()
        self.running.stop()


_OFTEN = """
import sys
from factory_assets.cli import up
from factory_assets.cli.main import main

DAEMON = (
    "from dagster._daemon import controller; controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2; "
    "from factory_assets.cli.daemon import main; main()"
)
commands = up.commands

def commands_with_daemon(*arguments):
    found = dict(commands(*arguments))
    return {**found, "daemon": [sys.executable, "-P", "-c", DAEMON, *found["daemon"][4:]]}

up.commands = commands_with_daemon
main()
"""


def looking_often(command: Sequence[str]) -> list[str]:
    """Return the command line of an `up` whose daemon looks after backfills every two seconds.

    Dagster has no setting for its 30 s, of which a backfill lasts three times as much.
    """
    return [sys.executable, "-P", "-c", _OFTEN, *command[3:]]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    folder = declare(tmp_path / "defs" / "meter", {**DECLARED, **MODEL})
    for machine, day in (("m1", 1), ("m1", 2), ("m1", 3)):
        put(folder, machine, day)
    # In the folder where it is started, no process looks for modules.
    (tmp_path / "yaml.py").write_text("raise SystemExit('this is not the library')\n")
    running = Up(tmp_path / "home", tmp_path / "defs", started_by=looking_often)
    yield running
    running.stop()


_BACKFILL = """
mutation($keys: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $keys, assetSelection: $assets}) {
    __typename
    ... on LaunchBackfillSuccess {backfillId}
    ... on PythonError {message}
  }
}"""
_STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {... on PartitionBackfill {status}}
}"""
_PARTITIONS = """
{assetNodeOrError(assetKey: {path: ["meter", "clean"]}) {
  ... on AssetNode {
    partitionKeysByDimension {name partitionKeys}
    assetMaterializations {partition metadataEntries {
      label ... on BoolMetadataEntry {boolValue}
      ... on TextMetadataEntry {text} ... on FloatMetadataEntry {floatValue}
    }}
  }
}}"""


def backfill(up: Up, keys: list[str], stages: list[str]) -> list[dict[str, Any]]:
    """Launch a backfill, wait until the daemon has run it, and return its runs."""
    assets = [{"path": ["meter", stage]} for stage in stages]
    launched = up.ask(_BACKFILL, keys=keys, assets=assets)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    backfill = launched["backfillId"]
    done = up.until(
        _STATUS,
        lambda data: (
            data["partitionBackfillOrError"]["status"]
            not in {"REQUESTED", "COMPLETED_SUCCESS_PENDING"}
        ),
        id=backfill,
    )
    assert done["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS", done
    tag = {"key": "dagster/backfill", "value": backfill}
    return [run for run in up.runs() if tag in run["tags"]]


def _reused(up: Up) -> dict[str, list[bool]]:
    """Return for each partition whether its materialisations were reused, newest first."""
    reused: dict[str, list[bool]] = {}
    for event in up.ask(_PARTITIONS)["assetNodeOrError"]["assetMaterializations"]:
        entries = {entry["label"]: entry for entry in event["metadataEntries"]}
        reused.setdefault(event["partition"], []).append(entries["reused"]["boolValue"])
    return reused


@pytest.mark.parametrize("until", ["they are backfilled", *in_long(["more files come"])])
def test_the_daemon_turns_files_into_partitions_and_the_ui_backfills_them(
    until: str, up: Up, tmp_path: Path
) -> None:
    # The sensor finds the files, registers the machine and requests one run.
    keys = [f"2024-01-0{day}|m1" for day in (1, 2, 3)]
    up.until(_PARTITIONS, lambda _: set(_reused(up)) == set(keys))
    dimensions = up.ask(_PARTITIONS)["assetNodeOrError"]["partitionKeysByDimension"]
    assert {d["name"]: d["partitionKeys"][:2] for d in dimensions} == {
        "day": ["2024-01-01", "2024-01-02"],
        "machine": ["m1"],
    }
    assert _reused(up) == {key: [False] for key in keys}
    # A backfill of all stages: the partitions in as few runs as possible, then the model.
    runs = backfill(up, keys, ["ingest", "clean", "split", "train", "evaluate", "deploy"])
    assert len(runs) <= 3, runs
    assert _reused(up) == {key: [True, False] for key in keys}
    deployed = Records(Home(tmp_path / "home")).latest("meter", "deploy")
    assert deployed
    if until == "they are backfilled":
        return
    # A file that is still being written is skipped; once it is complete, only it is run.
    folder = tmp_path / "defs" / "meter"
    put(folder, "m2", 4)
    shutil.move(
        folder / "arrivals" / "m2" / "2024-01-04.csv", folder / "arrivals" / "m2" / "x.csv.part"
    )
    put(folder, "m1", 5)
    up.until(_PARTITIONS, lambda _: "2024-01-05|m1" in _reused(up))
    assert "2024-01-04|m2" not in _reused(up)
    (folder / "arrivals" / "m2" / "x.csv.part").rename(
        folder / "arrivals" / "m2" / "2024-01-04.csv"
    )
    up.until(_PARTITIONS, lambda _: "2024-01-04|m2" in _reused(up))
    assert _reused(up)[keys[0]] == [True, False]
    assert Records(Home(tmp_path / "home")).latest("meter", "deploy") == deployed
