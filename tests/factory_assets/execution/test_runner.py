"""A stage is computed again exactly when something that could change its result changed."""

import copy
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from factory_assets.execution import code_version, computation
from factory_assets.execution.explain import diff_records
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.record_graph import RecordGraph
from factory_assets.results.stages import STAGES, Stage
from factory_resources.errors import DataError, FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.long_run import in_long
from tests.own_code import copy_code
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in which the whole pipeline has run once."""
    folder = tmp_path_factory.mktemp("made")
    write_apples(_folder(folder))
    prepare(Home(folder / "home"))
    assert _run(folder, APPLES) == list(STAGES)
    return folder


def _copied(made: Path, to: Path) -> Path:
    root = shutil.copytree(made, to / "copy")
    prepare(Home(root / "home"))
    return root


def _folder(root: Path) -> Path:
    folder = root / "apples"
    folder.mkdir(exist_ok=True)
    return folder


def _run(root: Path, attributes: dict[str, Any], reuse: bool = True) -> list[str]:
    """Run all stages; the names of those that were computed."""
    pipeline = declare(_folder(root), attributes)
    home = Home(root / "home")
    outcomes = {s: run_stage(StageRequest(pipeline, s, home, "run", reuse=reuse)) for s in STAGES}
    return [stage for stage, outcome in outcomes.items() if not outcome.reused]


def _set(path: str, value: Any) -> Change:
    def change(attributes: dict[str, Any], _: Path) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            attributes = attributes.setdefault(parent, {})
        attributes[last] = value

    return change


def _append_row(_: dict[str, Any], folder: Path) -> None:
    with (folder / "data.csv").open("a") as file:
        file.write("9.5,red,good\n")


def _same_size_and_time(_: dict[str, Any], folder: Path) -> None:
    path = folder / "data.csv"
    before = path.stat()
    path.write_text(path.read_text().replace("1.01", "1.02", 1))
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _touch(_: dict[str, Any], folder: Path) -> None:
    (folder / "data.csv").touch()


def _rename(attributes: dict[str, Any], folder: Path) -> None:
    (folder / "data.csv").rename(folder / "renamed.csv")
    attributes["ingest"]["source"]["files"] = "renamed.csv"


def _describe(attributes: dict[str, Any], _: Path) -> None:
    attributes["ingest"]["contract"][0]["description"] = "across"
    attributes["owners"] = ["team:fruit"]
    attributes["purpose"] = "Other words"


def _reorder(attributes: dict[str, Any], _: Path) -> None:
    for part in (attributes, attributes["ingest"], attributes["train"]):
        for key in sorted(part, reverse=True):
            part[key] = part.pop(key)


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        pytest.param(_append_row, STAGES, id="row appended"),
        pytest.param(_same_size_and_time, STAGES, id="other bytes of the same size and time"),
        pytest.param(_set("clean.where.small", "size < 5"), STAGES[1:], id="new rule"),
        pytest.param(
            _set("clean.where.tiny", "size < 1000"), ("clean",), id="rule that breaks no row"
        ),
        pytest.param(
            _set("train.model", {"kind": "linear", "regularisation": 3.0}),
            STAGES[3:],
            id="parameter",
        ),
        pytest.param(_touch, (), id="file touched"),
        pytest.param(_describe, (), id="words"),
        pytest.param(_reorder, (), id="order of keys"),
        *in_long(
            [
                pytest.param(_set("split.seed", 3), STAGES[2:], id="seed of the split"),
                pytest.param(_set("train.seed", 3), STAGES[3:], id="seed of the training"),
                pytest.param(_set("evaluate.slices", ["colour"]), STAGES[4:], id="slices"),
                pytest.param(_set("deploy.max_difference", 0.01), STAGES[5:], id="tolerance"),
            ]
        ),
    ],
)
def test_computes_what_changed(
    made: Path, tmp_path: Path, change: Change, computed: tuple[str, ...]
) -> None:
    root = _copied(made, tmp_path)
    attributes = copy.deepcopy(APPLES)
    change(attributes, root / "apples")
    assert tuple(_run(root, attributes)) == computed
    assert _run(root, attributes) == []


def test_no_reuse_computes_everything(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    assert _run(root, APPLES, reuse=False) == list(STAGES)


def test_each_training_of_the_same_keeps_its_record(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    for _ in range(2):
        assert _run(root, APPLES, reuse=False) == list(STAGES)
    graph = RecordGraph.of(Home(root / "home"))
    trained = [graph.candidate("apples", version) for version in (1, 2, 3)]
    assert [one and one.parts.get("repetition") for one in trained] == [None, 1, 2]
    first, second, third = filter(None, trained)
    assert diff_records("train", first, second) == ["trained once more"]
    assert _run(root, APPLES) == []
    assert Records(Home(root / "home")).latest("apples", "train") == third


def test_a_training_takes_the_place_of_those_whose_versions_are_gone(
    made: Path, tmp_path: Path
) -> None:
    before = _copied(made, tmp_path)
    _run(before, APPLES, reuse=False)
    root = shutil.copytree(before, tmp_path / "again")
    home = Home(root / "home")
    (home.path / "mlflow.db").unlink()
    prepare(home)
    call = StageRequest(declare(_folder(root), APPLES), "train", home, "run")
    # Whoever looked it up by its number would compute it ever again.
    assert [run_stage(call).reused for _ in range(2)] == [False, True]


def test_another_version_of_a_library(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _copied(made, tmp_path)
    real = importlib.metadata.version
    changed = lambda name: "99.0" if name == "duckdb" else real(name)  # noqa: E731
    monkeypatch.setattr(importlib.metadata, "version", changed)
    code_version.version_of.cache_clear()
    try:
        # They compute again, find the same, and so nothing is learned anew.
        assert _run(root, APPLES) == ["ingest", "clean", "split"]
    finally:
        code_version.version_of.cache_clear()


def test_an_edit_of_a_stage_of_ours(made: Path, tmp_path: Path) -> None:
    root, copy_of_ours = _copied(made, tmp_path), tmp_path / "ours"
    for package in ("factory_assets", "factory_resources", "schedules"):
        copy_code(package, copy_of_ours)
    with (copy_of_ours / "factory_assets/stages/clean.py").open("a") as file:
        file.write("\n# Another way of cleaning.\n")
    done = subprocess.run(
        [sys.executable, "-m", "factory_assets.cli", "run", "apples"],
        cwd=copy_of_ours,
        env={**os.environ, "FACTORY_HOME": str(root / "home"), "FACTORY_DEFS": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    reused = [line.split()[2] for line in done.stdout.splitlines() if line.endswith("reused")]
    assert reused == ["ingest", "split", "train", "evaluate", "deploy"]


def test_what_was_reused_says_so(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    pipeline = declare(_folder(root), APPLES)
    outcome = run_stage(StageRequest(pipeline, "train", Home(root / "home"), "another"))
    assert outcome.reused
    assert outcome.record.run_id == "run"
    assert outcome.record.seconds > 0
    assert outcome.record.wh > 0
    assert outcome.record.method


def test_going_back_reuses_the_first_result(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    changed = copy.deepcopy(APPLES)
    changed["train"]["seed"] = 3
    assert _run(root, changed) == ["train", "evaluate", "deploy"]
    # The first version is a candidate again, to be judged against the champion that replaced it.
    assert set(_run(root, APPLES)) <= {"evaluate", "deploy"}


def test_a_lost_snapshot_is_made_again(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    for file in (root / "home" / "tables" / "apples" / "clean").glob("*.parquet"):
        file.unlink()
    assert _run(root, APPLES) == ["clean"]


_SOURCE = """
import pandas as pd
def load(n):
    open(__file__ + ".calls", "a").write("x")
    labels = ["good" if i // 7 % 3 else "bad" for i in range(n)]
    sizes = [i % 21 / 10 for i in range(n)]
    return pd.DataFrame({"size": sizes, "colour": ["red"] * n, "label": labels})
"""


def test_a_function_is_called_again_unless_it_says_what_it_reads(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    prepare(Home(tmp_path / "home"))
    (folder / "source.py").write_text(_SOURCE)
    calls = folder / "source.py.calls"
    attributes = copy.deepcopy(APPLES)
    attributes["ingest"]["source"] = {"python": "source:load", "args": {"n": 100}}
    assert _run(tmp_path, attributes) == list(STAGES)
    assert _run(tmp_path, attributes) == []
    assert calls.read_text() == "xx"
    attributes["ingest"]["source"]["reads"] = []
    _run(tmp_path, attributes)
    _run(tmp_path, attributes)
    assert calls.read_text() == "xxx"
    (folder / "source.py").write_text(_SOURCE.replace("i // 7 % 3", "i // 7 % 4"))
    assert _run(tmp_path, attributes) == list(STAGES)


def test_without_input_says_what_to_run(tmp_path: Path) -> None:
    write_apples(_folder(tmp_path))
    pipeline = declare(_folder(tmp_path), APPLES)
    with pytest.raises(DataError, match="no result of split yet; run it first"):
        run_stage(StageRequest(pipeline, "train", Home(tmp_path / "home"), "run"))


def test_a_failed_stage_leaves_the_old_result(made: Path, tmp_path: Path) -> None:
    root = _copied(made, tmp_path)
    data = root / "apples" / "data.csv"
    good = data.read_text()
    data.write_text("size,colour\n1,red\n")
    with pytest.raises(FactoryError):
        _run(root, APPLES)
    data.write_text(good)
    assert _run(root, APPLES) == []


def test_of_two_runs_at_once_the_second_does_not_replace_what_it_was_not_compared_with(
    made: Path, tmp_path: Path
) -> None:
    root = _copied(made, tmp_path)
    home = Home(root / "home")

    def stages(run: str, seed: int, *names: Stage) -> None:
        attributes = copy.deepcopy(APPLES)
        attributes["train"]["seed"] = seed
        pipeline = declare(_folder(root), attributes)
        for name in names:
            run_stage(StageRequest(pipeline, name, home, run))

    # Both are compared with version 1, before either is deployed.
    for run, seed in (("a", 3), ("b", 4)):
        stages(run, seed, "train", "evaluate")
    stages("a", 3, "deploy")
    with pytest.raises(RefusedError) as refused:
        stages("b", 4, "deploy")
    told = "version 3 was compared with version 1, and version 2 serves by now"
    assert refused.value.what == told
    assert Registry(home).champion("apples") == 2


def test_a_signal_in_the_middle_of_a_query_interrupts_the_stage(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def long_query(*_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        duckdb.execute("SELECT sum(hash(range)) FROM range(500000000)")

    root = _copied(made, tmp_path)
    write_apples(_folder(root), rows=150)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    monkeypatch.setattr(computation, "compute", long_query)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(root, APPLES)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    monkeypatch.undo()
    assert _run(root, APPLES) == list(STAGES)
