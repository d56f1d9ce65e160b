"""A whole declaration: its columns, what it refuses, and what its package imports."""

import json
import re
import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.declarations.yaml_document import parse
from factory_assets.spec import AnswersSource, Gate, ImageSource, PipelineSpec, SplitRule
from factory_assets.spec.base import STORED
from factory_assets.spec.clean import Clean
from factory_assets.spec.schedule import Schedule
from factory_assets.spec.train import Train


def _spec(**changed: Any) -> PipelineSpec:
    attributes: dict[str, Any] = {
        "purpose": "Predict wear",
        "ingest": {
            "source": {"files": {"a": "a.csv", "b": "b.csv"}, "label": "site"},
            "contract": [{"name": n} for n in ("engine", "cycle", "heat", "wear")],
        },
        "clean": {
            "derive": {"double": "heat * 2"},
            "windows": {
                "by": "engine",
                "order": "cycle",
                "size": 5,
                "columns": ["heat", "double"],
                "statistics": ["mean", "max"],
            },
        },
        "train": {"target": "wear", "model": {"kind": "linear"}},
    }
    return PipelineSpec.model_validate({**attributes, **changed})


def test_columns_are_those_of_the_clean_table_in_order() -> None:
    assert _spec().columns() == (
        *("engine", "cycle", "heat", "wear", "site", "double"),
        *("heat_mean", "heat_max", "double_mean", "double_max"),
    )


@pytest.mark.parametrize("name", ["site", "double", "heat_max"])
def test_added_columns_may_be_named(name: str) -> None:
    train = {"target": "wear", "exclude": name, "model": {"kind": "linear"}}
    assert _spec(train=train).train.exclude == (name,)


@pytest.mark.parametrize(
    "changed",
    [
        {"evaluate": {"slices": "heat_min"}},
        {"evaluate": {"last": {"by": "engin", "order": "cycle"}}},
        {"split": {"group": "motor"}},
        {"split": {"given": {"column": "part", "test": "x"}}},
        {"clean": {"windows": {"by": "x", "order": "cycle", "size": 2, "columns": "heat"}}},
    ],
)
def test_unknown_columns_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="no column"):
        _spec(**changed)


def test_without_a_contract_no_column_is_known() -> None:
    spec = _spec(
        ingest={"source": {"files": "a.csv"}},
        train={"target": "anything", "model": {"kind": "linear"}},
        clean={},
    )
    assert spec.columns() == ()


def test_images_of_a_storage_are_refused() -> None:
    with pytest.raises(ValidationError, match="not from s3:// storage; copy them here"):
        ImageSource.model_validate({"images": ["a/*.png", "s3://bucket/*.png"]})


@pytest.mark.parametrize(
    ("comparison", "name"),
    [
        ({"at_least": 0.5}, "rmse_at_least"),
        ({"at_most": 0}, "rmse_at_most"),
        ({"no_worse_than": "champion"}, "rmse_no_worse_than_champion"),
        ({"better_than": "linear", "margin": 0.1}, "rmse_better_than_linear"),
    ],
)
def test_gate_name_says_metric_and_comparison(comparison: dict[str, Any], name: str) -> None:
    assert Gate.model_validate({"metric": "rmse", **comparison}).name == name


@pytest.mark.parametrize("comparison", [{}, {"at_least": 1, "better_than": "trivial"}])
def test_gate_has_exactly_one_comparison(comparison: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        Gate.model_validate({"metric": "rmse", **comparison})


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ({"metric": "rmse", "at_most": 1, "margin": 0.1}, "`margin` goes with `no_worse_than`"),
        ({"metric": "r2", "at_least": 0.5, "margin": 0.1}, "`margin` goes with `no_worse_than`"),
        ({"metric": "coverage", "better_than": "trivial"}, "a trivial guess has no coverage"),
        ({"metric": "roc_auc", "at_least": 60}, "roc_auc lies between 0 and 1; compare it with"),
        ({"metric": "coverage", "at_most": -0.1}, "coverage lies between 0 and 1"),
    ],
)
def test_a_gate_that_cannot_mean_what_it_says_is_refused(gate: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        Gate.model_validate(gate)
    Gate.model_validate(gate, context=STORED)


@pytest.mark.parametrize(
    ("section", "declared"),
    [
        ("evaluate", {"clip": 10**400}),
        ("evaluate", {"gates": {"metric": "roc_auc", "at_least": 10**400}}),
        ("train", {"model": {"kind": "random_forest", "max_depth": 10**30}}),
        ("train", {"model": {"kind": "gradient_boosting", "min_samples_leaf": 10**30}}),
        ("train", {"tune": {"search": {"regularisation": [1, 10**400]}}}),
    ],
)
def test_whole_numbers_that_no_library_takes_are_refused(
    section: str, declared: dict[str, Any]
) -> None:
    train = {"target": "wear", "model": {"kind": "linear"}}
    with pytest.raises(ValidationError, match=r"at most 308 digits|less than or equal to 2147483"):
        _spec(**{"train": train, section: {**(train if section == "train" else {}), **declared}})


@pytest.mark.parametrize("storage", [{}, {"storage": {}}])
def test_objects_do_not_arrive(storage: dict[str, Any]) -> None:
    objects = {"source": {"files": "s3://wear/*.csv", **storage}}
    declared = {"purpose": "Collect wear", "ingest": objects, "arrivals": {}}
    with pytest.raises(ValidationError, match="arrivals sees files on disk only"):
        PipelineSpec.model_validate(declared)
    PipelineSpec.model_validate(declared, context=STORED)


def test_a_schedule_that_is_refused_by_now_is_still_read_where_it_is_stored() -> None:
    schedule = {"cron": "0 2 31 6 mon"}
    with pytest.raises(ValidationError, match="never fires"):
        _spec(schedule=schedule)
    assert Schedule.model_validate(schedule, context=STORED).cron == schedule["cron"]


@pytest.mark.parametrize(
    ("clean", "message"),
    [
        ({"unify": ["x", "y", "x"]}, "unify names 'x' twice; keep one"),
        ({"windows": {"size": [3, "all", 3]}}, "size names '3' twice"),
        ({"windows": {"columns": ["x", "x"]}}, "columns names 'x' twice"),
        ({"windows": {"statistics": ["mean", "mean"]}}, "statistics names 'mean' twice"),
    ],
)
def test_what_is_named_twice_is_refused_unless_it_was_stored(
    clean: dict[str, Any], message: str
) -> None:
    if "windows" in clean:
        whole = {"by": "x", "order": "y", "size": 2, "columns": ["x"], **clean["windows"]}
        clean = {"windows": whole}
    with pytest.raises(ValidationError, match=message):
        Clean.model_validate(clean)
    Clean.model_validate(clean, context=STORED)


@pytest.mark.parametrize("section", ["split", "train"])
@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_libraries_do_not_take_is_refused(section: str, seed: int) -> None:
    train = {"target": "wear", "model": {"kind": "linear"}}
    declared = {"train": train, "split": {}}
    declared[section] = {**declared[section], "seed": seed}
    with pytest.raises(ValidationError, match="a seed is a whole number from 0 to 2147483647"):
        _spec(**declared)
    declared[section] = {**declared[section], "seed": 2**31 - 1}
    _spec(**declared)
    SplitRule.model_validate({"seed": seed}, context=STORED)
    Train.model_validate({**train, "seed": seed}, context=STORED)


@pytest.mark.parametrize(
    ("evaluate", "tune"),
    [
        ({"metric": "equal_opportunity_difference"}, {}),
        ({}, {"metric": "selection_rate_ratio"}),
    ],
)
def test_trials_are_not_compared_by_what_only_test_rows_have(
    evaluate: dict[str, Any], tune: dict[str, Any]
) -> None:
    train = {"target": "wear", "model": {"kind": "random_forest"}}
    judged = {"protected": ["site"], **evaluate}
    with pytest.raises(ValidationError, match=r"train\.tune\.metric: trials are not compared by"):
        _spec(train={**train, "tune": tune}, evaluate=judged)
    _spec(train={**train, "tune": {"metric": "roc_auc"}}, evaluate=judged)
    _spec(train=train, evaluate=judged)


@pytest.mark.parametrize(
    ("ways", "line"),
    [
        ({"stratify": "a", "time": "b"}, "stratify and time cannot be combined; keep one"),
        ({"stratify": "a", "group": "b"}, "stratify and group cannot be combined; keep one"),
        ({"group": "a", "time": "b"}, "time and group cannot be combined; keep one"),
        (
            {"time": "a", "given": {"column": "p", "test": "x"}},
            "time and given cannot be combined; keep one",
        ),
        ({"test": 0.75, "validation": 0.25}, "test and validation leave no row to train on"),
    ],
)
def test_conflicting_ways_to_split_are_refused(ways: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        SplitRule.model_validate(ways)


@pytest.mark.parametrize(
    ("task", "declared", "line"),
    [
        ("regression", {"positive": "worn"}, "positive: only a task of two classes has one"),
        ("multiclass", {"positive": "worn"}, "positive: only a task of two classes has one"),
        ("regression", {"class_weights": "balanced"}, "class_weights: numbers have no classes"),
        ("regression", {"calibrate": "auto"}, "calibrate: numbers have no probabilities"),
        ("multiclass", {"calibrate": "platt"}, "calibrate: platt needs two classes"),
    ],
)
def test_what_the_declared_task_does_not_have_is_refused_unless_it_was_stored(
    task: str, declared: dict[str, Any], line: str
) -> None:
    train = {"target": "wear", "model": {"kind": "linear"}, "task": task, **declared}
    with pytest.raises(ValidationError, match=line):
        _spec(train=train)
    Train.model_validate(train, context=STORED)


_GIVEN = {"column": "part", "test": ["b"]}


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"test": 0.3, "given": _GIVEN}, "test is a share, and `given` marks the test rows"),
        (
            {"validation": 0.3, "given": {**_GIVEN, "validation": "a"}},
            "validation is a share, and `given` marks the validation rows",
        ),
        (
            {"given": {**_GIVEN, "validation": ["a", "b"]}},
            "given: 'b' marks both test and validation rows",
        ),
        ({"given": {**_GIVEN, "test": []}}, "given: no value marks test rows"),
    ],
)
def test_what_given_parts_leave_unread_is_refused_unless_it_was_stored(
    rule: dict[str, Any], line: str
) -> None:
    with pytest.raises(ValidationError, match=line):
        SplitRule.model_validate(rule)
    SplitRule.model_validate(rule, context=STORED)


def test_answers_that_are_too_few_for_any_verdict_are_refused_unless_it_was_stored() -> None:
    few = {"newest": 100, "at_least": 200}
    with pytest.raises(ValidationError, match="newest 100 is below at_least 200, so that there"):
        _spec(evaluate={"answers": few})
    stored = _spec().model_dump(mode="json", by_alias=True) | {"evaluate": {"answers": few}}
    PipelineSpec.model_validate_json(json.dumps(stored), context=STORED)
    _spec(evaluate={"answers": {"newest": 0}})


def test_a_group_for_each_value_of_the_target_is_refused_unless_it_was_stored() -> None:
    grouped = {"split": {"group": "wear"}}
    train = {"target": "wear", "model": {"kind": "linear"}}
    with pytest.raises(ValidationError, match=r"split\.group: 'wear' is the target"):
        _spec(train=train, **grouped)
    stored = _spec(train=train).model_dump(mode="json", by_alias=True) | grouped
    PipelineSpec.model_validate_json(json.dumps(stored), context=STORED)


def test_group_and_given_go_together() -> None:
    rule = SplitRule.model_validate({"group": "a", "given": {"column": "p", "test": "x"}})
    assert rule.given is not None


@pytest.mark.parametrize(
    "evaluate",
    [
        {"metric": "rmse_clipped"},
        {"metric": "asymmetric_score"},
        {"asymmetry": {"early": 0}},
        {"gates": [{"metric": "rmse", "at_most": 1}, {"metric": "rmse", "at_most": 2}]},
    ],
)
def test_inconsistent_evaluate_is_refused(evaluate: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _spec(evaluate=evaluate)


@pytest.mark.parametrize(
    ("uncertainty", "gate", "needed"),
    [
        (None, {"metric": "coverage"}, "'coverage' needs train.uncertainty: {coverage: 0.9}"),
        ({}, {"metric": "coverage", "group": "a"}, "'coverage_a' needs .*{by: COLUMN}"),
        ({}, {"metric": "selective_accuracy"}, "needs train.uncertainty: {abstain: true}"),
        ({}, {"metric": "r2", "group": "a"}, "`group` goes with `metric: coverage` only"),
        ({}, {"metric": "coverage", "of": "folds"}, "computed on the test rows only"),
    ],
)
def test_a_gate_on_coverage_needs_what_it_measures(
    uncertainty: dict[str, Any] | None, gate: dict[str, Any], needed: str
) -> None:
    train = {"target": "wear", "model": {"kind": "linear"}, "uncertainty": uncertainty}
    evaluate = {"gates": [{**gate, "at_least": 0.8}], "folds": 2}
    with pytest.raises(ValidationError, match=needed):
        _spec(train=train, evaluate=evaluate)


def test_declared_uncertainty_is_a_share_of_inputs_that_are_known() -> None:
    def declared(**changed: Any) -> PipelineSpec:
        return _spec(train={"target": "wear", "model": {"kind": "linear"}, **changed})

    found = declared(uncertainty={}).training.uncertainty
    assert found
    assert (found.coverage, found.by, found.abstain) == (0.9, None, False)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"uncertainty": {"coverage": 1.0}}, "less than 1"),
        ({"uncertainty": {"by": "places"}}, r"train.uncertainty.by: no column 'places'"),
        ({"uncertainty": {"by": "site"}, "exclude": ["site"]}, "'site' is excluded"),
        ({"uncertainty": {"abstain": True}, "task": "regression"}, "can abstain"),
    ]
    for changed, line in wrong:
        with pytest.raises(ValidationError, match=line):
            declared(**changed)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"target": "site"}, "text: 'site' is the target"),
        ({"exclude": ["site"]}, "text: 'site' is also in exclude"),
        ({"categorical": ["site"]}, "text: 'site' is also in categorical"),
        ({"categorical": ["wear"], "text": {}}, "categorical: 'wear' is the target; .* by `task`"),
        ({"trend": "wear", "text": {}}, "trend: 'wear' is the target"),
        ({"trend": "day", "exclude": "day"}, "trend: 'day' is also in exclude"),
        ({"trend": "day", "categorical": "day"}, "trend: 'day' is also in categorical"),
    ],
)
def test_an_encoder_categories_and_trends_read_inputs(changed: dict[str, Any], line: str) -> None:
    declared = {"target": "wear", "model": {"kind": "linear"}, "text": {"site": "package"}}
    with pytest.raises(ValidationError, match=line):
        _spec(train={**declared, **changed})
    Train.model_validate({**declared, **changed}, context=STORED)


def test_texts_of_a_declaration_from_before_the_key_are_still_categories() -> None:
    train = {"target": "wear", "model": {"kind": "linear"}}
    assert Train.model_validate(train, context=STORED).text == {}
    now = Train.model_validate(train)
    assert now.text is None
    assert Train.model_validate_json(now.model_dump_json(), context=STORED) == now


def test_a_declaration_without_uncertainty_is_stored_as_before() -> None:
    stored = _spec().model_dump_json()
    assert "uncertainty" not in stored
    assert (
        '"group":null'
        not in _spec(
            evaluate={"gates": [{"metric": "r2", "at_least": 0}]}
        ).evaluate.model_dump_json()
    )


def test_spec_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _spec().purpose = "another"  # type: ignore[misc]


def test_the_first_day_of_answers_is_written_as_a_day() -> None:
    source = parse(b"{answers: apples, since: 2026-03-01}").data
    spec = _spec(ingest={"source": source}, clean={})
    assert isinstance(spec.ingest.source, AnswersSource)
    assert spec.ingest.source.since == date(2026, 3, 1)
    stored = PipelineSpec.model_validate_json(spec.model_dump_json(), context=STORED)
    assert stored.ingest.source == spec.ingest.source
    with pytest.raises(ValidationError, match="'1 March' is not a day; write it as 2026-03-01"):
        _spec(ingest={"source": {**source, "since": "1 March"}})


def test_dumped_spec_validates_as_the_same() -> None:
    spec = _spec()
    assert PipelineSpec.model_validate(spec.model_dump(by_alias=True)) == spec


def test_a_data_product_is_read_where_it_is_stored() -> None:
    spec = _spec(train=None)
    stored = spec.model_dump_json()
    assert PipelineSpec.model_validate_json(stored, context=STORED, by_name=True) == spec
    with pytest.raises(ValidationError, match="split needs `train`"):
        _spec(train=None, split={})


def test_package_imports_neither_dagster_nor_other_packages_of_the_factory() -> None:
    code = (
        "import sys, factory_assets.spec\n"
        "roots = {m.split('.')[0] for m in sys.modules}\n"
        "bad = roots & {'dagster', 'factory_resources', 'duckdb'}\n"
        "bad |= {m for m in sys.modules if m.startswith('factory_assets.')"
        " and not m.startswith('factory_assets.spec') and m != 'factory_assets.cron'}\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("rule", "for_classes", "for_group", "for_time"),
    [
        ({}, "set split.stratify to y, or give more", "", ""),
        ({"stratify": "a"}, "set split.stratify to y", *[" instead of split.stratify"] * 2),
        ({"stratify": "y"}, "give more rows of the class", *[" instead of split.stratify"] * 2),
        ({"group": "a"}, "more groups of 'a'", "", " instead of split.group"),
        ({"time": "a"}, "give earlier rows", " instead of split.time", ""),
        ({"given": {"column": "a", "test": "x"}}, "in column 'a'", "", " instead of split.given"),
        (
            {"given": {"column": "a", "test": "x"}, "group": "b"},
            "in column 'a'",
            "",
            " instead of split.group and split.given",
        ),
    ],
)
def test_advice_about_the_split_can_be_followed(
    rule: dict[str, Any], for_classes: str, for_group: str, for_time: str
) -> None:
    split = SplitRule.model_validate(rule)
    assert for_classes in split.remedy_for_classes("y")
    assert not re.search("training|earlier|lower", split.remedy_for_judged_classes("y"))
    assert split.instead("group") == for_group
    assert split.instead("time") == for_time
    for key in ("stratify", "group", "time"):
        advised = f"split.{key}" in split.remedy_for_classes("y")
        if advised:
            SplitRule.model_validate({**rule, key: "y"})


@pytest.mark.parametrize(
    ("stratify", "largest", "for_parts", "for_classes"),
    [
        (None, None, "give more rows, groups or moments, or change the shares of split", "set "),
        # The fewest rows that the default shares divide are five.
        ("y", 5, "change the shares of split, or merge rare classes by a CASE", "give more rows "),
        ("y", 4, "change the shares of split, or merge rare classes by a CASE", "merge rare "),
        ("y", 2, "merge rare classes by a CASE", "merge rare "),
        ("a", 3, "change the shares of split, or stratify by a column with fewer", "merge rare "),
        ("a", 2, "stratify by a column with fewer values, or by none", "merge rare "),
    ],
)
def test_advice_about_few_rows_of_each_value_can_be_followed(
    stratify: str | None, largest: int | None, for_parts: str, for_classes: str
) -> None:
    split = SplitRule(stratify=stratify)
    assert split.remedy_for_parts("y", largest).startswith(for_parts)
    assert split.remedy_for_classes("y", largest).startswith(for_classes)
