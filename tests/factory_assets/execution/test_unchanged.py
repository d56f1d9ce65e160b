"""A run that would change nothing is recognised without Dagster; everything else is not."""

import copy
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.unchanged import must_be_read, unchanged_stages
from factory_assets.execution.unchanged_notes import take_notes
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError, RefusedError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from tests.commands import forked_command
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow

_HEAVY = ("dagster", "duckdb", "mlflow", "numpy", "pandas", "pyarrow", "sqlalchemy", "torch")

_RUN = f"""
import sys
from factory_assets.cli.main import main
main(sys.argv[1:], standalone_mode=False)
assert (heavy := sorted({{*{_HEAVY}}} & sys.modules.keys())) == [], heavy
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline that has run once, and its home; the environment names it."""
    root = enter_served(tmp_path / "root", monkeypatch)
    # Addresses in the databases follow the home.
    prepare(Home(root / "home"))
    return root


def _command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_heavy_is_imported_if_nothing_changed(root: Path) -> None:
    text = _command("run", "apples")
    reused = [line.split()[2] for line in text.splitlines() if line.endswith("reused")]
    assert reused[: len(STAGES)] == [*STAGES]
    assert "6 reused" in text
    assert "nothing changed since 20" in text
    assert "champion" in text
    assert _command("run", "apples", "--explain").count("reuse (computed") == len(STAGES)


def test_a_graph_that_is_gone_is_exported_again(root: Path) -> None:
    home = Home(root / "home")
    _lose_graph(declare(root / "defs" / "apples", APPLES), home)
    with pytest.raises(
        ModelError, match=r"model.onnx is missing; deploy again: factory run apples"
    ):
        load_champion("apples", home)
    # A process of its own: MLflow remembers by run where the artifacts of a home were.
    subprocess.run([*forked_command(), "run", "apples"], check=True)
    load_champion("apples", home)


def _edit_data(pipeline: Pipeline, _: Home) -> None:
    with (pipeline.folder / "data.csv").open("a") as file:
        file.write("3.5,red,bad\n")


def _lose_table(_: Pipeline, home: Home) -> None:
    for path in (home.tables / "apples" / "split_train").glob("*.parquet"):
        path.unlink()


def _replace_champion(_: Pipeline, home: Home) -> None:
    client = Registry(home).client
    client.delete_registered_model_alias("apples", "champion")


def _lose_model(pipeline: Pipeline, home: Home) -> None:
    shutil.rmtree(Registry(home).version("apples", 1).files)


def _lose_graph(_: Pipeline, home: Home) -> None:
    [graph] = home.artifacts.rglob("onnx/model.onnx")
    graph.unlink()


@pytest.mark.parametrize(
    "change", [_edit_data, _lose_table, _replace_champion, _lose_model, _lose_graph]
)
def test_a_change_is_noticed(root: Path, change: Callable[[Pipeline, Home], None]) -> None:
    home = Home(root / "home")
    pipeline = declare(root / "defs" / "apples", APPLES)
    request = StageRequest(pipeline, "ingest", home, run_id="")
    assert len(unchanged_stages(request, STAGES, ()) or ()) == len(STAGES)
    change(pipeline, home)
    assert unchanged_stages(request, STAGES, ()) is None


def _with(**sections: Any) -> dict[str, Any]:
    changed = copy.deepcopy(APPLES)
    for section, keys in sections.items():
        changed[section] |= keys
    return changed


@pytest.mark.parametrize(
    "declaration",
    [
        _with(train={"seed": 7}),
        _with(clean={"where": {"positive": "size > 1"}}),
        _with(ingest={"contract": [*APPLES["ingest"]["contract"][:2], {"name": "label"}]}),
    ],
)
def test_an_edited_declaration_is_noticed(root: Path, declaration: dict[str, Any]) -> None:
    pipeline = declare(root / "defs" / "apples", declaration)
    request = StageRequest(pipeline, "ingest", Home(root / "home"), run_id="")
    assert unchanged_stages(request, STAGES, ()) is None


def test_the_result_before_the_last_is_not_the_present_one(root: Path) -> None:
    home = Home(root / "home")
    declare(root / "defs" / "apples", _with(train={"seed": 7}))
    run(RunSelection(["apples"]), Console(quiet=True))
    pipeline = declare(root / "defs" / "apples", APPLES)
    request = StageRequest(pipeline, "ingest", home, run_id="")
    assert unchanged_stages(request, ("ingest", "clean", "split"), ()) is not None
    # A record with this key exists, but another result has been the latest since.
    assert unchanged_stages(request, ("train",), ()) is None


def test_dagster_is_told_at_the_next_real_run(root: Path) -> None:
    for _ in range(2):
        assert "nothing changed since" in _command("run", "apples")
    with dg.DagsterInstance.get() as instance:
        before = len(instance.get_runs())
        assert _observation(instance) is None
    run(RunSelection(["apples"], reuse=False), Console(quiet=True))
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs()) == before + 1
        observation = _observation(instance)
        assert observation is not None
        assert observation.metadata["runs"].value == 2
    assert take_notes(Home(root / "home")) == []


def test_a_part_of_a_note_that_a_full_disk_took_stops_no_run(root: Path) -> None:
    home = Home(root / "home")
    for end in ('{"pipeline": "app', '\n{"pipeline": "pears"}\n[1]\n'):
        assert "nothing changed since" in _command("run", "apples")
        with (home.path / "unchanged.jsonl").open("a") as file:
            file.write(end)
    assert len(take_notes(home)) == 1
    with (home.path / "unchanged.jsonl").open("a") as file:
        file.write('{"pipeline": "app')
    run(RunSelection(["apples"], stages=["ingest"], reuse=False), Console(quiet=True))
    assert take_notes(home) == []


def _observation(instance: dg.DagsterInstance) -> dg.AssetObservation | None:
    records = instance.fetch_observations(dg.AssetKey(["apples", "train"]), limit=10).records
    return records[0].asset_observation if records else None


def test_after_a_killed_run_dagster_is_asked(root: Path) -> None:
    home = Home(root / "home")
    marker = home.path / "running" / "1.0.no-boot"
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    with dg.DagsterInstance.get() as instance:
        before = len(instance.get_runs())
    run(RunSelection(["apples"]), Console(quiet=True))
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs()) == before + 1
    assert not marker.exists()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pipeline that is not declared yet, with its data."""
    enter(tmp_path, monkeypatch)
    folder = tmp_path / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    return folder


def test_the_same_warnings_are_printed_if_nothing_changed(folder: Path) -> None:
    data = folder / "data.csv"
    data.write_text(data.read_text().replace("red", "Red", 20))
    declare(folder, APPLES)
    warnings = []
    for _ in range(2):
        console = Console(file=io.StringIO(), width=300)
        run(RunSelection(["apples"]), console)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        warnings.append([line for line in lines if "warning" in line])
    assert "nothing changed since" in "".join(lines)
    assert warnings[0] == warnings[1]
    assert "'colour' spells 1 value in several ways (20 rows, such as 'red'" in warnings[0][0]


def test_rows_of_partitions_are_shown_if_a_gate_refuses_what_learned_from_them(
    folder: Path,
) -> None:
    rows = (folder / "data.csv").read_text().splitlines()
    (folder / "data.csv").rename(folder / "a.csv")
    refused = {"gates": [{"metric": "log_loss", "at_most": 1e-9}]}
    declared = _with(ingest={"source": {"files": "{lot}.csv"}}, evaluate=refused)
    declare(folder, {**declared, "partitions": {"lot": {"values": ["a"]}}})
    console = Console(file=io.StringIO(), width=300)
    with pytest.raises(RefusedError):
        run(RunSelection(["apples"]), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{len(rows) - 1:,} in" in shown


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ({"files": "data.csv"}, False),
        ({"python": "made:rows", "reads": ["data.csv"]}, False),
        ({"python": "made:rows"}, True),
        ({"database": "sqlite:plant.db", "table": "apples"}, True),
    ],
)
def test_a_source_that_must_be_read_is_not_read_beforehand(
    source: dict[str, Any], read: bool, tmp_path: Path
) -> None:
    pipeline = declare(tmp_path / "apples", _with(ingest={"source": source}))
    assert must_be_read(pipeline) is read


def test_a_function_that_a_run_calls_is_called_once(root: Path) -> None:
    folder = root / "defs" / "apples"
    (folder / "made.py").write_text(
        "import pandas as pd\nfrom pathlib import Path\n\n\ndef rows():\n"
        "    here = Path(__file__)\n    with here.with_name('calls').open('a') as file:\n"
        "        file.write('called ')\n    return pd.read_csv(here.with_name('data.csv'))\n"
    )
    declare(folder, _with(ingest={"source": {"python": "made:rows"}}))
    run(RunSelection(["apples"], ["ingest"]), Console(quiet=True))
    assert (folder / "calls").read_text() == "called "
