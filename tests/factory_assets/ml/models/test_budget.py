"""The budget of a training: stops it, keeps the best model, is reported and can be reproduced."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from factory_assets.audit.reproduce import find_recorded_training, reproduce
from factory_assets.components.metadata.checks import check_specs
from factory_assets.components.metadata.stages import describe
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.execution.unchanged import warnings_of
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.budget import MeteredAccount, ReplayedAccount, Share
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.results.training import Stopped
from factory_assets.spec import PipelineSpec
from factory_assets.spec.train import Budget
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.metering.meter import Cost, Meter, Rates
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, pipeline, rows, series
from tests.pipelines import APPLES, declare, write_apples

AT_ONCE = {"minutes": 1e-9}

MLP: dict[str, Any] = {"kind": "mlp", "epochs": 12, "hidden": [8], "batch_size": 8}

BLOCKS = 3
"""Calls of `training_step` in an epoch: 600 rows in batches of 8, 32 batches a call."""


@dataclass
class Counting(Meter):
    """A meter that reports one Wh and one minute more each time it is read."""

    _reads: Iterator[int]

    def read(self) -> Cost:
        used = next(self._reads)
        return Cost(60.0 * used, 0.0, 0.0, float(used), 0.0, "")


def _metered(monkeypatch: pytest.MonkeyPatch, **limits: float) -> MeteredAccount:
    monkeypatch.setattr("factory_assets.ml.models.budget.READ_INTERVAL", 0.0)
    return MeteredAccount(Budget(**limits), Counting(count(1)))


def test_networks_share_a_budget_evenly_and_pass_on_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = _metered(monkeypatch, wh=6)
    first, second, third = (Share(account).part(number, 3) for number in range(3))
    assert [first.over(step) for step in (1, 2)] == [False, True]
    # The second network finishes before its share is spent.
    assert not second.over(1)
    assert [third.over(step) for step in (1, 2, 3)] == [False, False, True]
    stopped = account.stopped()
    assert stopped
    assert (stopped.budget, stopped.after) == ("6 Wh", (2, None, 3))
    assert "stopped by its budget of 6 Wh, after 7 Wh and 7 minutes" in stopped.text


def test_a_resumed_training_knows_all_networks_that_were_stopped_before(tmp_path: Path) -> None:
    file = tmp_path / "spent.json"
    with Meter(Rates()) as meter:
        killed = MeteredAccount(Budget(wh=1e-9, minutes=1e-9), meter, file)
        assert [killed.over(network, 2, steps) for network, steps in ((0, 5), (1, 7))] == [True] * 2
        resumed = MeteredAccount(Budget(wh=1e-9, minutes=1e-9), meter, file).stopped()
    assert resumed
    assert resumed.after == (5, 7)


def test_the_first_limit_reached_stops_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    account = _metered(monkeypatch, wh=100, minutes=2)
    assert [Share(account).over(step) for step in (1, 2)] == [False, True]
    stopped = account.stopped()
    assert stopped
    assert stopped.budget == "100 Wh or 2 minutes"


def test_a_budget_that_is_not_spent_stops_nothing() -> None:
    with Meter(Rates()) as meter:
        account = MeteredAccount(Budget(wh=1e6, minutes=1e6), meter)
        assert not any(Share(account).over(step) for step in range(5))
        assert account.stopped() is None


def _fit(
    tmp_path: Path, home: Home, model: dict[str, Any], before: Stopped | None = None, **train: Any
) -> tuple[FitResult, str, list[str]]:
    """Fit; return the result, the digest of the stored model and the progress messages."""
    (tmp_path / "files").mkdir(exist_ok=True)
    table = (lambda number, seed: series(number // 10, seed)) if "by" in model else rows
    messages: list[str] = []
    declared = pipeline(tmp_path, model, **train)
    fitted = fit(
        declared, table(600, 1), table(200, 2), home, before=before, progress=messages.append
    )
    for old in (tmp_path / "files").iterdir():
        old.unlink()
    return fitted, save_trained(fitted.trained, tmp_path / "files"), messages


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [MLP, KINDS["tabm"], SEQUENCES["gru"], KINDS["lightgbm"]],
    ids=["mlp", "tabm", "gru", "lightgbm"],
)
def test_a_tiny_budget_stops_after_one_step_and_returns_a_model(
    tmp_path: Path, home: Home, model: dict[str, Any]
) -> None:
    fitted, digest, messages = _fit(tmp_path, home, model, budget=AT_ONCE)
    assert fitted.stopped
    assert fitted.stopped.after == (1,)
    assert len(fitted.history) == 1
    assert (
        messages.count("the budget is spent: keeping the best rounds so far")
        + messages.count("the budget is spent: keeping the best epoch so far")
        == 1
    )
    assert fitted.validation["log_loss"] > 0
    again, same, _ = _fit(tmp_path, home, model, before=fitted.stopped, budget=AT_ONCE)
    assert same == digest
    assert again.stopped == fitted.stopped


@pytest.mark.slow
def test_a_budget_that_is_not_spent_does_not_change_the_model(tmp_path: Path, home: Home) -> None:
    free, plain, _ = _fit(tmp_path, home, MLP)
    fitted, digest, _ = _fit(tmp_path, home, MLP, budget={"wh": 1e6})
    assert (fitted.stopped, digest) == (None, plain)
    assert fitted.history == free.history


@pytest.mark.slow
def test_stopping_within_an_epoch_keeps_the_best_epoch_so_far(tmp_path: Path, home: Home) -> None:
    free, _, _ = _fit(tmp_path, home, MLP)
    before = Stopped(budget="1 Wh", wh=1.0, minutes=1.0, after=(2 * BLOCKS + 1,))
    fitted, digest, messages = _fit(tmp_path, home, MLP, before=before)
    assert len(fitted.history) == 3
    assert fitted.history[:2] == free.history[:2]
    assert fitted.history[2] != free.history[2]
    losses = [epoch.validation_loss for epoch in fitted.history]
    assert fitted.best_epoch == losses.index(min(losses))
    assert sum(line.startswith("epoch ") for line in messages) == 3
    assert _fit(tmp_path, home, MLP, before=before)[1] == digest


@pytest.mark.slow
def test_each_network_of_an_ensemble_gets_a_share_of_the_budget(tmp_path: Path, home: Home) -> None:
    model = {**MLP, "ensemble": 2, "epochs": 2}
    fitted, _, messages = _fit(tmp_path, home, model, budget=AT_ONCE)
    assert fitted.stopped
    assert fitted.stopped.after == (1, 1)
    assert "network 2/2, the budget is spent: keeping the best epoch so far" in messages
    before = fitted.stopped.model_copy(update={"after": (None, BLOCKS)})
    again, _, _ = _fit(tmp_path, home, model, before=before)
    assert len(again.history) == 2 + 1


def test_replayed_account_stops_at_the_recorded_steps() -> None:
    account = ReplayedAccount(Stopped(budget="1 Wh", wh=1.0, minutes=1.0, after=(None, 3)))
    assert not account.over(0, 2, 99)
    assert [account.over(1, 2, steps) for steps in (2, 3)] == [False, True]


@pytest.mark.parametrize("kind", ["linear", "random_forest", "gradient_boosting"])
def test_a_kind_that_cannot_be_stopped_takes_no_budget(tmp_path: Path, kind: str) -> None:
    with pytest.raises(
        ValidationError, match=f"budget: {kind} is fitted in one step and cannot be"
    ):
        pipeline(tmp_path, {"kind": kind}, budget=AT_ONCE)


def test_a_search_refuses_the_budget_of_a_single_training(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="budget: cannot be combined with tune"):
        pipeline(tmp_path, KINDS["mlp"], budget=AT_ONCE, tune={"trials": 2})


@pytest.mark.parametrize("budget", [{}, {"wh": 0}, {"wh": -1}, {"minutes": 0}, {"hours": 1}])
def test_invalid_budgets_are_refused(tmp_path: Path, budget: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        pipeline(tmp_path, MLP, budget=budget)


@pytest.mark.slow
def test_a_users_estimator_takes_no_budget(tmp_path: Path, home: Home) -> None:
    own = {"python": "sklearn.linear_model:LogisticRegression"}
    with pytest.raises(
        ModelError, match=r"^train\.budget: models of scikit-learn are fitted in one step"
    ):
        _fit(tmp_path, home, own, budget=AT_ONCE)


@pytest.mark.parametrize("trainer", [{"devices": 2}, {"devices": "auto"}, {"devices": [0, 1]}])
def test_several_devices_take_no_budget(tmp_path: Path, trainer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="budget: it can stop training on one device"):
        pipeline(tmp_path, MLP, budget=AT_ONCE, trainer=trainer)


@pytest.mark.slow
def test_a_stopped_training_is_reported_everywhere_and_reproduced(
    tmp_path: Path, home: Home
) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples", rows=120)
    train = {"model": MLP, "budget": AT_ONCE, "uncertainty": {"coverage": 0.999}}
    attributes = {**APPLES, "train": {"target": "label", **train}}
    declared = declare(tmp_path / "apples", attributes)
    assert PipelineSpec.model_validate_json(declared.spec.model_dump_json(by_alias=True))
    prepare(home)
    stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
    for stage in stages:
        call = StageRequest(declared, stage, home, "r")
        outcome = run_stage(call)
    candidate = outcome.value
    assert isinstance(candidate, Candidate)
    assert candidate.stopped
    text = candidate.stopped.text
    assert Registry(home).version_tags("apples", 1)["factory.stopped"] == text
    metadata, checks = describe(call, outcome)
    [check] = [one for one in checks if one.check_name == "budget"]
    assert metadata["budget"] == text
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    # So few rows cannot keep the declared coverage either.
    [check] = [one for one in checks if one.check_name == "uncertainty"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "held-out rows are too few" in str(check.description)
    assert [*warnings_of(call, outcome)][:2] == [text, check.description]
    assert {s.name: s.blocking for s in check_specs(declared, "train")}["budget"] is False
    reproduction = reproduce(
        find_recorded_training("apples@1", home, {"apples": declared.folder}), home, lambda _: None
    )
    assert reproduction.identical


def test_consumption_before_a_kill_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "checkpoints" / "spent.json"
    monkeypatch.setattr("factory_assets.ml.models.budget.READ_INTERVAL", 0.0)
    monkeypatch.setattr("factory_assets.ml.models.budget.STORE_INTERVAL", 0.0)
    budget = Budget(wh=8)
    before = Share(MeteredAccount(budget, Counting(count(1)), file)).part(0, 2)
    # Stopped at its half of the budget, then killed: a new process starts a new meter.
    assert [before.over(step) for step in (1, 2, 3, 4)] == [False, False, False, True]
    account = MeteredAccount(budget, Counting(count(1)), file)
    after = Share(account).part(1, 2)
    assert [after.over(step) for step in (1, 2, 3, 4)] == [False, False, False, True]
    stopped = account.stopped()
    assert stopped
    assert stopped.after == (4, 4)
    file.write_text("")
    assert not Share(MeteredAccount(budget, Counting(count(1)), file)).over(1)
