"""The decision threshold of two classes: a value, or what it is chosen by on held-out rows.

Choosing it belongs in `ml.training.threshold`.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from factory_assets.spec.base import Positive, Spec

Objective = Literal["f1", "accuracy", "balanced_accuracy"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)


class BestMetric(Spec):
    """The threshold with the best value of a metric on rows that were held out."""

    maximise: Objective
    """The metric of the decisions: `f1`, `accuracy` or `balanced_accuracy`."""


class ErrorCosts(Spec):
    """The threshold whose wrong decisions about the validation rows cost least."""

    false_positive: Positive
    """What it costs to predict the positive class for a row of the other one."""
    false_negative: Positive
    """What it costs to miss a row of the positive class, in the same unit."""


class PromisedRecall(Spec):
    """The threshold with the best precision among those that keep a recall."""

    recall: Annotated[float, Field(gt=0, le=1)]
    """The share of positive rows that are to be predicted positive, such as `0.9`."""


class PromisedPrecision(Spec):
    """The threshold with the best recall among those that keep a precision."""

    precision: Annotated[float, Field(gt=0, le=1)]
    """The share of positive predictions that are to be right, such as `0.8`."""


Promise = PromisedRecall | PromisedPrecision


_FORMS = tuple(
    form.model_fields.keys() for form in (BestMetric, ErrorCosts, PromisedRecall, PromisedPrecision)
)


def _require_one_form(value: Any) -> Any:
    if isinstance(value, str) and value in OBJECTIVES:
        raise ValueError(f"write {{maximise: {value}}}")
    if isinstance(value, dict) and sum(bool(form & value.keys()) for form in _FORMS) > 1:
        raise ValueError(
            "give one of {maximise: f1}, {false_positive: 1, false_negative: 5}, "
            "{recall: 0.9} and {precision: 0.8}"
        )
    return value


def _kind(value: Any) -> str:
    if not isinstance(value, dict | Spec):
        return "number"
    names = set(value if isinstance(value, dict) else type(value).model_fields)
    for promised in ("recall", "precision"):
        if promised in names:
            return promised
    return "costs" if names & set(ErrorCosts.model_fields) else "maximise"


DecisionRule = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("number")]
    | Annotated[BestMetric, Tag("maximise")]
    | Annotated[ErrorCosts, Tag("costs")]
    | Annotated[PromisedRecall, Tag("recall")]
    | Annotated[PromisedPrecision, Tag("precision")],
    Discriminator(_kind),
    BeforeValidator(_require_one_form),
]
"""A threshold between 0 and 1, or how it is chosen."""

DEFAULT = BestMetric(maximise="f1")


def default_rule(metric: str | None) -> BestMetric:
    """Return the rule without a declaration: the primary metric if it can decide, else F1."""
    return BestMetric.model_validate({"maximise": metric}) if metric in OBJECTIVES else DEFAULT


def rule_text(rule: DecisionRule) -> str:
    """Return in words how the threshold was chosen."""
    if isinstance(rule, BestMetric):
        return f"best {rule.maximise} on the held-out rows"
    if isinstance(rule, ErrorCosts):
        costs = f"false positive {rule.false_positive:g}, false negative {rule.false_negative:g}"
        return f"least cost on the held-out rows: {costs}"
    if isinstance(rule, PromisedRecall):
        return f"best precision on the held-out rows with a recall of {rule.recall:g}"
    if isinstance(rule, PromisedPrecision):
        return f"best recall on the held-out rows with a precision of {rule.precision:g}"
    return "as declared"
