"""Declarations of portfolios: what members may be, and what does not go together with them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.execution.cache_key import cache_key_components
from factory_assets.spec import PipelineSpec
from factory_assets.spec.base import STORED
from factory_assets.spec.models import Auto, LightGbm, Mlp
from factory_assets.spec.train import Budget
from tests.factory_assets.ml.models.cases import pipeline


def _declared(
    train: dict[str, Any], evaluate: dict[str, Any] | None = None, kind: str = "auto"
) -> PipelineSpec:
    return PipelineSpec.model_validate(
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}},
            "train": {"target": "y", "model": {"kind": kind}, **train},
            "evaluate": evaluate or {},
        }
    )


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"tune": {}}, "tune: auto chooses among its members"),
        ({"trainer": {"accelerator": "cpu"}}, "`trainer` is for networks"),
        ({"model": {"kind": "auto", "members": []}}, "at least 1 item"),
        ({"model": {"kind": "auto", "members": [{"kind": "auto"}]}}, "does not match any of"),
        ({"model": {"kind": "auto", "members": [{"kind": "gru"}]}}, "does not match any of"),
        ({"budget": {"trials": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_a_portfolio_cannot_have_is_told(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _declared(declared)


@pytest.mark.parametrize("kind", ["linear", "mlp", "lightgbm"])
def test_only_a_portfolio_counts_trials(kind: str) -> None:
    with pytest.raises(ValidationError, match=r"budget\.trials: only auto tries several models"):
        _declared({"budget": {"trials": 2}}, kind=kind)
    assert _declared({"budget": {"trials": 2}}).training.budget == Budget(trials=2)


def test_a_stored_budget_is_as_before_without_trials() -> None:
    assert Budget(minutes=1.0).model_dump() == {"wh": None, "minutes": 1.0}
    assert Budget(trials=3).model_dump(exclude_none=True) == {"trials": 3}


def test_stored_members_mean_what_they_meant() -> None:
    member = Mlp(kind="mlp", schedule="one_cycle", activation="gelu")
    stored = Auto(kind="auto", members=(member,)).model_dump_json()
    assert "one_cycle" not in stored
    assert Auto.model_validate_json(stored, context=STORED).members == (member,)


def test_a_stored_portfolio_has_the_tolerance_and_the_loss_that_it_had() -> None:
    before = Auto.model_validate({"kind": "auto", "members": None}, context=STORED)
    assert before.tolerance == 0.5
    assert "tolerance" not in before.model_dump()
    assert before.loss == "squared_error"
    now = Auto(kind="auto")
    assert (now.tolerance, now.loss) == (0.25, None)
    assert Auto.model_validate(now.model_dump(), context=STORED) == now


@pytest.mark.parametrize(
    ("members", "uses"),
    [
        (None, True),
        ([{"kind": "linear"}], False),
        ([{"kind": "linear"}, LightGbm(kind="lightgbm").model_dump()], True),
    ],
)
def test_the_key_names_lightgbm_if_a_member_may_be_fitted_by_it(
    members: list[dict[str, Any]] | None, uses: bool, tmp_path: Path
) -> None:
    declared = pipeline(tmp_path, {"kind": "auto", "members": members})
    parts = cache_key_components(declared, "train", {})
    assert ("lightgbm" in parts["libraries"]) == uses
