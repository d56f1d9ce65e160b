"""Which leaks stop the pipeline, only warn or are accepted; accepting computes nothing again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from factory_assets.data.leakage.policy import (
    REASONS,
    LeakError,
    accepted_reasons,
    leak_check,
    leaks_of,
    require_no_leaks,
)
from factory_assets.data.leakage.semantics import computed_from_target, outcome_reasons
from factory_assets.execution.explain import explain
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import Duplicates, InputPair, Leaks, Relation
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from tests.data_stages import pipeline


def declared(folder: Path, *, target: str = "y", **parts: Any) -> Pipeline:
    train = {"target": target, "model": {"kind": "linear"}, **parts.pop("train", {})}
    return pipeline(folder, files="data.csv", train=train, **parts)


def failing(folder: Path) -> None:
    """Write machines that mostly fail when hot, and a column with the cause of some failures."""
    chance = np.random.default_rng(1)
    heat = chance.normal(size=900).round(3)
    y = (heat + chance.normal(0, 0.5, 900) > 1.3).astype(int)
    mode = y * (chance.random(900) < 0.5)
    rows = [f"{h},{m},{t}" for h, m, t in zip(heat, mode, y, strict=True)]
    (folder / "data.csv").write_text("\n".join(["heat,mode,y", *rows]) + "\n")


def run(declaration: Pipeline, home: Home, run_id: str = "r") -> Any:
    for stage in ("ingest", "clean", "split", "train"):
        outcome = run_stage(StageRequest(declaration, stage, home, run_id))  # type: ignore[arg-type]
    return outcome


@pytest.mark.slow
def test_a_sure_leak_stops_before_training_and_names_column_and_remedy(
    tmp_path: Path, home: Home
) -> None:
    prepare(home)
    failing(tmp_path)
    with pytest.raises(LeakError) as error:
        run(declared(tmp_path), home)
    line = str(error.value)
    assert "p/train: where 'mode' is 1, 'y' is 1 (" in line
    assert "add to train.exclude: [mode], or write why it is known beforehand: " in line
    assert "train.leaks.allow: {mode: …}" in line
    assert error.value.exit_code == 2
    assert Registry(home).versions() == {}
    [planned] = explain(StageRequest(declared(tmp_path), "train", home, "r"), ["train"], [])
    assert (planned.what, "'mode' is 1" in planned.why) == ("fails", True)


@pytest.mark.slow
def test_accepted_leaks_are_stored_with_the_model_and_compute_nothing_again(
    tmp_path: Path, home: Home
) -> None:
    prepare(home)
    failing(tmp_path)

    def allowing(reason: str | None, action: str = "block") -> Any:
        allow = {"mode": reason} if reason else {}
        rule = {"leaks": {"action": action, "allow": allow}}
        return run(declared(tmp_path, train=rule), home)

    def stored() -> Any:
        return json.loads(Registry(home).version_tags("p", 1).get(REASONS) or "{}")

    assert not allowing("a guard says it at once").reused
    assert stored() == {"mode": "a guard says it at once"}
    for reason, action in (("it is measured", "block"), (None, "warn"), (None, "off")):
        assert allowing(reason, action).reused
        assert stored() == ({"mode": reason} if reason else {})
    with pytest.raises(LeakError):
        allowing(None)
    assert Registry(home).versions() == {"p": (1,)}


@pytest.mark.slow
def test_a_warning_stops_nothing_and_excluding_the_input_removes_it(
    tmp_path: Path, home: Home
) -> None:
    prepare(home)
    failing(tmp_path)
    warned = declared(tmp_path, train={"leaks": {"action": "warn"}})
    candidate = run(warned, home).value
    assert isinstance(candidate, Candidate)
    assert candidate.numeric == ("heat", "mode")
    found = run_stage(StageRequest(warned, "split", home, "r")).value.leaks  # type: ignore[union-attr]
    check = leak_check(warned, found)
    assert check
    assert (check.passed, check.blocking) == (False, False)
    excluded = declared(tmp_path, train={"exclude": ["mode"]})
    assert run(excluded, home).value.numeric == ("heat",)
    found = run_stage(StageRequest(excluded, "split", home, "r")).value.leaks  # type: ignore[union-attr]
    check = leak_check(excluded, found)
    assert check
    assert (check.passed, check.says) == (True, "none found")


def test_a_leak_of_a_sensitive_column_shows_none_of_its_values(tmp_path: Path) -> None:
    contract = [{"name": "mode", "sensitive": "personal"}, {"name": "y"}]
    declaration = pipeline(
        tmp_path, ingest={"source": {"files": "data.csv"}, "contract": contract}, target="y"
    )
    implied = {"value": "is Zaphod", "target": "1", "hits": 50, "rows": 50, "share": 0.1}
    found = Leaks.model_validate({"inputs": ["mode"], "implied": {"mode": implied}})
    [leak] = leaks_of(declaration, found)
    assert "Zaphod" not in leak.says
    assert leak.says.startswith("where 'mode' has one of its values, 'y' is 1 (50 of 50")


@pytest.mark.parametrize(
    ("found", "sure"),
    [
        (Leaks(inputs=("a",), power={"a": 0.99}, limit=0.99), True),
        (Leaks(inputs=("a",), power={"a": 0.9899}, limit=0.99), None),
        (Leaks(inputs=("repair_outcome",), power={"repair_outcome": 0.9}), True),
        (Leaks(inputs=("repair_outcome",), power={"repair_outcome": 0.8999}), False),
        (Leaks(inputs=("repair_outcome",), measure="R²", power={"repair_outcome": 0.75}), True),
        (Leaks(inputs=("repair_outcome",), measure="R²", power={"repair_outcome": 0.7499}), False),
        (Leaks(duplicates=Duplicates(rows=10, share=0.01, coincidence=False)), True),
        (Leaks(duplicates=Duplicates(rows=9, share=0.01, coincidence=False)), None),
        (Leaks(duplicates=Duplicates(rows=10, share=0.0099, coincidence=False)), None),
        (Leaks(duplicates=Duplicates(rows=10, share=0.01, coincidence=True)), None),
        (Leaks(groups={"who": 0.01}), False),
        (Leaks(groups={"who": 0.0099}), None),
        (Leaks(later={"day": 0.05}), False),
        (Leaks(later={"day": 0.0499}), None),
    ],
    ids=str,
)
def test_a_leak_begins_at_its_bound(found: Leaks, sure: bool | None, tmp_path: Path) -> None:
    assert [leak.sure for leak in leaks_of(declared(tmp_path), found)] == (
        [] if sure is None else [sure]
    )


def test_after_a_split_by_time_any_later_row_and_only_a_declared_group_is_a_leak(
    tmp_path: Path,
) -> None:
    found = Leaks(later={"day": 0.001, "other": 0.01}, groups={"who": 0.9})
    by_time = declared(tmp_path, split={"time": "day"})
    assert [(leak.column, leak.sure) for leak in leaks_of(by_time, found)] == [("day", True)]
    by_group = declared(tmp_path, split={"group": "who"})
    assert [(leak.column, leak.sure) for leak in leaks_of(by_group, found)] == [("who", True)]


BOTH = Leaks(inputs=("a",), power={"a": 1.0}, limit=0.99, groups={"who": 0.5})


@pytest.mark.parametrize(
    ("leaks", "stops", "passed", "reasons"),
    [
        ({}, True, False, ""),
        ({"action": "warn"}, False, False, ""),
        ({"allow": {"who": "few"}}, True, False, '{"who": "few"}'),
        # What is only suspected stops nothing.
        ({"allow": {"a": "measured"}}, False, False, '{"a": "measured"}'),
        (
            {"allow": {"a": "measured", "who": "few"}},
            *(False, True, '{"a": "measured", "who": "few"}'),
        ),
    ],
)
def test_only_a_sure_leak_that_nobody_accepted_stops_a_training(
    leaks: dict[str, Any], stops: bool, passed: bool, reasons: str, tmp_path: Path
) -> None:
    declaration = declared(tmp_path, train={"leaks": leaks})
    check = leak_check(declaration, BOTH)
    assert check
    assert (check.blocking, check.passed) == (stops, passed)
    assert accepted_reasons(declaration, BOTH) == reasons
    if stops:
        with pytest.raises(LeakError):
            require_no_leaks(declaration, BOTH)
    else:
        require_no_leaks(declaration, BOTH)


def test_whoever_declares_it_looks_for_no_leaks(tmp_path: Path) -> None:
    off = declared(tmp_path, train={"leaks": {"action": "off"}})
    assert (leaks_of(off, BOTH), leak_check(off, BOTH)) == ([], None)
    require_no_leaks(off, BOTH)


def test_a_sure_leak_is_told_first_and_of_many_only_some(tmp_path: Path) -> None:
    inputs = tuple(f"outcome_{number}" for number in range(12))
    check = leak_check(declared(tmp_path), Leaks(inputs=inputs, power={"outcome_11": 0.95}))
    assert check
    assert check.says.startswith("'outcome_11' may be an outcome: 'outcome' is in its name, and")
    assert check.says.endswith("; 4 more")
    assert (check.numbers["sure"], check.numbers["suspected"]) == (1, 11)


@pytest.mark.parametrize(
    ("power", "limit", "sure"), [(0.6, 0.99, False), (0.93, 0.99, True), (0.93, None, True)]
)
def test_an_outcome_name_is_suspected_and_with_power_sure(
    power: float, limit: float | None, sure: bool, tmp_path: Path
) -> None:
    found = Leaks(inputs=("repair_outcome",), power={"repair_outcome": power}, limit=limit)
    [leak] = leaks_of(declared(tmp_path), found)
    assert leak.sure == sure
    assert leak.says.startswith("'repair_outcome' may be an outcome: 'outcome' is in its name")


@pytest.mark.parametrize(
    ("columns", "relation", "remedy"),
    [
        (("sent", "arrived"), "difference", "the one of 'sent' and 'arrived' that is known only"),
        (("fällig_am", "bezahlt_am"), "difference", "train.exclude: [bezahlt_am], or"),
        (("first_half", "second_half"), "sum", "train.exclude: [first_half, second_half], or"),
    ],
)
def test_of_a_pair_only_what_is_known_afterwards_is_to_be_excluded(
    columns: tuple[str, str], relation: Relation, remedy: str, tmp_path: Path
) -> None:
    pair = InputPair(columns=columns, relation=relation, order=1.0)
    found = Leaks(inputs=columns, power={columns[0]: 0.4, columns[1]: 0.3}, pairs=(pair,))
    check = leak_check(declared(tmp_path), found)
    assert check
    assert remedy in check.remedy
    assert "train.leaks.allow: {" in check.remedy


@pytest.mark.parametrize(
    ("target", "name", "suspect"),
    [
        ("machine_failure", "failure_mode", True),
        ("machine_failure", "machine_id", False),
        ("machine_failure", "tool_wear", False),
        ("price", "pricePerSquareMetre", True),
        ("loan_status", "marital_status", False),
        ("churn", "churned_on", True),
        ("y", "yield", False),
        ("class", "first_class", False),
        ("readmitted", "discharge_disposition_id", True),
        ("readmitted", "A1Cresult", False),
        ("diagnosis", "worst_concave_points", False),
        ("price_per_room", "room_type", False),
        ("price_per_room", "list_price", True),
    ],
)
def test_outcomes_are_recognised_by_name(
    target: str, name: str, suspect: bool, tmp_path: Path
) -> None:
    assert (name in outcome_reasons(declared(tmp_path, target=target), [name])) == suspect


def test_outcomes_are_recognised_by_description_and_formula(tmp_path: Path) -> None:
    contract = [
        {"name": "twf", "description": "tool wear failure"},
        {"name": "thal", "description": "normal, fixed, reversible defect"},
        {"name": "num"},
        {"name": "failure"},
    ]
    declaration = pipeline(
        tmp_path,
        ingest={"source": {"files": "data.csv"}, "contract": contract},
        clean={"derive": {"half": "num / 2", "ill": "half > 0", "doubled": "2 * ill::int"}},
        target="ill",
    )
    inputs = ("twf", "thal", "num", "half", "doubled", "failure")
    assert outcome_reasons(declaration, inputs) == {
        "num": "the target is computed from it",
        "half": "the target is computed from it",
        "failure": "'failure' is in its name",
    }
    sure = {leak.column for leak in leaks_of(declaration, Leaks(inputs=inputs)) if leak.sure}
    assert sure == {"doubled"}
    other = pipeline(
        tmp_path,
        ingest={"source": {"files": "data.csv"}, "contract": contract},
        target="failure",
    )
    assert outcome_reasons(other, ["twf", "thal"]) == {
        "twf": "its description contains the target's name"
    }


@pytest.mark.parametrize(
    ("clean", "computed"),
    [
        ({"derive": {"half": "LOAD / 2"}}, ["half"]),
        ({"derive": {"Half": "Load / 2", "third": "hALF * 2 / 3"}}, ["Half", "third"]),
        ({"windows": {"size": 5}}, ["load_mean"]),
        ({"windows": {"size": [5, "all"]}}, ["load_mean_5", "load_mean_all"]),
        ({"derive": {"late": "LOAD_MEAN * 2"}}, []),
    ],
)
def test_what_is_computed_from_the_target_is_found_whatever_its_case_and_window(
    clean: dict[str, Any], computed: list[str], tmp_path: Path
) -> None:
    if windows := clean.get("windows"):
        rest = {"by": "unit", "order": "t", "columns": "load", "statistics": ["mean"]}
        clean = {"windows": {**windows, **rest}}
    declaration = declared(tmp_path, target="load", clean=clean)
    inputs = (*computed, "unit", "late")
    assert computed_from_target(declaration, inputs) == computed
    sure = [leak.column for leak in leaks_of(declaration, Leaks(inputs=inputs)) if leak.sure]
    assert sure == computed


def test_what_the_target_is_computed_from_is_found_whatever_its_case(tmp_path: Path) -> None:
    derive = {"Total": "LOAD + rest"}
    declaration = declared(tmp_path, target="Total", clean={"derive": derive})
    why = "the target is computed from it"
    assert outcome_reasons(declaration, ["load", "other"]) == {"load": why}


def test_accepting_a_leak_requires_a_reason(tmp_path: Path) -> None:
    for allow in ({"mode": ""}, {"mode": "  "}, {"mode": None}):
        with pytest.raises(ValidationError):
            declared(tmp_path, train={"leaks": {"allow": allow}})
