"""Folds, trials and retrainings give what the run alone gives, whoever does them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.execution.workers.fit_pool import fit_pool
from factory_assets.execution.workers.room import Needs
from factory_assets.execution.workers.settings import fitting_environments
from factory_assets.ml.training.fit_tasks import FitRows
from factory_assets.ml.training.trials import TrialTask
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.metering import machine
from factory_resources.tracking.records import Records
from tests.factory_assets.execution.workers.dying import let_workers_die, worker_processes
from tests.fit_results import fit_results
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

_FITTING: tuple[Stage, ...] = ("train", "evaluate")

_SEARCH = {"regularisation": {"range": [0.01, 100], "log": True}}

_DECLARED: dict[str, Any] = {
    **APPLES,
    "train": {**APPLES["train"], "tune": {"trials": 5, "parallel": 3, "search": _SEARCH}},
    "evaluate": {"folds": 3, "influence": {"subsets": 8, "rows": 3, "at_least": 0}},
}

_NETWORK: dict[str, Any] = {
    **_DECLARED,
    "train": {
        "target": "label",
        "model": {"kind": "mlp", "hidden": [4], "epochs": 4},
        "tune": {"trials": 9, "parallel": 3, "search": {"learning_rate": [0.0001, 0.3]}},
        "trainer": {"checkpoint": {"epochs": 1}},
    },
    "evaluate": {"folds": 2, "influence": {"seeds": 3, "subsets": 8, "rows": 3, "at_least": 0}},
}


_ENSEMBLE: dict[str, Any] = {
    **APPLES,
    "train": {
        "target": "label",
        "model": {"kind": "mlp", "hidden": [4], "epochs": 3, "ensemble": 3},
        "class_weights": "balanced",
    },
}


_PORTFOLIO: dict[str, Any] = {
    **APPLES,
    "train": {
        "target": "label",
        "model": {
            "kind": "auto",
            "members": [
                {"kind": "linear"},
                {"kind": "extra_trees", "trees": 10},
                {"kind": "mlp", "hidden": [4], "epochs": 2},
            ],
        },
        "class_weights": "balanced",
    },
}


def _run(
    pipeline: Pipeline, home: Home, stage: Stage, workers: int = 0, told: list[str] | None = None
) -> StageRun:
    progress = None if told is None else told.append
    call = StageRequest(pipeline, stage, home, "run", workers=workers, progress=progress)
    return run_stage(call)


def _split(folder: Path, declared: dict[str, Any], rows: int = 120) -> tuple[Pipeline, Home]:
    """Return a pipeline and a home in which everything before the training is done."""
    write_apples(folder / "apples", rows)
    pipeline, home = declare(folder / "apples", declared), Home(folder / "home")
    before: tuple[Stage, ...] = ("ingest", "clean", "split")
    for stage in before:
        _run(pipeline, home, stage)
    return pipeline, home


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Home]:
    return _split(tmp_path_factory.mktemp("fits"), _DECLARED)


@pytest.fixture(scope="module")
def alone(
    before: tuple[Pipeline, Home], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, list[str]]:
    """The home of a run without workers, and what it told."""
    home, told = Home(tmp_path_factory.mktemp("alone") / "home"), list[str]()
    shutil.copytree(before[1].path, home.path)
    for stage in _FITTING:
        _run(before[0], home, stage, 0, told)
    return home, told


@pytest.fixture
def home(before: tuple[Pipeline, Home], tmp_path: Path) -> Home:
    """A home in which everything before the training is done."""
    return Home(shutil.copytree(before[1].path, tmp_path / "home"))


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.long)])
def test_workers_find_what_the_run_alone_finds(
    workers: int, before: tuple[Pipeline, Home], alone: tuple[Home, list[str]], home: Home
) -> None:
    told: list[str] = []
    for stage in _FITTING:
        _run(before[0], home, stage, workers, told)
    assert fit_results(home) == fit_results(alone[0])
    assert sorted(told) == sorted(alone[1])
    assert problems(home) == []
    assert worker_processes() == []
    assert [*home.tmp.glob("*/")] == [home.tmp / "locks"]
    for stage in _FITTING:
        here, there = (Records(one).latest("apples", stage) for one in (alone[0], home))
        assert here is not None
        assert there is not None
        # What the workers took is counted with what the run itself took.
        assert there.megabytes > here.megabytes + workers * 50
        assert (there.cpu_seconds or 0) > workers * 0.1


MOMENTS = [
    # The model is written, and what became of the trial is not.
    "factory_assets.ml.training.trials:save_fit:1",
    # Half of the answer is out.
    "factory_assets.execution.workers.process:line_of:2",
    "factory_assets.ml.training.trials:Fitter:no memory",
    # Rows are read, and nothing is trained.
    "factory_assets.ml.evaluation.cross_validation:divide_rows:1",
    "factory_assets.ml.evaluation.cross_validation:save_arrays:1",
    "factory_assets.ml.attribution.retraining_tasks:save_arrays:3",
]


@pytest.mark.parametrize("moments", [MOMENTS[::2], *in_long([MOMENTS])])
@pytest.mark.long
def test_killed_workers_change_nothing(
    moments: list[str],
    before: tuple[Pipeline, Home],
    alone: tuple[Home, list[str]],
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_workers_die(tmp_path, monkeypatch, *moments)
    for stage in _FITTING:
        _run(before[0], home, stage, 2)
    assert len([*(tmp_path / "marks").iterdir()]) == len(moments)
    assert fit_results(home) == fit_results(alone[0])
    assert problems(home) == []


_TREE = """
from sklearn.tree import DecisionTreeClassifier

class Tree(DecisionTreeClassifier):
    def fit(self, x, y):
        import depths
        self.set_params(max_depth=depths.of(self.max_depth))
        return super().fit(x, y)
"""


@pytest.mark.long
def test_what_a_users_estimator_loads_in_workers_is_part_of_the_key(tmp_path: Path) -> None:
    tune = {"trials": 2, "parallel": 2, "search": {"args.max_depth": {"values": [1, 2]}}}
    train = {"target": "label", "model": {"python": "trees:Tree"}, "tune": tune}
    folder = tmp_path / "apples"
    folder.mkdir()
    (folder / "trees.py").write_text(_TREE)
    (folder / "depths.py").write_text("def of(depth):\n    return depth or 3\n")
    pipeline, home = _split(tmp_path, {**APPLES, "train": train})
    parts = _run(pipeline, home, "train", 2).record.parts
    assert {"trees", "depths"} <= {*parts["loaded"]["modules"]}
    assert _run(pipeline, home, "train", 2).reused
    (folder / "depths.py").write_text("def of(depth):\n    return 1\n")
    assert not _run(pipeline, home, "train", 2).reused


def test_an_error_is_that_of_the_run_alone_and_ends_the_others(
    before: tuple[Pipeline, Home], home: Home
) -> None:
    pipeline, _ = before
    split = SplitResult.model_validate(_run(pipeline, home, "split").record.value)
    rows = FitRows(train=split.train, validation=split.validation)
    wrong: dict[str, Any] = {"regularisation": 1.0}
    tasks = [TrialTask(rows=rows, number=n, settings=wrong) for n in range(6)]
    for path in split.validation.paths(home):
        path.unlink()
    call = StageRequest(pipeline, "train", home, "run", workers=2)
    with pytest.raises(StorageError) as here:
        tasks[0].prepare(pipeline, home)
    with fit_pool(call) as pool:
        done = pool.map(tasks, lambda _: None)
        with pytest.raises(StorageError) as there:
            next(done)
    assert str(there.value) == str(here.value)
    assert worker_processes() == []


def test_the_number_of_proposals_is_part_of_the_key(tmp_path: Path) -> None:
    def key(**tune: Any) -> object:
        train = {**APPLES["train"], "tune": tune}
        return relevant_spec(declare(tmp_path / "apples", {**APPLES, "train": train}), "train")

    assert key(parallel=1) == key()
    assert len({str(key(parallel=count)) for count in (1, 2, 3)}) == 3


def test_weights_do_not_depend_on_the_threads_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU-a", "GPU-b"])
    plain = fitting_environments(2, Needs())
    assert all("OMP_NUM_THREADS" not in one for one in plain)
    assert all("CUDA_VISIBLE_DEVICES" not in one for one in plain)
    own = fitting_environments(2, Needs(gpus=1))
    assert [one["CUDA_VISIBLE_DEVICES"] for one in own] == ["GPU-a", "GPU-b"]


@pytest.mark.long
@pytest.mark.parametrize("declared", [_NETWORK, _ENSEMBLE], ids=["searched", "ensemble"])
def test_networks_are_the_same_whoever_trains_them(
    declared: dict[str, Any], tmp_path: Path
) -> None:
    pipeline, home = _split(tmp_path, declared)
    there = Home(shutil.copytree(home.path, tmp_path / "there"))
    told: tuple[list[str], list[str]] = ([], [])
    for stage in _FITTING:
        _run(pipeline, home, stage, 0, told[0])
        _run(pipeline, there, stage, 2, told[1])
    assert fit_results(there) == fit_results(home)
    assert sorted(told[1]) == sorted(told[0])
    tuned = fit_results(home)["trained"][2]
    assert ("'state': 'pruned'" in tuned) == ("tune" in declared["train"])


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 1])
def test_a_portfolio_is_the_same_whoever_fits_its_members(workers: int, tmp_path: Path) -> None:
    pipeline, home = _split(tmp_path, _PORTFOLIO)
    there = Home(shutil.copytree(home.path, tmp_path / "there"))
    told: tuple[list[str], list[str]] = ([], [])
    here, elsewhere = (
        _run(pipeline, one, "train", count, heard).value
        for one, count, heard in ((home, 0, told[0]), (there, workers, told[1]))
    )
    assert isinstance(here, Candidate)
    assert isinstance(elsewhere, Candidate)
    assert elsewhere.digest == here.digest
    assert elsewhere.portfolio == here.portfolio
    assert sorted(told[1]) == sorted(told[0])
    assert len(told[0]) >= 16
    assert problems(there) == []
