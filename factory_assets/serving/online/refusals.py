"""Why a row of a request gets no prediction, in words.

Which rows are refused is decided in `warm_engine`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.data.contract.pattern_examples import example_of
from factory_assets.spec import Clean, Column

_SHOWN = 60
"""Characters of a value that are shown."""

_LISTED = 20
"""Allowed values that a remedy names."""


@dataclass(frozen=True)
class Refusal:
    """The rules that one row of a request breaks."""

    row: int
    """From 0."""
    rules: tuple[str, ...]
    """Such as `range:torque`, or the name of a rule of `clean.where`."""


def explain(
    refusal: Refusal,
    row: Mapping[str, Any],
    columns: Sequence[Column],
    clean: Clean,
    picture: str | None = None,
) -> list[dict[str, Any]]:
    """Say for each broken rule what is wrong: column, value unless sensitive, rule, remedy.

    Args:
        picture: the column of images.
    """
    by_name = {column.name: column for column in columns}
    reasons: list[dict[str, Any]] = []
    for rule in refusal.rules:
        kind, _, name = rule.partition(":")
        column = by_name.get(name)
        if column is None:
            reasons.append(_of_rule(rule, clean))
            continue
        reason: dict[str, Any] = {"row": refusal.row, "column": column.source_name, "rule": rule}
        if column.sensitive is None and kind != "null":
            reason["value"] = _shown(row.get(column.source_name))
        remedy = _remedy(kind, column)
        if kind == "null" and row.get(column.source_name) is not None:
            what = "the content of a PNG or JPEG file in base64" if name == picture else "a value"
            remedy = f"send {what} that can be read; what was sent counts as none"
        reasons.append(reason | {"remedy": remedy})
    return [{"row": refusal.row, **reason} for reason in reasons]


def _of_rule(rule: str, clean: Clean) -> dict[str, Any]:
    kind, _, name = rule.partition(":")
    if kind == "overflow" and name:
        if sql := clean.derive.get(name):
            what = f"{name!r} is infinite or beyond float32; send values of which it is less: {sql}"
            return {"rule": rule, "remedy": what}
        what = "the prediction" if name == "prediction" else f"{name!r}"
        return {"rule": rule, "remedy": f"{what} is beyond float32; send smaller numbers"}
    if kind == "join" and name:
        return {"rule": rule, "remedy": f"send a key that the joined table {name!r} has"}
    if kind == "derive" and (sql := clean.derive.get(name)):
        return {"rule": rule, "remedy": f"send values of which {name!r} can be computed: {sql}"}
    sql = clean.where.get(rule)
    return {"rule": rule, "remedy": f"every row must satisfy: {sql}" if sql else "correct the row"}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_SHOWN]
    # What is nested may be as large as the whole request.
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    return value


def _remedy(kind: str, column: Column) -> str:
    match kind:
        case "type":
            return f"send a value of type {column.type}"
        case "null":
            return "send a value"
        case "range" if column.range:
            low, high = column.range
            unit = f" {column.unit}" if column.unit else ""
            if low is None or high is None:
                bound = f"at most {high}" if low is None else f"at least {low}"
                return f"send {bound}{unit}"
            return f"send a value from {low} to {high}{unit}"
        case "length" if column.length:
            low, high = column.length
            most = "" if high is None else f" and at most {high}"
            return f"send a text of at least {low or 0}{most} characters"
        case "pattern":
            pattern = column.pattern or ""
            example = example_of(pattern, column.unit)
            such = f"such as {example}, which" if example else "that"
            return f"send a text {such} matches {pattern}"
        case "values":
            return f"send one of: {_listed(column.values or ())}"
        case "overflow":
            return "the number is beyond float32; send a smaller one"
        case _:
            return "correct the value"


def _listed(values: Sequence[Any]) -> str:
    more = len(values) - _LISTED
    named = ", ".join(map(str, values[:_LISTED]))
    return named + (f" and {more:,} more" if more > 0 else "")
