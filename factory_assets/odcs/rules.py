"""Translate quality rules of the Open Data Contract Standard into promises of our contract.

A rule that our contract cannot express becomes a promise that nothing checks.
"""

from typing import Any

from factory_assets.odcs import vocabulary as words
from factory_assets.odcs.parsing import At, Reader
from factory_assets.spec.base import suggest


def read_rule(reader: Reader, at: At, rule: Any, column: dict[str, Any] | None) -> None:
    """Add one rule to the contract.

    Args:
        reader: collects the contract, mistakes and unchecked promises.
        at: the place of the rule in the file.
        rule: the rule as plain data.
        column: the column of the contract that the rule is about; None for the whole table.
    """
    if not reader.is_mapping(at, rule, words.QUALITY_KEYS):
        return
    kind = str(rule.get("type", "library"))
    if kind not in {"library", "text", "sql", "custom"}:
        kinds = ("library", "text", "sql", "custom")
        reader.reading.wrong.append(
            ((*at, "type"), f"{kind!r} is not a type of rule; {suggest(kind, kinds)}")
        )
    elif kind == "text":
        reader.unchecked(at, str(rule.get("description", "a rule in words")))
    elif kind != "library":
        reader.unchecked(at, f"a rule of type {kind}{_name(rule)}")
    elif (metric := rule.get("metric", rule.get("rule"))) not in words.METRICS:
        message = f"{metric!r} is not a metric; {suggest(str(metric), words.METRICS)}"
        reader.reading.wrong.append(((*at, "metric"), message))
    elif not [key for key in words.OPERATORS if key in rule]:
        message = f"has no bound; write one of {', '.join(words.OPERATORS)}"
        reader.reading.wrong.append((at, message))
    elif not _add_rule(reader, at, str(metric), rule, column):
        of_column = f" of column {column.get('name')!r}" if column else ""
        reader.unchecked(at, f"{metric}{of_column} within its declared bound{_name(rule)}")


def _add_rule(
    reader: Reader, at: At, metric: str, rule: dict[str, Any], column: dict[str, Any] | None
) -> bool:
    """Add the rule to the contract; return whether the contract can express it."""
    if metric == "rowCount":
        return column is None and _row_count(reader, at, rule)
    if not _allows_no_row(rule):
        return False
    arguments = reader.typed(at, rule, "arguments", dict) or {}
    if column is None:
        names = arguments.get("properties")
        if metric != "duplicateValues" or not isinstance(names, list):
            return False
        unique = reader.contract.setdefault("unique", [])
        reader.reading.ways["unique", len(unique)] = (*at, "arguments", "properties")
        unique.append([str(name) for name in names])
        return True
    if metric == "duplicateValues":
        column["unique"] = True
    elif metric == "nullValues":
        column["nullable"] = False
    elif metric == "missingValues":
        column["nullable"] = False
        tokens = [
            str(token)
            for token in reader.typed((*at, "arguments"), arguments, "missingValues", list) or ()
            if token not in (None, "")
        ]
        known = column.get("missing", [])
        # A single token may stand without brackets.
        known = known if isinstance(known, list) else [known]
        column["missing"] = [*known, *(one for one in dict.fromkeys(tokens) if one not in known)]
    else:
        return _add_valid_values(arguments, column)
    return True


def _add_valid_values(arguments: dict[str, Any], column: dict[str, Any]) -> bool:
    keys = {"validValues": "values", "pattern": "pattern"}
    taken = [key for key in keys if key in arguments and keys[key] in column]
    if taken or not set(arguments) & set(keys):
        return False
    for theirs, ours in keys.items():
        if theirs in arguments:
            column[ours] = arguments[theirs]
    return True


def _row_count(reader: Reader, at: At, rule: dict[str, Any]) -> bool:
    unit = rule.get("unit", "rows")
    bounds = _row_bounds(rule)
    if unit != "rows" or bounds is None:
        return False
    least, most = bounds
    if not least and most is None:
        return True
    rows = reader.contract.setdefault("rows", {})
    reader.reading.ways["rows",] = at
    if least:
        rows["at_least"] = max(least, rows.get("at_least", least))
    if most is not None:
        rows["at_most"] = min(most, rows.get("at_most", most))
    return True


def _name(rule: dict[str, Any]) -> str:
    name = rule.get("name") or rule.get("description")
    return f": {name}" if name else ""


def _allows_no_row(rule: dict[str, Any]) -> bool:
    """Whether the rule tolerates no broken row; our contract has no other bound."""
    if rule.get("unit", "rows") not in ("rows", "percent"):
        return False
    bounds = {key: rule[key] for key in words.OPERATORS if key in rule}
    below_one = {"mustBeLessThan": 1} if rule.get("unit", "rows") == "rows" else {}
    return bounds in ({"mustBe": 0}, {"mustBeLessOrEqualTo": 0}, below_one)


def _row_bounds(rule: dict[str, Any]) -> tuple[int | None, int | None] | None:
    """Return the smallest and the largest number of rows; None if the rule has another form."""
    [(operator, value), *more] = [(key, rule[key]) for key in words.OPERATORS if key in rule]
    numbers = value if isinstance(value, list) else [value]
    if more or not all(type(number) is int and number >= 0 for number in numbers):
        return None
    match operator, numbers:
        case "mustBe", [n]:
            return n, n
        case "mustBeGreaterThan", [n]:
            return n + 1, None
        case "mustBeGreaterOrEqualTo", [n]:
            return n, None
        case "mustBeLessThan", [n]:
            return None, n - 1
        case "mustBeLessOrEqualTo", [n]:
            return None, n
        case "mustBeBetween", [low, high]:
            return low, high
        case "mustNotBe", [0]:
            return 1, None
    return None
