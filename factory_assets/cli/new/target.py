"""Decide what is predicted: the column that is named, or the one that looks like an outcome."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from factory_assets.cli.new.column_summary import MAX_LISTED_VALUES, ColumnSummary
from factory_assets.cli.new.column_types import NON_TEXT_MISSING_TOKENS
from factory_assets.cli.new.names import UNIT
from factory_assets.cli.new.oddities import QUESTION
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import is_sentence
from factory_assets.data.leakage.semantics import NAMES, before_per, words_of
from factory_assets.spec.base import suggest
from factory_assets.spec.train import Task
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CLASSES = 1000

_ROWS_OF_CLASS = 4
"""Fewest rows of the average class that has a number."""

_MANY = 7
"""Of so many whole numbers it is told whether they are codes of classes."""

_PARTS, _SHOWN = 3, 5
"""Fewest rows of a class that give one to each part, and how many rarer classes a comment names."""

_NOTHING = frozenset(token.casefold() for token in NON_TEXT_MISSING_TOKENS)

_RARE = 0.01
"""The largest number of a count has at most this share of the rows; few classes are as rare."""

_ONE_OF = 100
"""How many rows have one that may be far from the others."""

REMAINING = "remaining"
"""The name of the target of series that run to failure."""

_NAMES = re.compile(
    r"target|label|class|outcome|response|result|y|zielwert|ziel|klasse|rul|remaining|churn|churned|"
    r"default|survived|died|event|failure|failed|fault|fraud|diagnosis|readmitted|grade|quality|species|"
    r"score|rating|price|salary|wage|delay|status|death|dead|censored|alarm|defect|approved|"
    r"ergebnis|befund|ausfall|storno|kündigung|fehler|schaden|bewertung|preis"
)


_YES = frozenset(
    ("yes", "y", "ja", "j", "true", "t", "wahr", "oui", "si", "positive", "positiv", "pos")
)

_NO = frozenset(("no", "n", "nein", "false", "f", "falsch", "non", "negative", "negativ", "neg"))


@dataclass(frozen=True)
class TargetChoice:
    """What is predicted."""

    column: ColumnSummary | None
    """None if the target is the number of rows that a unit has left."""
    task: Task
    guessed: str = ""
    """Why this column, if nobody has named one."""
    positive: str | None = None
    """Of two classes that are words, the one that metrics refer to."""
    no_code: bool = False
    """Whether these are few whole numbers that do not look like codes of classes."""
    doubts: tuple[str, ...] = ()
    """Questions about classes that may be none."""


def find_target(table: FileProfile, names: Mapping[str, str], named: str | None) -> TargetChoice:
    """Return the named target, or guess one.

    Without a name: a column that is named like an outcome; for series, the rows that a unit has
    left; else the last column that most rows have, if it can be predicted, or the first.

    Args:
        table: the profile of the data file.
        names: the columns' names in the file and in the pipeline.
        named: the target by either name, with or without its unit; None to guess.

    Raises:
        DataError: there is no such column, it is empty, constant or a date, is text with too many
            distinct values, or no column can be predicted.
    """
    if named is not None:
        return _choice(table, _named(table, names, named))
    if likely := [c for c in _likely(table) if _can_be_predicted(c)]:
        others = [c.source for c in likely[1:]]
        also = f", and so {'are' if others[1:] else 'is'} {_listed(others)}" if others else ""
        return _choice(table, likely[0], f"it is named like an outcome{also}")
    if table.series and table.series.ends:
        why = f"each {table.series.by} has rows until its end: how many are left?"
        return TargetChoice(None, "regression", why)
    filled = [c for c in table.columns if 2 * c.present > table.rows] or table.columns
    ends = ((filled[-1], "last"), (filled[0], "first"))
    for column, place in ends:
        if _can_be_predicted(column) and not column.running and not _names_a_row(column):
            by_name = " in the order of names" * table.is_sorted
            return _choice(table, column, f"it is the {place} column{by_name}")
    raise DataError(
        "no column looks like an outcome",
        remedy=f"name it with --target; columns: {_listed([c.source for c in table.columns])}",
    )


def is_decided_by_few(table: FileProfile, target: TargetChoice) -> bool:
    """Whether few rows, with numbers far from the others, have most of the squared error.

    Chance decides which of them are test rows, and then whether a model is better than a guess. If
    most rows have the same number, as of losses, the mean distance would be least for that one.
    """
    if target.column is None or target.task != "regression":
        return False
    known = table.sample[target.column.source].drop_null()
    return is_skewed(known.cast("float64", safe=False).to_numpy())


def is_skewed(truth: "NDArray[np.float64]") -> bool:
    """Whether one number in a hundred has most of the squared error, and no number is that of most.

    Args:
        truth: [rows].
    """
    import numpy as np

    if len(truth) < _ONE_OF or np.mean(truth == np.median(truth)) > 0.5:
        return False
    shares = truth / np.abs(truth).max()
    far = np.sort(np.square(shares - shares.mean()))
    return bool(far[-(len(far) // _ONE_OF) :].sum() > far.sum() / 2)


def _choice(table: FileProfile, column: ColumnSummary, guessed: str = "") -> TargetChoice:
    task = _task(column)
    if task != "regression" and not _may_be_codes(table, column):
        return TargetChoice(column, "regression", guessed, no_code=True)
    is_named = task == "binary" and column.type == "string"
    positive = _positive(table, column) if is_named else None
    doubts = tuple(_doubts(table, column)) if task == "multiclass" else ()
    return TargetChoice(column, task, guessed, positive, doubts=doubts)


def _doubts(table: FileProfile, column: ColumnSummary) -> Iterator[str]:
    """Ask about words for no value, and about classes that not each part of the rows can have."""
    import pyarrow.compute as pc

    if nothing := [value for value in column.values if str(value).casefold() in _NOTHING]:
        yield f"{_listed([repr(value) for value in nothing])}: {QUESTION}"
    if alike := _alike([str(value) for value in column.values]):
        yield f"{_listed(alike)}: spellings of the same? Then write one of them in the file"
    if _is_whole(column) and column.distinct >= _MANY:
        yield "whole numbers, like class codes; if they measure or count: regression"
    if table.sample.num_rows < table.rows:
        return
    counted = pc.value_counts(table.sample[column.source].drop_null()).to_pylist()
    rare = sorted(str(one["values"]) for one in counted if one["counts"] < _PARTS)
    if rare:
        few = f"fewer than {_PARTS} rows, too few for training, validation and test"
        yield f"{_listed(rare[:_SHOWN])}{', …' * (len(rare) > _SHOWN)}: {few}; misspelt?"


def _alike(classes: Sequence[str]) -> list[str]:
    """Return the classes that may be spellings of one: yes and y, neg. and negativ."""
    spelt = {value.strip().casefold(): value for value in classes}
    short = [word for word in spelt if word.endswith(".") and len(word) > 2]
    groups = [
        *([word for word in spelt if word in words] for words in (_YES, _NO)),
        *([word for word in spelt if word.startswith(one.rstrip("."))] for one in short),
    ]
    found = (word for group in groups if len(group) > 1 for word in group)
    return [repr(spelt[word]) for word in dict.fromkeys(found)]


def _positive(table: FileProfile, column: ColumnSummary) -> str | None:
    """Return the class that says yes, or the rarer one; None if words become one in `clean`.

    What is rarer now may be more frequent one day, and the class must not change then.
    """
    spelt: dict[str, str] = {value.strip().casefold(): value for value in column.values}
    yes, no = spelt.keys() & _YES, spelt.keys() & _NO
    if len(yes) == 1 and len(no) == 1 and len(spelt) == 2:
        return min(yes) if column.respelt else spelt[min(yes)]
    if column.respelt:
        return None
    values = table.sample[column.source].to_pylist()
    words: tuple[str, ...] = column.values
    return max(words, key=lambda word: (-values.count(word), word))


def _named(table: FileProfile, names: Mapping[str, str], target: str) -> ColumnSummary:
    matches = [c for c in table.columns if c.source == target]
    matches = matches or [c for c in table.columns if names[c.source] == target]
    matches = matches or [c for c in table.columns if UNIT.sub("", c.source) == target]
    if not matches:
        columns = [column.source for column in table.columns]
        if len(columns) == 1:
            raise DataError(
                f"no column {target!r} to predict: each line is read as one value",
                remedy="separate the values by one comma, semicolon or tab",
            )
        unnamed = (
            "" if table.rules.header or table.rules.columns else "the file has no header line; "
        )
        raise DataError(
            f"no column {target!r} to predict", remedy=f"{unnamed}{suggest(target, columns)}"
        )
    column = matches[0]
    if column.distinct < 2:
        raise _without_choice(column, target, table.rows)
    return column


def _without_choice(column: ColumnSummary, target: str, rows: int) -> DataError:
    """Return the error of a column with one value at most."""
    low = repr(column.low) if isinstance(column.low, str) else column.low
    remedy = "name a column with at least two different values"
    if not column.present:
        return DataError(f"target {target!r} has no value", remedy=remedy)
    if column.present == rows:
        return DataError(f"target {target!r} is {low} in every row", remedy=remedy)
    remedy = f"if no value means something, such as no, write it in the file; else {remedy}"
    return DataError(f"target {target!r} is {low} or has no value", remedy=remedy)


def _likely(table: FileProfile) -> Sequence[ColumnSummary]:
    """Return the columns that are named like an outcome, the plainest names first."""
    names = {c.source.strip().lower(): c for c in table.columns}
    if {"x", "y", "z"} <= names.keys():
        del names["y"]  # Three axes.
    plain = [c for name, c in names.items() if _NAMES.fullmatch(name)]
    ends = [c for c in names.values() if _ends_like_an_outcome(c)]
    return [*reversed(plain), *(c for c in reversed(ends) if c not in plain)]


def _ends_like_an_outcome(column: ColumnSummary) -> bool:
    """Whether the last word of its name is one: that of `y1` is, of `y06` or `id_y` it is not."""
    words = before_per(words_of(column.source))
    is_one = bool(words and _NAMES.fullmatch(words[-1]))
    return is_one and (words[-1] != "y" or bool(re.fullmatch(r"y\d", column.source.lower())))


def _can_be_predicted(column: ColumnSummary) -> bool:
    """Whether its values are classes or numbers: no lists, no sentences of some rows each."""
    try:
        _task(column)
    except DataError:
        return False
    return column.distinct >= 2 and not column.nested and not is_sentence(column)


def _names_a_row(column: ColumnSummary) -> bool:
    """Whether a column says whose row it is, or when."""
    return bool((NAMES | {"date", "year", "time"}).intersection(words_of(column.source)[-1:]))


def _may_be_codes(table: FileProfile, column: ColumnSummary) -> bool:
    """Whether the values of a column may stand for classes.

    Codes are whole numbers from 0 or 1 without a gap, in any order of frequency. Of counts, such as
    those of visits, ever fewer rows have ever larger ones.
    """
    import pyarrow.compute as pc

    if not _is_whole(column) or column.distinct < _MANY:
        return True
    if column.low not in (0, 1) or column.high - column.low + 1 != column.distinct:
        return False
    counted = pc.value_counts(table.sample[column.source].drop_null()).to_pylist()
    rows = [each["counts"] for each in sorted(counted, key=lambda each: each["values"])]
    most = rows.index(max(rows))
    falls = [*pairwise(reversed(rows[: most + 1])), *pairwise(rows[most:])]
    # By chance, a number has a few rows more than the one before it.
    in_order = all(after <= before + 2 * (before + 1) ** 0.5 for before, after in falls)
    return not in_order or rows[-1] > _RARE * sum(rows)


def _is_whole(column: ColumnSummary) -> bool:
    """Whether its values are whole numbers; pandas stores them as floats if one is missing, and
    SPSS writes 1,00. Amounts of few different values are no classes."""
    if column.type != "float64" or not column.values:
        return column.type == "int64"
    is_stored = not column.written or (not column.unit and column.high <= MAX_LISTED_VALUES)
    return is_stored and all(value == round(value) for value in column.values)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + ", …" * (len(names) > 20)


def _mixed(target: ColumnSummary, texts: Sequence[str]) -> DataError:
    return DataError(
        f"target {target.source!r} has numbers, but also "
        f"{_listed([repr(text[:20]) for text in texts[:_SHOWN]])}",
        remedy="write numbers alone in the file, and nothing where there is none; or, if they "
        "are codes of classes, a letter before each",
    )


def _task(target: ColumnSummary) -> Task:
    """Derive the task as training does: text, booleans and few whole numbers are classes.

    Numbers are none if the average one is in few rows, which training cannot know.
    """
    if target.no_numbers:
        raise _mixed(target, target.no_numbers)
    is_count = target.distinct > min(MAX_LISTED_VALUES, max(2, target.present / _ROWS_OF_CLASS))
    if target.type in ("int64", "float64") and (is_count or not _is_whole(target)):
        return "regression"
    if target.type in ("date", "timestamp"):
        raise DataError(
            f"target {target.source!r} is a {target.type}", remedy="predict a number or a class"
        )
    if target.in_units and target.distinct > target.present / _ROWS_OF_CLASS:
        raise DataError(
            f"target {target.source!r} has numbers with units: {', '.join(target.in_units.tokens)}",
            remedy="write them in one unit, and without it, in the file",
        )
    most = min(MAX_CLASSES, target.present / 2)
    if target.type == "string" and target.distinct > most:
        if target.numbers:
            raise _mixed(target, target.numbers.no_numbers)
        has = f"it has {target.oddity}" if target.oddity else ""
        raise DataError(
            f"target {target.source!r} has {target.distinct} different texts "
            f"in {target.present} rows",
            remedy=has or "name a column with few classes, or with numbers",
        )
    return "binary" if target.distinct - target.respelt == 2 else "multiclass"
