"""Models in a declaration: splits and settings that series refuse, keys that a stored mlp lacks."""

from math import inf, nan
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from factory_assets.spec import Gru, Mlp, PipelineSpec
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import (
    STORED,
    Auto,
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    OwnModule,
    RandomForest,
)


def spec(split: dict[str, Any], **model: Any) -> PipelineSpec:
    return PipelineSpec.model_validate(
        {
            "purpose": "Predict wear",
            "ingest": {
                "source": {"files": "a.csv"},
                "contract": [{"name": n} for n in ("engine", "cycle", "heat", "wear")],
            },
            "split": split,
            "train": {
                "target": "wear",
                "model": {"kind": "gru", "by": "engine", "order": "cycle", **model},
            },
        }
    )


@pytest.mark.parametrize(
    "split",
    [
        {"group": "engine"},
        {"time": "cycle"},
        {"given": {"column": "heat", "test": "x", "validation": "y"}},
        {"given": {"column": "heat", "test": "x"}, "group": "engine"},
    ],
)
def test_split_that_keeps_series_whole_is_accepted(split: dict[str, Any]) -> None:
    assert isinstance(spec(split).training.model, Gru)


@pytest.mark.parametrize(
    "split", [{}, {"stratify": "heat"}, {"given": {"column": "heat", "test": "x"}}]
)
def test_rows_drawn_one_by_one_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"add split\.group: engine, or split\.time: cycle"):
        spec(split)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"by": "engin"}, "train.model.by: no column 'engin'; did you mean 'engine'"),
        ({"order": "cycles"}, "train.model.order: no column 'cycles'"),
        ({"window": 1}, "greater than or equal to 2"),
        ({"kind": "transformer", "hidden": 10}, "hidden 10 is not a multiple of heads 4"),
        ({"heads": 2}, "Extra inputs"),
    ],
)
def test_wrong_model_settings_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec({"group": "engine"}, **model)


def test_a_stored_mlp_without_the_later_keys_is_what_it_was() -> None:
    declared = Mlp.model_validate({"kind": "mlp"})
    assert (declared.schedule, declared.activation) == ("trapezoidal", "relu")
    stored = Mlp.model_validate_json('{"kind": "mlp"}', context=STORED)
    assert (stored.schedule, stored.activation) == ("one_cycle", "gelu")


def test_a_stored_lightgbm_without_bins_has_those_of_before() -> None:
    written = LightGbm.model_validate({"kind": "lightgbm"}).model_dump_json()
    for stored, bins in (('{"kind": "lightgbm"}', 255), (written, 1023)):
        read = LightGbm.model_validate_json(stored, context=STORED)
        assert read.max_bins == bins
        assert LightGbm.model_validate_json(read.model_dump_json(), context=STORED) == read


def test_a_stored_linear_model_without_limits_keeps_its_bytes() -> None:
    stored = '{"kind":"linear","regularisation":1.0}'
    before = Linear.model_validate_json(stored, context=STORED)
    assert before.extrapolation is None
    assert before.model_dump_json() == stored
    now = Linear.model_validate({"kind": "linear"})
    assert now.extrapolation == 1
    assert Linear.model_validate_json(now.model_dump_json(), context=STORED) == now


@pytest.mark.parametrize("extrapolation", [-0.1, inf, nan, "none"])
def test_limits_within_the_training_rows_are_refused(extrapolation: Any) -> None:
    with pytest.raises(ValidationError):
        Linear.model_validate({"kind": "linear", "extrapolation": extrapolation})


@pytest.mark.parametrize("interactions", [-1, 1, 21, 2.5, "all"])
def test_interactions_of_no_pair_or_too_many_are_refused(interactions: Any) -> None:
    with pytest.raises(ValidationError):
        LightGbm.model_validate({"kind": "lightgbm", "interactions": interactions})


def test_a_portfolio_with_equal_members_is_refused_unless_it_is_stored() -> None:
    linear, boosting = {"kind": "linear"}, {"kind": "gradient_boosting"}
    declared = {"kind": "auto", "members": [linear, boosting, {**linear, "regularisation": 1.0}]}
    with pytest.raises(ValidationError, match=r"members\.0 and members\.2 are the same"):
        Auto.model_validate(declared)
    assert Auto.model_validate(declared, context=STORED).members
    declared["members"] = [boosting, {**boosting, "learning_rate": 0.05}]
    assert Auto.model_validate(declared).members


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (GradientBoosting, "interactions", 4),
        (LightGbm, "interactions", 4),
        (RandomForest, "max_features", 0.6),
        (ExtraTrees, "max_features", 0.6),
    ],
)
def test_stored_trees_keep_their_bytes_without_a_later_key(
    kind: Any, key: str, value: float
) -> None:
    [name] = get_args(kind.model_fields["kind"].annotation)
    declared = kind.model_validate({"kind": name})
    assert key not in declared.model_dump_json()
    more = kind.model_validate({"kind": name, key: value})
    for one in (declared, more):
        assert kind.model_validate_json(one.model_dump_json(), context=STORED) == one


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_a_stored_forest_without_a_criterion_has_gini(kind: str, criterion: str) -> None:
    forest: Any = {"random_forest": RandomForest, "extra_trees": ExtraTrees}[kind]
    declared = forest.model_validate({"kind": kind, "criterion": criterion})
    written = declared.model_dump_json()
    assert ("criterion" in written) == (criterion == "entropy")
    assert forest.model_validate_json(written, context=STORED) == declared
    assert forest.model_validate({"kind": kind}).criterion == "entropy"


@pytest.mark.parametrize("schedule", ["one_cycle", "trapezoidal"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_mlp_is_stored_and_read_again(schedule: str, activation: str) -> None:
    keys = {"schedule": schedule, "activation": activation}
    declared = Mlp.model_validate({"kind": "mlp", "dropout": 0.3, **keys})
    written = declared.model_dump_json()
    assert ("gelu" in written, "one_cycle" in written) == (False, False)
    assert Mlp.model_validate_json(written, context=STORED) == declared


@pytest.mark.parametrize("args", [{"limit": inf}, {"limits": [1.0, {"low": nan}]}])
def test_arguments_that_a_stored_model_would_lose_are_refused(args: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"'limits?' is not a finite number"):
        OwnModule.model_validate({"python": "net:Net", "args": args})
