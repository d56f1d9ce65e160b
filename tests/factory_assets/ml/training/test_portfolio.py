"""Portfolios: members judged on rows they had not learned from, kept, killed, limited, stored."""

import sys
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from factory_assets.ml.artifacts.trained_model import read_trained, save_trained
from factory_assets.ml.models.portfolio.blend import BlendModel
from factory_assets.ml.models.portfolio.defaults import members_of, resolve_members, slow_boosting
from factory_assets.ml.models.portfolio.member import ALL_FOLDS_ROWS
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_assets.ml.training.leaderboard import distinguishing_settings
from factory_assets.results.model import Candidate, PortfolioMember
from factory_assets.spec.evaluate import Evaluate
from factory_assets.spec.losses import NumberLoss
from factory_assets.spec.models import (
    Auto,
    Boosting,
    GradientBoosting,
    LightGbm,
    MemberSpec,
    RandomForest,
)
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import pipeline, rows
from tests.factory_assets.ml.training.portfolio_worker import MEMBERS, MODEL, work
from tests.killed_steps import killed_at

pytestmark = pytest.mark.slow


def _fitted(
    folder: Path,
    model: dict[str, Any] = MODEL,
    tables: tuple[pa.Table, pa.Table] | None = None,
    more: dict[str, Any] | None = None,
    **train: Any,
) -> FitResult:
    declared = pipeline(folder, model, **{"refit": "auto", **train})
    training, validation = tables or (rows(240, 1), rows(80, 2))
    return fit(declared, training, validation, Home(folder / "home"), **(more or {}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Candidate]:
    """A folder in which a portfolio was trained undisturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, work(folder)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return _fitted(tmp_path_factory.mktemp("fitted"))


def test_every_member_has_its_figure_and_its_weight(fitted: FitResult) -> None:
    found = fitted.portfolio
    assert found is not None
    assert [member.kind for member in found.members] == [one["kind"] for one in MEMBERS]
    assert sum(member.weight for member in found.members) == pytest.approx(1)
    assert (found.rows, found.folds, found.metric) == (320, 5, "average_precision")
    assert found.value == fitted.validation["average_precision"]
    assert found.value == pytest.approx(
        average_precision_score(fitted.scored.truth, fitted.scored.outputs[:, 1])
    )
    assert all(member.value and member.value > 0.6 and member.sd for member in found.members)
    assert found.text.startswith(f"{len(found.kept)} of 4 members kept: ")


def test_members_are_not_shown_by_what_only_test_rows_have(tmp_path: Path) -> None:
    members = [{"kind": "linear"}, {"kind": "gradient_boosting", "iterations": 5}]
    declared = pipeline(tmp_path, {"kind": "auto", "members": members})
    judged = Evaluate(metric="selection_rate_difference", protected=("colour",))
    spec = declared.spec.model_copy(update={"evaluate": judged})
    found = fit(
        replace(declared, spec=spec), rows(240, 1), rows(80, 2), Home(tmp_path / "home")
    ).portfolio
    assert found is not None
    assert found.metric == "average_precision"
    assert all(member.value for member in found.members)


@pytest.mark.filterwarnings("error:The y_prob values")
def test_a_member_of_more_classes_is_judged_as_it_is_alone(tmp_path: Path) -> None:
    boosting = {"kind": "gradient_boosting", "iterations": 20}
    tables = rows(240, 1, "multiclass"), rows(80, 2, "multiclass")
    model = {"kind": "auto", "members": [boosting]}
    together = _fitted(tmp_path, model, tables, refit="auto")
    alone = _fitted(tmp_path, boosting, tables, refit="auto")
    assert together.portfolio is not None
    [member] = together.portfolio.members
    assert member.value == pytest.approx(alone.validation["balanced_accuracy"])
    assert (together.scored.outputs == alone.scored.outputs).all()


def test_the_kept_model_learned_from_all_rows(fitted: FitResult) -> None:
    assert fitted.refit is not None
    assert fitted.refit.reason is None
    assert fitted.refit.folds == 5


@pytest.mark.parametrize("seed", [1, 2])
def test_labels_by_chance_are_predicted_by_chance(seed: int, tmp_path: Path) -> None:
    tables = tuple(_shuffled(rows(count, seed), seed) for count in (400, 100))
    result = _fitted(tmp_path, tables=(tables[0], tables[1]))
    held_out = roc_auc_score(result.scored.truth, result.scored.outputs[:, 1])
    assert held_out == pytest.approx(0.5, abs=0.1)
    fresh = _shuffled(rows(500, seed + 10), seed)
    new = roc_auc_score(fresh["y"].to_numpy(), result.trained.outputs(fresh)[:, 1])
    assert new == pytest.approx(0.5, abs=0.08)


def _shuffled(table: pa.Table, seed: int) -> pa.Table:
    labels = np.random.default_rng(seed).permutation(table["y"].to_numpy())
    return table.set_column(table.column_names.index("y"), "y", pa.array(labels))


def test_one_member_that_is_as_good_as_all_serves_alone(tmp_path: Path) -> None:
    useless = {"kind": "random_forest", "trees": 2, "max_depth": 1}
    model = {"kind": "auto", "members": [useless, {"kind": "gradient_boosting"}]}
    result = _fitted(tmp_path, model, (rows(600, 1), rows(200, 2)))
    assert result.portfolio is not None
    assert [member.weight for member in result.portfolio.members] == [0, 1]
    files = tmp_path / "files"
    files.mkdir()
    save_trained(result.trained, files)
    assert sorted(path.name for path in files.glob("member-*")) == ["member-1-estimator.skops"]


def test_the_declared_tolerance_decides_how_many_members_are_kept(tmp_path: Path) -> None:
    members = [{"kind": kind, "trees": 5} for kind in ("random_forest", "extra_trees")]
    kept = []
    for tolerance in (0, 10):
        folder = tmp_path / f"{tolerance}"
        folder.mkdir()
        model = {"kind": "auto", "members": members, "tolerance": tolerance}
        result = _fitted(folder, model, (rows(600, 1), rows(200, 2)))
        assert result.portfolio is not None
        kept.append(len(result.portfolio.kept))
    assert kept[0] > kept[1] == 1


def test_a_killed_portfolio_goes_on_and_is_the_same(
    whole: tuple[Path, Candidate], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = "tests.factory_assets.ml.training.portfolio_worker"
    told = killed_at(worker, tmp_path, "member 3/4 extra_trees, fold 2/5")
    assert "member 1/4 linear, fold 1/5" in told
    capsys.readouterr()
    candidate = work(tmp_path)
    assert capsys.readouterr().out.splitlines()[0] == "member 3/4 extra_trees, fold 2/5"
    assert candidate.digest == whole[1].digest
    assert candidate.portfolio == whole[1].portfolio


def test_mlflow_shows_each_member(whole: tuple[Path, Candidate]) -> None:
    folder, candidate = whole
    registry = Registry(Home(folder / "home"))
    [experiment] = registry.client.search_experiments(filter_string="name = 'p'")
    below = f"tags.mlflow.parentRunId = '{candidate.run_id}'"
    runs = registry.client.search_runs([experiment.experiment_id], below)
    by_name = {run.info.run_name: run for run in runs}
    assert candidate.portfolio is not None
    assert sorted(by_name) == [f"member {n} {one['kind']}" for n, one in enumerate(MEMBERS, 1)]
    for run, member in zip(
        map(by_name.get, sorted(by_name)), candidate.portfolio.members, strict=True
    ):
        assert run is not None
        assert run.data.metrics["weight"] == member.weight
        assert run.data.metrics["average_precision"] == member.value
        assert run.data.metrics["seconds"] > 0
    assert by_name["member 3 extra_trees"].data.params["trees"] == "15"


def test_trials_limit_how_many_members_are_tried(tmp_path: Path) -> None:
    result = _fitted(tmp_path, budget={"trials": 2})
    assert result.portfolio is not None
    assert [member.kind for member in result.portfolio.members] == ["linear", "gradient_boosting"]
    assert result.stopped is None


def test_a_spent_budget_ends_the_trying_and_is_repeated_as_it_was(tmp_path: Path) -> None:
    budget = {"minutes": 0.00001}
    first = _fitted(tmp_path / "1", budget=budget)
    assert first.portfolio is not None
    assert first.stopped is not None
    assert [member.kind for member in first.portfolio.members] == ["linear"]
    assert first.stopped.after[0] == 1
    again = _fitted(tmp_path / "2", budget={"minutes": 1000}, more={"before": first.stopped})
    assert again.portfolio == first.portfolio
    np.testing.assert_array_equal(*(one.trained.outputs(rows(50, 3)) for one in (first, again)))


def test_members_that_a_killed_training_has_judged_count_though_its_budget_is_spent(
    tmp_path: Path,
) -> None:
    checkpoints, budget = tmp_path / "checkpoints", {"minutes": 1000}
    _fitted(tmp_path, budget=budget, more={"checkpoints": checkpoints})
    for finished in checkpoints.glob("3-*"):
        rmtree(finished)
    (checkpoints / "spent.json").write_text('{"minutes": 600, "ends": {"0": 3}}')
    resumed = _fitted(tmp_path, budget=budget, more={"checkpoints": checkpoints})
    assert resumed.portfolio is not None
    tried = [member.kind for member in resumed.portfolio.members]
    assert tried == ["linear", "gradient_boosting", "extra_trees"]
    assert resumed.stopped is not None
    assert resumed.stopped.after == (3, None)


def test_a_missing_library_is_told_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    told: list[str] = []
    model = {"kind": "auto", "members": [*MEMBERS, {"kind": "lightgbm"}]}
    with pytest.raises(ModelError, match="kind lightgbm needs the package lightgbm"):
        _fitted(tmp_path, model, more={"progress": told.append})
    assert told == []
    monkeypatch.delitem(sys.modules, "lightgbm")
    (tmp_path / "lightgbm.py").write_text("raise OSError('libgomp.so.1: cannot open it')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError) as refused:
        _fitted(tmp_path, model, more={"progress": told.append})
    assert "libgomp.so.1: cannot open it; apt install libgomp1, or" in str(refused.value)


def test_the_default_members_are_those_whose_libraries_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auto = Auto(kind="auto")
    assert "lightgbm" in [member.kind for member in members_of(auto)]
    monkeypatch.setattr("factory_assets.ml.models.portfolio.defaults.find_spec", lambda _: None)
    kinds = [member.kind for member in members_of(auto)]
    assert "lightgbm" not in kinds
    assert len(kinds) > 4


@pytest.mark.parametrize(
    ("target", "extra_trees", "random_forest"),
    [
        (np.zeros(10_000), 4, 4),
        (np.arange(10_000) % 2, 4, 4),
        (np.arange(10_000) % 50 // 49, 4, 1),
        (np.arange(2_000) % 2, 1, 1),
    ],
)
def test_a_leaf_of_a_forest_has_few_rows_where_its_trees_stay_small(
    target: NDArray[Any], extra_trees: int, random_forest: int
) -> None:
    model: Any = resolve_members(Auto(kind="auto"), np.split(target, [len(target) // 3]), 9)
    leaves = {m.kind: m.min_samples_leaf for m in model.members if hasattr(m, "trees")}
    assert leaves == {"extra_trees": extra_trees, "random_forest": random_forest}


@pytest.mark.parametrize(
    ("target", "extra_trees", "random_forest"),
    [
        (np.arange(9_000) % 3, 200, 200),
        (np.arange(9_000) % 20, 200, 200),
        (np.arange(9_000) % 50, 80, 80),
        (np.arange(9_000) // 8_700 * (np.arange(9_000) % 50), 80, 200),
        (np.arange(90) % 45, 200, 200),
        (np.arange(9_000) % 500, 32, 32),
        (np.zeros(9_000), 200, 200),
    ],
)
def test_a_forest_for_many_classes_has_fewer_trees(
    target: NDArray[Any], extra_trees: int, random_forest: int
) -> None:
    model: Any = resolve_members(Auto(kind="auto"), [target], 9)
    trees = {m.kind: m.trees for m in model.members if hasattr(m, "trees")}
    assert trees == {"extra_trees": extra_trees, "random_forest": random_forest}


def test_the_network_of_many_rows_is_the_quick_one() -> None:
    few, many = (
        resolve_members(Auto(kind="auto"), [np.zeros(rows)], 9) for rows in (10_000, 10_001)
    )
    assert isinstance(few, Auto)
    assert isinstance(many, Auto)
    assert [one.members[-1].kind for one in (few, many) if one.members] == ["tabm", "mlp"]


@pytest.mark.parametrize(
    ("target", "columns", "share"),
    [(np.arange(90) % 3, 30, 0.6), (np.arange(90) % 3, 31, None), (np.zeros(90), 9, None)],
)
def test_a_forest_over_few_columns_looks_at_most_of_them_to_tell_classes_apart(
    target: NDArray[Any], columns: int, share: float | None
) -> None:
    model: Any = resolve_members(Auto(kind="auto"), [target], columns)
    assert [m.max_features for m in model.members if m.kind == "random_forest"] == [share]
    assert {m.criterion for m in model.members if hasattr(m, "criterion")} == {"gini"}


def test_boosting_is_tried_with_interactions_where_rows_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(rows: int, classes: int = 0) -> list[tuple[str, int]]:
        target = np.arange(rows) % classes if classes else np.zeros(rows)
        model: Any = resolve_members(Auto(kind="auto"), [target], 9)
        return [(m.kind, m.interactions) for m in model.members if hasattr(m, "interactions")]

    plain = [("gradient_boosting", 0), ("lightgbm", 0), ("lightgbm", 0)]
    assert found(999) == plain
    assert found(1_000) == [*plain, ("lightgbm", 8)]
    assert found(1_000, classes=10) == [*plain[:2], ("lightgbm", 8)]
    assert found(1_000, classes=11) == plain[:2]
    monkeypatch.setattr("factory_assets.ml.models.portfolio.defaults.find_spec", lambda _: None)
    assert found(1_000) == [("gradient_boosting", 0), ("gradient_boosting", 8)]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_small_trees_boost_numbers_and_two_classes(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = np.arange(90) % classes if classes else np.zeros(90)

    def members() -> list[MemberSpec]:
        model: Any = resolve_members(Auto(kind="auto"), [target], 9)
        return [*model.members]

    assert (slow_boosting() in members()) == (classes <= 2)
    monkeypatch.setattr("factory_assets.ml.models.portfolio.defaults.find_spec", lambda _: None)
    assert slow_boosting() not in members()


def test_boosting_may_take_more_trees_than_by_default() -> None:
    model: Any = resolve_members(Auto(kind="auto"), [np.zeros(1_000)], 9)
    boosting = [member for member in model.members if isinstance(member, Boosting)]
    assert len(boosting) == 4
    assert min(member.iterations for member in boosting) == 1_000


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_boosting_lowers_what_the_blend_does(loss: NumberLoss) -> None:
    model: Any = resolve_members(Auto(kind="auto"), [np.zeros(1_000)], 9, loss=loss)
    assert model.loss == loss
    assert {one.loss for one in model.members if isinstance(one, Boosting)} == {loss}
    declared = Auto(kind="auto", loss="squared_error")
    kept: Any = resolve_members(declared, [np.zeros(9)], 9, loss=loss)
    assert kept.loss == "squared_error"


def _skewed(count: int, seed: int) -> pa.Table:
    """Return amounts of which the largest are a hundred times the usual ones, by chance."""
    chance = np.random.default_rng(seed)
    size = chance.normal(size=count)
    return pa.table({"size": size, "y": np.exp(size + 1.5 * chance.normal(size=count))})


def test_amounts_of_which_few_are_large_are_predicted_better_than_by_their_median(
    tmp_path: Path,
) -> None:
    training, validation, new = (_skewed(count, seed) for seed, count in enumerate((300, 100, 900)))
    truth = new["y"].to_numpy()
    declared = pipeline(tmp_path, {"kind": "auto"}, refit="auto", budget={"trials": 4})
    distances = {}
    for metric in ("mae", "rmse"):
        spec = declared.spec.model_copy(update={"evaluate": Evaluate(metric=metric)})
        model = fit(replace(declared, spec=spec), training, validation, Home(tmp_path / "home"))
        distances[metric] = np.abs(model.trained.outputs(new) - truth).mean()
    constant = np.abs(np.median(training["y"].to_numpy()) - truth).mean()
    assert distances["mae"] < 0.95 * constant
    assert distances["mae"] < 0.95 * distances["rmse"]


def test_the_fewest_settings_tell_members_apart() -> None:
    shallow = LightGbm(kind="lightgbm", max_leaf_nodes=4, iterations=500)
    members: list[MemberSpec] = [
        LightGbm(kind="lightgbm"),
        shallow,
        shallow.model_copy(update={"patience": 9}),
        LightGbm(kind="lightgbm", iterations=500),
    ]
    assert [distinguishing_settings(one, members) for one in members] == [
        "",
        "iterations 500, max_leaf_nodes 4",
        "patience 9",
        "iterations 500",
    ]


def test_members_of_one_kind_are_told_apart_by_their_settings() -> None:
    members = [
        GradientBoosting(kind="gradient_boosting", learning_rate=0.05),
        GradientBoosting(kind="gradient_boosting", learning_rate=0.05, max_leaf_nodes=8),
        RandomForest(kind="random_forest", trees=10),
    ]
    told = [distinguishing_settings(one, members) for one in members]
    assert told == ["", "max_leaf_nodes 8", ""]
    member = PortfolioMember(kind="gradient_boosting", settings=told[1], value=1, sd=None, weight=1)
    assert member.name == "gradient_boosting (max_leaf_nodes 8)"


def test_members_learn_from_training_rows_alone_where_that_is_declared(tmp_path: Path) -> None:
    result = _fitted(tmp_path, refit="never")
    assert result.portfolio is not None
    assert (result.portfolio.rows, result.portfolio.folds) == (80, 1)
    assert all(member.sd is None for member in result.portfolio.members)
    assert result.refit is None


def test_of_many_rows_one_fold_judges(tmp_path: Path) -> None:
    many = ALL_FOLDS_ROWS + 1000
    model = {"kind": "auto", "members": [MEMBERS[0], MEMBERS[1]]}
    result = _fitted(tmp_path, model, (rows(many - 2000, 1), rows(2000, 2)))
    assert result.portfolio is not None
    assert (result.portfolio.rows, result.portfolio.folds) == (many // 5, 1)


@pytest.mark.parametrize(
    "weights", ["[0.5,0.5]", "[0,0,0,0]", "[1,0,0]", '["1","0","0","x"]', "{}"]
)
def test_weights_of_another_portfolio_are_refused(
    weights: str, fitted: FitResult, tmp_path: Path
) -> None:
    save_trained(fitted.trained, tmp_path)
    (tmp_path / "blend.json").write_text(f'{{"weights":{weights}}}')
    with pytest.raises(ModelError, match=r"blend\.json"):
        read_trained(tmp_path, tmp_path)


def test_a_member_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    model = {"kind": "auto", "members": [MEMBERS[2]]}
    trained = _fitted(tmp_path, model).trained
    save_trained(trained, tmp_path / "files")
    other = {"kind": "auto", "members": [{"kind": "random_forest", "trees": 15}]}
    save_trained(_fitted(tmp_path, other).trained, _emptied(tmp_path / "other"))
    foreign = tmp_path / "other" / "member-0-estimator.skops"
    foreign.replace(tmp_path / "files" / foreign.name)
    with pytest.raises(ModelError, match="RandomForestClassifier, not a ExtraTreesClassifier"):
        read_trained(tmp_path / "files", tmp_path)


def _emptied(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_blend_has_the_parameters_of_its_kept_members(fitted: FitResult) -> None:
    model = fitted.trained.model
    assert isinstance(model, BlendModel)
    assert fitted.portfolio is not None
    assert model.parameters == sum(member.parameters for member in model.kept.values())
    assert len(model.kept) == len(fitted.portfolio.kept)
