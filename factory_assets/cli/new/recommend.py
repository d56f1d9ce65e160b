"""What to make of a profiled table: names, inputs, split, model and gates, each with its reason.

What only the owner of the data can know, such as a range, is not guessed.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from factory_assets.cli.new.profile import FEW, ColumnSummary, FileProfile
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

MOST_CLASSES = 1000

SMALL = 300
"""Below this many rows a linear model is the safer beginning."""


@dataclass(frozen=True)
class Recommendation:
    names: Mapping[str, str]
    """The column's name in the source to its name in the pipeline."""
    units: Mapping[str, str]
    """By name in the source, where that tells it."""
    target: ColumnSummary
    task: Task
    exclude: Mapping[str, str]
    """Name to the reason why it is no input."""
    categorical: tuple[str, ...]
    group: str | None
    slices: tuple[str, ...]
    metric: Metric
    model: str


def choose(table: FileProfile, target: str) -> Recommendation:
    """Decide everything that a declaration needs.

    Raises:
        DataError: the target is not there, empty, the same everywhere or different everywhere, or
            no input column is left.
    """
    names = dict(_names(table))
    goal = _target(table, names, target)
    task = _task(goal)
    inputs = [c for c in table.columns if c is not goal]
    exclude = {
        names[c.source]: why
        for c in inputs
        if (why := _why_no_input(c, names[c.source], table.rows))
    }
    groups = [names[c.source] for c in inputs if _is_group(c, names[c.source], table.rows)]
    kept = [c for c in inputs if names[c.source] not in exclude]
    if not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(exclude.items())[:5])
        raise DataError(
            f"no column is left to learn {target!r} from", remedy=f"give more columns ({reasons})"
        )
    return Recommendation(
        names=names,
        units={c.source: unit[1] for c in table.columns if (unit := _UNIT.search(c.source))},
        target=goal,
        task=task,
        exclude=exclude,
        categorical=tuple(names[c.source] for c in kept if _is_code(c, names[c.source])),
        group=groups[0] if groups else None,
        slices=tuple(names[c.source] for c in kept if _is_slice(c) and not personal(c))[:1],
        metric=_METRICS[task],
        model="linear" if table.rows < SMALL else "gradient_boosting",
    )


_METRICS: Mapping[Task, Metric] = {
    "binary": "average_precision",
    "multiclass": "balanced_accuracy",
    "regression": "rmse",
}


def _names(table: FileProfile) -> Iterator[tuple[str, str]]:
    """Plain identifiers stay, other names become lower case with underscores; none twice."""
    taken = {"file_row_number"}
    for i, column in enumerate(table.columns, 1):
        plain = re.fullmatch(r"[A-Za-z]\w{0,62}", column.source, re.ASCII)
        wanted = column.source if plain else _snake(column.source) or f"column_{i}"
        name, n = wanted, 2
        while name.lower() in taken:
            name, n = f"{wanted}_{n}", n + 1
        taken.add(name.lower())
        yield column.source, name


def _snake(text: str) -> str:
    """`Torque [Nm]` to `torque`, `Größe 2` to `grosse_2`."""
    plain = _UNIT.sub("", text) or text
    plain = unicodedata.normalize("NFKD", plain.replace("ß", "ss"))
    ascii_only = plain.encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:56].rstrip("_")
    return f"column_{name}" if name[:1].isdigit() else name


def _target(table: FileProfile, names: Mapping[str, str], target: str) -> ColumnSummary:
    found = [c for c in table.columns if c.source == target]
    found = found or [c for c in table.columns if names[c.source] == target]
    if not found:
        columns = [column.source for column in table.columns]
        unnamed = "" if table.rules.header else "the file has no line of names; "
        raise DataError(
            f"no column {target!r} to predict", remedy=f"{unnamed}{suggest(target, columns)}"
        )
    column = found[0]
    if column.distinct < 2:
        says = f"is {column.low!r} in every row" if column.present else "has no value"
        raise DataError(
            f"target {target!r} {says}",
            remedy="there is nothing to tell apart; name another column",
        )
    return column


def _task(target: ColumnSummary) -> Task:
    """As training finds it: text, truth values and few whole numbers are classes."""
    if target.type == "float64" or (target.type == "int64" and target.distinct > FEW):
        return "regression"
    if target.type in ("date", "timestamp"):
        raise DataError(
            f"target {target.source!r} is a {target.type}", remedy="predict a number or a class"
        )
    most = min(MOST_CLASSES, target.present / 2)
    if target.type == "string" and target.distinct > most:
        raise DataError(
            f"target {target.source!r} has {target.distinct} texts in {target.present} rows",
            remedy="name a column of few classes, or of numbers",
        )
    return "binary" if target.distinct == 2 else "multiclass"


def _why_no_input(column: ColumnSummary, name: str, rows: int) -> str:
    if not column.present:
        return "has no value"
    if column.distinct == 1 and column.present == rows:
        return "is the same in every row"
    if column.type in ("date", "timestamp"):
        return "is a time; derive an age or an hour from it instead"
    if _is_group(column, name, rows):
        return "says to whom a row belongs"
    unique = column.distinct == column.present and column.present > FEW
    if column.type == "string" and column.present > FEW and column.distinct > column.present * 0.9:
        return "is different in nearly every row"
    counts_up = column.type == "int64" and column.high - column.low + 1 == column.present
    if unique and column.type == "int64" and (_IDENTIFIER.search(name.lower()) or counts_up):
        return "numbers the rows"
    return ""


def _is_group(column: ColumnSummary, name: str, rows: int) -> bool:
    """An identifier that comes again, as a patient's does: its rows belong in one part."""
    return (
        column.type in ("int64", "string")
        and bool(_IDENTIFIER.search(name.lower()))
        and column.distinct > 5 * FEW
        and 1.05 * column.distinct < rows < 20 * column.distinct
        and column.present == rows
    )


def _is_code(column: ColumnSummary, name: str) -> bool:
    """Whole numbers that are surely names: the column is called a code, and has few of them."""
    return column.type == "int64" and 2 < column.distinct <= 50 and bool(_CODE.search(name.lower()))


def personal(column: ColumnSummary) -> str | None:
    """Why it may be personal data; told by its name, or by its values where they are few."""
    kind = "VARCHAR" if column.type == "string" else column.type
    return scan_for_pii({column.source: kind}, {column.source: column.values}).get(column.source)


def _is_slice(column: ColumnSummary) -> bool:
    return column.type in ("string", "bool") and 2 <= column.distinct <= 8
