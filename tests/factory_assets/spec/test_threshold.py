"""The forms of a declared threshold, and what is said of a wrong one."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from factory_assets.spec.threshold import (
    BestMetric,
    DecisionRule,
    ErrorCosts,
    PromisedPrecision,
    PromisedRecall,
    rule_text,
)

RULE: TypeAdapter[Any] = TypeAdapter(DecisionRule)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("f1", "write {maximise: f1}"),
        ({"maximise": "f1", "recall": 0.9}, "give one of {maximise: f1}, "),
        ({"false_positive": 1, "false_negative": 2, "precision": 0.9}, "give one of "),
        ({"maximise": "roc_auc"}, "'f1', 'accuracy' or 'balanced_accuracy'"),
        ({"false_positive": 1}, "false_negative"),
        ({}, "maximise"),
        (1, "less than 1"),
        ("high", "valid number"),
    ],
)
def test_a_wrong_threshold_is_refused(declared: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RULE.validate_python(declared)
    assert message in str(caught.value)


def test_a_rule_is_stored_and_told() -> None:
    for rule, text in (
        (BestMetric(maximise="f1"), "best f1 on the held-out rows"),
        (
            ErrorCosts(false_positive=1, false_negative=5),
            "least cost on the held-out rows: false positive 1, false negative 5",
        ),
        (PromisedRecall(recall=0.9), "best precision on the held-out rows with a recall of 0.9"),
        (
            PromisedPrecision(precision=0.8),
            "best recall on the held-out rows with a precision of 0.8",
        ),
    ):
        assert RULE.validate_json(rule.model_dump_json()) == rule
        assert rule_text(rule) == text
    assert rule_text(0.3) == "as declared"
