"""`factory check` of `governance.yaml`: what it names must exist, and what it must not lack."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.cli.check.check import check
from factory_assets.cli.check.governance import governance_warnings
from tests.pipelines import APPLES, RESPONSIBLE, declare, write_apples, write_governance

_HIGH = {"risk": {"tier": "high", "area": "food"}, "deploy": {"approval": {}}}


@pytest.fixture
def apples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    write_apples(tmp_path / "apples")
    evaluate = {**APPLES["evaluate"], "slices": ["colour"]}
    declare(tmp_path / "apples", {**APPLES, **_HIGH, "evaluate": evaluate})
    return tmp_path / "apples"


def _risk(**changed: Any) -> list[dict[str, Any]]:
    return [{**RESPONSIBLE["risks"][0], **changed}]


def _problems() -> list[str]:
    return [one.what for one in check(["apples"])]


def test_a_risk_may_name_gates_checks_and_slices(apples: Path) -> None:
    tests = ["roc_auc_better_than_trivial", "no_worse_than_champion", "leaks", "colour", "parity"]
    write_governance(apples, risks=_risk(tests=tests))
    assert _problems() == []


def test_a_test_that_is_not_declared_is_refused(apples: Path) -> None:
    write_governance(apples, risks=_risk(tests=["leaks", "roc_auc_better_than_linear"]))
    [problem] = _problems()
    assert problem.startswith("risks.0.tests.1: defs.yaml declares no gate, check or slice")
    assert "did you mean 'roc_auc_better_than_trivial'?" in problem


def test_an_unknown_requirement_is_refused_with_the_nearest(apples: Path) -> None:
    write_governance(apples, statements={"annex-iv.2j": "x", "annex-iv.2g": "y"})
    [problem] = _problems()
    assert problem.startswith("statements.annex-iv.2j: no requirement 'annex-iv.2j' asks a person")
    assert "did you mean 'annex-iv.2" in problem


def test_a_requirement_that_asks_nobody_has_no_statement(apples: Path) -> None:
    write_governance(apples, statements={"article.13.3f": "x"})
    assert "no requirement 'article.13.3f' asks a person" in _problems()[0]


def test_whom_the_file_names_must_be_in_people_yaml_or_have_an_address(apples: Path) -> None:
    (apples.parent / "people.yaml").write_text(yaml.safe_dump({"jane": {"roles": ["auditor"]}}))
    write_governance(apples, owner="jane", risks=_risk(accepted_by="jnae"))
    [problem] = _problems()
    expected = "risks.0.accepted_by: nobody in people.yaml is called 'jnae'; did you mean 'jane'?"
    assert problem.startswith(expected)


def test_a_mistake_is_told_also_beside_one_in_defs_yaml(apples: Path) -> None:
    defs = apples / "defs.yaml"
    defs.write_text(defs.read_text().replace("tier: high", "tier: hgih"))
    (apples / "governance.yaml").write_text("ownr: x\n")
    assert [one.file.name for one in check(["apples"])] == ["defs.yaml", "governance.yaml"]


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"owner": None}, "no owner"),
        ({"oversight": []}, "no oversight"),
        ({"risks": []}, "no risk register"),
        ({"owner": None, "risks": []}, "no owner and no risk register"),
    ],
)
def test_what_keeps_a_version_from_serving_is_a_warning(
    apples: Path, changed: dict[str, Any], missing: str
) -> None:
    write_governance(apples, **changed)
    [warning] = governance_warnings(["apples"])
    assert str(warning).endswith(
        f"no version may serve: risk tier high, and governance.yaml has {missing}; "
        "complete governance.yaml, beside defs.yaml"
    )
    assert (apples / "defs.yaml").read_text().splitlines()[warning.line - 1] == "  risk:"
    assert _problems() == []


def test_without_a_file_the_warning_says_how_to_write_one(apples: Path) -> None:
    [warning] = governance_warnings(["apples"])
    assert warning.what.endswith(
        "there is no governance.yaml; write one: factory governance new apples"
    )


def test_nothing_is_missing_in_a_whole_file_or_at_a_lower_risk(apples: Path) -> None:
    write_governance(apples)
    assert governance_warnings(["apples"]) == []
    (apples / "governance.yaml").unlink()
    declare(apples, {**APPLES, "risk": {"tier": "limited"}})
    assert governance_warnings(["apples"]) == []
