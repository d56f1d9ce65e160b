"""Decide names, inputs, split, model and metric for a profiled table.

What only the owner of the data can know, such as a column's valid range, is not guessed.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from factory_assets.cli.new.profile import MAX_LISTED_VALUES, ColumnSummary, FileProfile
from factory_assets.data.leakage.pairs import measure_pairs
from factory_assets.data.leakage.predictive_power import measure_power
from factory_assets.data.leakage.semantics import afterwards
from factory_assets.data.privacy.pii_scan import scan_for_pii
from factory_assets.spec.base import suggest
from factory_assets.spec.evaluate import Metric
from factory_assets.spec.train import Task
from factory_resources.errors import DataError

_IDENTIFIER = re.compile(
    r"(^|_)(id|uid|udi|uuid|guid|key|nr|nbr|no|number|index|code|patient|customer|user|account)$"
)

_CODE = re.compile(r"(^|_)(id|code|type|kind|class|category|group|zip)(_|$)")

_UNIT = re.compile(r"\s*[\[(]\s*([^\s\d\])]{1,10})\s*[\])]\s*$")

MAX_CLASSES = 1000

SMALL_TABLE_ROWS = 300
"""Below this many rows a linear model is the safer start."""


@dataclass(frozen=True)
class Recommendation:
    """The decisions that a declaration needs."""

    names: Mapping[str, str]
    """A column's name in the source to its name in the pipeline."""
    units: Mapping[str, str]
    """A column's name in the source to its unit, if the name contains one."""
    target: ColumnSummary
    task: Task
    exclude: Mapping[str, str]
    """A column's name to the reason why it is not an input."""
    categorical: tuple[str, ...]
    """Whole-number inputs that stand for categories."""
    unify: tuple[str, ...]
    """Inputs, and the target, with values that are spelt in several ways."""
    group: str | None
    """The column whose equal values stay in one part of the split."""
    slices: tuple[str, ...]
    metric: Metric
    model: str


def recommend(table: FileProfile, target: str) -> Recommendation:
    """Decide everything that a declaration needs.

    Args:
        table: the profile of the data file.
        target: the name of the column to predict, in the source or in the pipeline.

    Raises:
        DataError: the target does not exist, is empty, is constant or is a date, is text with too
            many distinct values, or no input column is left.
    """
    names = dict(_names(table))
    target_column = _target(table, names, target)
    task = _task(target_column)
    candidates = [c for c in table.columns if c is not target_column]
    exclude = {
        names[c.source]: why
        for c in candidates
        if (why := _why_excluded(c, names[c.source], table.rows))
    }
    exclude |= _known_afterwards(table, names, target_column, task, exclude)
    groups = [names[c.source] for c in candidates if _is_group(c, names[c.source], table.rows)]
    inputs = [c for c in candidates if names[c.source] not in exclude]
    if not inputs:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(exclude.items())[:5])
        raise DataError(
            f"no column is left from which to predict {target!r}",
            remedy=f"add columns ({reasons})",
        )
    return Recommendation(
        names=names,
        units={c.source: unit[1] for c in table.columns if (unit := _UNIT.search(c.source))},
        target=target_column,
        task=task,
        exclude=exclude,
        categorical=tuple(names[c.source] for c in inputs if _is_code(c, names[c.source])),
        unify=tuple(names[c.source] for c in (target_column, *inputs) if c.respelt),
        group=groups[0] if groups else None,
        slices=tuple(
            names[c.source] for c in inputs if _is_slice(c) and not personal_data_reason(c)
        )[:1],
        metric=_METRICS[task],
        model="linear" if table.rows < SMALL_TABLE_ROWS else "gradient_boosting",
    )


_METRICS: Mapping[Task, Metric] = {
    "binary": "average_precision",
    "multiclass": "balanced_accuracy",
    "regression": "rmse",
}


def _names(table: FileProfile) -> Iterator[tuple[str, str]]:
    """Yield each column's name in the source and a unique name in the pipeline.

    Plain identifiers stay; other names become lower case with underscores.
    """
    taken = {"file_row_number"}
    for i, column in enumerate(table.columns, 1):
        is_plain = re.fullmatch(r"[A-Za-z]\w{0,62}", column.source, re.ASCII)
        base = column.source if is_plain else _snake_case(column.source) or f"column_{i}"
        name, n = base, 2
        while name.lower() in taken:
            name, n = f"{base}_{n}", n + 1
        taken.add(name.lower())
        yield column.source, name


def _snake_case(text: str) -> str:
    """Convert `Torque [Nm]` to `torque`, `Größe 2` to `grosse_2`."""
    plain = _UNIT.sub("", text) or text
    plain = unicodedata.normalize("NFKD", plain.replace("ß", "ss"))
    ascii_only = plain.encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:56].rstrip("_")
    return f"column_{name}" if name[:1].isdigit() else name


def _target(table: FileProfile, names: Mapping[str, str], target: str) -> ColumnSummary:
    matches = [c for c in table.columns if c.source == target]
    matches = matches or [c for c in table.columns if names[c.source] == target]
    if not matches:
        columns = [column.source for column in table.columns]
        unnamed = "" if table.rules.header else "the file has no header line; "
        raise DataError(
            f"no column {target!r} to predict", remedy=f"{unnamed}{suggest(target, columns)}"
        )
    column = matches[0]
    if column.distinct < 2:
        values = f"is {column.low!r} in every row" if column.present else "has no value"
        raise DataError(
            f"target {target!r} {values}",
            remedy="name a column with at least two different values",
        )
    return column


def _task(target: ColumnSummary) -> Task:
    """Derive the task as training does: text, booleans and few whole numbers are classes."""
    if target.type == "float64" or (target.type == "int64" and target.distinct > MAX_LISTED_VALUES):
        return "regression"
    if target.type in ("date", "timestamp"):
        raise DataError(
            f"target {target.source!r} is a {target.type}", remedy="predict a number or a class"
        )
    most = min(MAX_CLASSES, target.present / 2)
    if target.type == "string" and target.distinct > most:
        raise DataError(
            f"target {target.source!r} has {target.distinct} different texts "
            f"in {target.present} rows",
            remedy="name a column with few classes, or with numbers",
        )
    return "binary" if target.distinct - target.respelt == 2 else "multiclass"


def _why_excluded(column: ColumnSummary, name: str, rows: int) -> str:
    """Return why a column should not be an input; empty if it can be one."""
    if not column.present:
        return "has no value"
    if column.distinct == 1 and column.present == rows:
        return "is the same in every row"
    if column.type in ("date", "timestamp"):
        return "is a date or time; derive an age or an hour from it instead"
    if _is_group(column, name, rows):
        return "identifies the group that a row belongs to"
    unique = column.distinct == column.present and column.present > MAX_LISTED_VALUES
    if (
        column.type == "string"
        and column.present > MAX_LISTED_VALUES
        and column.distinct > column.present * 0.9
    ):
        return "is different in nearly every row"
    counts_up = column.type == "int64" and column.high - column.low + 1 == column.present
    named = column.type == "int64" and _IDENTIFIER.search(name.lower())
    if column.running or (unique and (named or counts_up)):
        return "is a row number or identifier"
    return ""


def _known_afterwards(
    table: FileProfile,
    names: Mapping[str, str],
    target: ColumnSummary,
    task: Task,
    exclude: Mapping[str, str],
) -> dict[str, str]:
    """Return the columns that seem to be written after the outcome, each with the reason.

    Together with another column they tell the target almost exactly, as an arrival time does beside
    the scheduled one. Nothing is returned if no input would be left.
    """
    import pyarrow.compute as pc

    times = {c.source for c in table.columns if c.type in ("date", "timestamp")}
    inputs = {c.source for c in table.columns if names[c.source] not in exclude} - {target.source}
    known = table.sample.filter(pc.is_valid(table.sample[target.source]))
    learned = known.select([c.source for c in table.columns if c.source in {*inputs, *times}])
    learned = learned.append_column(target.source, known[target.source])
    power = measure_power(learned, target.source, task)
    found: dict[str, str] = {}
    for pair in measure_pairs(learned, target.source, task, power):
        for name in afterwards(pair, power.of):
            other = next(column for column in pair.columns if column != name)
            found.setdefault(
                name,
                f"its {pair.relation} with {names[other]} tells the target: known only afterwards?",
            )
    return {names[name]: why for name, why in found.items()} if inputs - set(found) else {}


def _is_group(column: ColumnSummary, name: str, rows: int) -> bool:
    """Whether it is a repeating identifier, as of patients, whose rows belong in one part."""
    return (
        column.type in ("int64", "string")
        and bool(_IDENTIFIER.search(name.lower()))
        and column.distinct > 5 * MAX_LISTED_VALUES
        and 1.05 * column.distinct < rows < 20 * column.distinct
        and column.present == rows
    )


def _is_code(column: ColumnSummary, name: str) -> bool:
    """Whether its whole numbers stand for categories: it is named like a code, with few values."""
    return column.type == "int64" and 2 < column.distinct <= 50 and bool(_CODE.search(name.lower()))


def personal_data_reason(column: ColumnSummary) -> str | None:
    """Return why it may be personal data, by its name or its listed values; None if it is not."""
    kind = "VARCHAR" if column.type == "string" else column.type
    return scan_for_pii({column.source: kind}, {column.source: column.values}).get(column.source)


def _is_slice(column: ColumnSummary) -> bool:
    return column.type in ("string", "bool") and 2 <= column.distinct <= 8
