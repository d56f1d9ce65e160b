"""What failed is not written as a success."""

from factory_assets.openlineage.facets import assertions, gates
from factory_assets.results.checks import TableCheck
from factory_assets.results.evaluation import GateResult


def test_what_failed_is_told_by_its_severity() -> None:
    checks = [
        TableCheck(name="rows", passed=passed, says="", blocking=blocking)
        for passed in (True, False)
        for blocking in (True, False)
    ]
    found = assertions({"kept": 0, "broken": 2}, checks)["assertions"]
    assert [(one["assertion"], one["success"], one["severity"]) for one in found] == [
        ("kept", True, "warn"),
        ("broken", False, "warn"),
        ("rows", True, "error"),
        ("rows", True, "warn"),
        ("rows", False, "error"),
        ("rows", False, "warn"),
    ]


def test_a_gate_that_was_not_passed_is_no_success() -> None:
    results = [
        GateResult(name=str(p), metric="rmse", value=1, bound=2, passed=p, explanation="")
        for p in (True, False)
    ]
    assert [one["success"] for one in gates(results)["assertions"]] == [True, False]
