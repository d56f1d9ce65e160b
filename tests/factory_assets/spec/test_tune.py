"""Which searches are valid, what they search, and the message of each mistake."""

from pathlib import Path
from typing import Any, get_args

import pytest

from factory_assets.cli.check.check import check_folder
from factory_assets.execution.cache_key import cache_key_components, relevant_spec
from factory_assets.results.base import digest
from factory_assets.spec import Choices, ModelSpec, OwnModule, Span, Train, Tune
from factory_assets.spec.base import STORED
from factory_assets.spec.models import Auto
from factory_assets.spec.tune import default_space, space_of, with_settings
from factory_resources.errors import DeclarationError
from tests.pipelines import APPLES, declare, problems, write_apples

SERIES = {"by": "size", "order": "colour"}


def train(tune: Any, model: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"target": "label", "model": model or {"kind": "gradient_boosting"}, "tune": tune}


@pytest.mark.parametrize(
    ("tune", "model", "at", "message"),
    [
        ({"trils": 3}, None, "trils", "did you mean 'trials'?"),
        ({"trials": 0}, None, "trials", "0 is not valid; must be greater than or equal to 1"),
        ({"minutes": 0}, None, "minutes", "0 is not valid"),
        ({"metric": "rmsse"}, None, "metric", "did you mean 'rmse'?"),
        ({"metric": "rmse_clipped"}, None, "metric", "needs evaluate.clip"),
        ({"search": {}}, None, "search", "must have at least 1 item"),
        ({"search": {"learning_rat": [1, 2]}}, None, "search.learning_rat", "'learning_rate'?"),
        ({"search": {"kind": {"values": [1, 2]}}}, None, "search.kind", "not a setting that can"),
        ({"search": {"learning_rate": 0.1}}, None, "search.learning_rate", "must be a list"),
        ({"search": {"learning_rate": [0.1]}}, None, "search.learning_rate", "too short"),
        (
            {"search": {"learning_rate": [2, 1]}},
            None,
            "search.learning_rate",
            "smaller to a larger",
        ),
        (
            {"search": {"learning_rate": [-1, 1]}},
            None,
            "search.learning_rate",
            "-1 is not valid; must",
        ),
        ({"search": {"iterations": [1.5, 9]}}, None, "search.iterations", "must be a whole number"),
        (
            {"search": {"regularisation": {"range": [0, 1], "log": True}}},
            None,
            "search.regularisation.log",
            "a range that begins above 0",
        ),
        (
            {"search": {"max_leaf_nodes": {"values": [31, 1]}}},
            None,
            "search.max_leaf_nodes",
            "1 is not valid; must be greater than or equal to 2",
        ),
        ({"search": {"hidden": [1, 2]}}, {"kind": "mlp"}, "search.hidden", "has no range; write"),
        (
            {"search": {"hidden": {"values": [32, [64]]}}},
            {"kind": "mlp"},
            "search.hidden",
            "32 is not valid; must be a list",
        ),
        (
            {"search": {"hidden": {"values": [8, 9]}}},
            {"kind": "transformer", **SERIES},
            "search.hidden",
            "9 is not valid; hidden 9 is not a multiple of heads 4",
        ),
        ({"search": {"width": [1, 2]}}, {"python": "a:B"}, "search.width", "args.NAME"),
    ],
)
def test_a_mistake_is_one_line_at_its_place(
    tune: Any, model: dict[str, Any] | None, at: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError):
        declare(tmp_path / "apples", {**APPLES, "train": train(tune, model)})
    lines = [str(problem) for problem in problems(tmp_path / "apples")]
    assert any(f"attributes.train.tune.{at}: " in line and message in line for line in lines), lines


def spec(tune: Any, model: dict[str, Any] | None = None) -> Train:
    return Train.model_validate(train(tune, model))


def space(tune: Any, model: dict[str, Any] | None = None) -> dict[str, Any]:
    train_spec = spec(tune, model)
    assert train_spec.tune
    return space_of(train_spec.model, train_spec.tune)


def test_each_form_of_search_becomes_a_space() -> None:
    search = {
        "learning_rate": [0.01, 1],
        "iterations": [10, 20],
        "regularisation": {"range": [1, 100], "log": True},
        "max_leaf_nodes": {"values": [15, 31]},
    }
    assert space({"search": search}) == {
        "learning_rate": Span(range=(0.01, 1), log=True),
        "iterations": Span(range=(10, 20)),
        "regularisation": Span(range=(1, 100), log=True),
        "max_leaf_nodes": Choices(values=(15, 31)),
    }


@pytest.mark.parametrize(
    "kind", [one for one in get_args(get_args(ModelSpec)[0]) if get_args(one)[0] is not Auto]
)
def test_every_kind_has_a_valid_default_space(kind: Any) -> None:
    model = get_args(kind)[0]
    required = {n: "x" for n, field in model.model_fields.items() if field.is_required()}
    keys = {**required, **({"kind": kind.__metadata__[0].tag} if "kind" in required else {})}
    if model is OwnModule:
        keys = {"python": "a:B"}
    declared = model.model_validate(keys)
    searched = default_space(declared)
    assert searched
    for name, values in searched.items():
        for value in values.range if isinstance(values, Span) else values.values:
            with_settings(declared, {name: value})


def test_a_stored_search_without_the_key_was_judged_by_the_validation_rows() -> None:
    declared = Tune.model_validate({"trials": 3})
    assert declared.folds == "auto"
    assert Tune.model_validate_json(declared.model_dump_json(), context=STORED) == declared
    older = Tune.model_validate_json('{"trials": 3}', context=STORED)
    assert older.folds == "never"
    assert "folds" not in older.model_dump_json()


def test_arguments_of_the_users_own_class_are_searched() -> None:
    own = {"python": "a:B", "args": {"width": 4, "deep": True}}
    assert space({"search": {"args.width": [2, 8]}}, own) == {"args.width": Span(range=(2, 8))}
    model = with_settings(spec({}, own).model, {"args.width": 6})
    assert isinstance(model, OwnModule)
    assert model.args == {"width": 6, "deep": True}


@pytest.mark.parametrize(
    ("tune", "most"),
    [({}, 30), ({"trials": 5}, 5), ({"minutes": 1}, None), ({"wh": 1, "trials": 9}, 9)],
)
def test_trials_are_limited_unless_a_budget_is_given(
    tune: dict[str, Any], most: int | None
) -> None:
    assert Tune.model_validate(tune).most == most


def _parts(folder: Path, **changed: Any) -> dict[str, Any]:
    pipeline = declare(folder / "apples", {**APPLES, **changed})
    return {
        "train": relevant_spec(pipeline, "train"),
        "key": digest(cache_key_components(pipeline, "train", {})),
    }


def test_cache_key_of_train_depends_on_what_a_search_reads(tmp_path: Path) -> None:
    model = {"kind": "linear"}
    plain = _parts(tmp_path, train=train(None, model))
    auc = {"metric": "roc_auc"}
    assert _parts(tmp_path, train=train(None, model), evaluate=auc) == plain
    tuned = _parts(tmp_path, train=train({}, model))
    assert tuned["key"] != plain["key"]
    assert _parts(tmp_path, train=train({}, model), evaluate=auc)["key"] != tuned["key"]
    assert _parts(tmp_path, train=train({}, model), evaluate={"bootstrap": 9}) == tuned
    own = _parts(tmp_path, train=train(auc, model))
    assert _parts(tmp_path, train=train(auc, model), evaluate={"metric": "f1"}) == own
    clipped = {"metric": "rmse_clipped"}
    first, second = (
        _parts(tmp_path, train=train(clipped, model), evaluate={"clip": clip}) for clip in (1, 2)
    )
    assert first["key"] != second["key"]


def test_metric_of_the_search_must_fit_the_declared_task(tmp_path: Path) -> None:
    binary = {**train({"metric": "rmse"}), "task": "binary"}
    with_label = {**APPLES, "ingest": {"source": {"files": "data.csv"}}, "train": binary}
    write_apples(tmp_path)
    declare(tmp_path / "apples", with_label)
    lines = [problem.what for problem in check_folder(tmp_path / "apples")]
    assert any(
        line.startswith("attributes.train.tune.metric: 'rmse' is not a metric of binary")
        for line in lines
    ), lines
