"""Decide how rows are split: by time, by group, or at random within each class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import (
    NEARLY_ALL,
    TIMES,
    is_birth,
    is_dispensable,
    is_plan,
    is_somebody,
    may_be_unit,
)
from factory_assets.cli.new.target import TargetChoice
from factory_assets.data.leakage.semantics import words_of
from factory_resources.errors import DataError

_FEWEST_TIMES = 10
"""Fewest different times of a split by time."""

_TRAINED = 0.7
"""Share of the rows that are trained on."""

_DIVIDED, _TESTED = 5, 3
"""Fewest rows that give one to each part, and one to the test rows: the shares of fewer are rounded
to none."""

_TIMELY = frozenset(
    (
        *("date", "time", "datetime", "timestamp", "day", "created", "recorded"),
        *("measured", "at", "on"),
        *("datum", "zeit", "zeitpunkt", "zeitstempel", "tag"),
        *("erstellt", "erfasst", "gemessen", "am"),
    )
)
"""Words in the names of columns that say when a row happened."""

_ORIGINS = frozenset(
    (
        *("built", "build", "manufactured", "installed", "installation"),
        *("commissioned", "commissioning", "hired"),
        *("gebaut", "baujahr", "baudatum", "erstzulassung", "eintritt", "eintrittsdatum"),
        *("hergestellt", "herstellung", "herstelldatum", "herstellungsdatum"),
        *("installiert", "inbetriebnahme", "inbetriebnahmedatum"),
    )
)
"""Words for a time since when the thing or person of a row is there: no row happened then."""

_SHOWN = 3
"""How many other times a comment names."""


@dataclass(frozen=True)
class SplitChoice:
    """How the rows are split, and why."""

    group: ColumnSummary | None = None
    time: ColumnSummary | None = None
    stratified: bool = False
    why: str = ""


def choose_split(
    table: FileProfile,
    target: TargetChoice,
    groups: Sequence[ColumnSummary],
    inputs: Sequence[ColumnSummary],
    names: Mapping[str, str],
) -> SplitChoice:
    """Return the split that fits the rows.

    Series stay whole, and so do the rows of one person or thing. Otherwise, if the rows have a
    time, the latest are the test rows: that is how the model will be used.

    Args:
        table: the profile of the data file.
        target: what is predicted.
        groups: the columns that identify the group of a row.
        inputs: the columns that are known beforehand.
        names: the columns' names in the file and in the pipeline.
    """
    if table.series:
        by = next(c for c in table.columns if c.source == table.series.by)
        order = next(c for c in table.columns if c.source == table.series.order)
        # The leak check then suspects that test rows are of the same time as those learned from.
        later = f"; to test on the latest rows instead, time: {names[order.source]}"
        whole = "whole series: rows of one series are alike"
        return SplitChoice(group=by, why=f"{whole}{later * (order.type in TIMES)}")
    kept = "keeps all rows of a group in one part; otherwise the test is too easy"
    may_be = [names[c.source] for c in inputs if may_be_unit(c, table.rows) and not groups][:1]
    units = [f"if rows with one {unit} are alike: group: {unit}, and exclude it" for unit in may_be]
    candidates = _times(table, inputs, panel=not groups)
    time = next((c for c in candidates if _can_be_learned(table, target, c)), None)
    if time and not any(is_somebody(group) for group in groups):
        others = [names[c.source] for c in candidates if c is not time]
        more = ", …" * (len(others) > _SHOWN)
        also = [f"other times: {', '.join(others[:_SHOWN])}{more}"] * bool(others)
        instead = [f"to test on new groups instead, group: {names[g.source]}" for g in groups[:1]]
        undated = ["rows without a time go to quarantine"] * (time.present < table.rows)
        why = ["the latest rows are the test rows", *undated, *also, *instead, *units]
        return SplitChoice(time=time, why="; ".join(why))
    if groups:
        group = min(groups, key=lambda group: not is_somebody(group))
        without = "go to quarantine" if is_dispensable(group, table.rows) else "stay together"
        unknown = f"; rows without one {without}" if group.present < table.rows else ""
        return SplitChoice(group=group, why=f"{kept}{unknown}")
    if target.task != "regression":
        dated = [f"split by {names[c.source]}, a part would lack some" for c in candidates[:1]]
        why = ["the same share of each class in every part", *dated, *units]
        return SplitChoice(stratified=True, why="; ".join(why))
    return SplitChoice(why="; ".join(units))


def require_parts(table: FileProfile, target: TargetChoice, split: SplitChoice) -> None:
    """Require a row for each part, and two classes for the test rows.

    Of groups and times, enough are known to be there, and of classes in many rows.

    Raises:
        DataError: there are too few rows, or too few of each class.
    """
    import pyarrow.compute as pc

    if split.group or split.time or target.column is None:
        return
    name, rows = target.column.source, target.column.present
    if rows < _DIVIDED:
        raise DataError(
            f"{rows} rows are too few for training, validation and test",
            remedy="name a file with more rows",
        )
    if not split.stratified or table.sample.num_rows < table.rows:
        return
    counted = pc.value_counts(table.sample[name].drop_null()).field("counts").to_pylist()
    require_divisible(
        counted,
        f"classes of {name!r}",
        "rows",
        "merge rare classes in the file, or name another column with --target",
    )


def require_divisible(counts: Iterable[int], classes: str, things: str, remedy: str) -> None:
    """Require a thing for each part, and two classes for the test.

    Args:
        counts: how many things each class has.
        classes: what the classes are called.
        things: what they are called.

    Raises:
        DataError: there are too few.
    """
    most, second = sorted(counts, reverse=True)[:2]
    if most < _DIVIDED or second < _TESTED:
        raise DataError(
            f"the most frequent {classes} have {most} and {second} {things}, too few for "
            "training, validation and test",
            remedy=remedy,
        )


def _times(
    table: FileProfile, inputs: Sequence[ColumnSummary], *, panel: bool
) -> list[ColumnSummary]:
    """Return the columns that say when a row happened, the likeliest first.

    Rows are often stored as they happen. Names are a hint, and so is a time of day, or to be late.

    Args:
        table: the profile of the data file.
        inputs: the columns that are known beforehand.
        panel: whether the years of a panel count too.
    """
    candidates = [
        c
        for c in inputs
        if c.type in TIMES
        and c.present >= NEARLY_ALL * table.rows
        and c.distinct >= _FEWEST_TIMES
        and not is_birth(c)
    ]
    candidates.sort(key=lambda c: _unlikeness(table, c))
    if panel and not candidates and table.panel_time:
        return [table.panel_time]
    return candidates


def _unlikeness(table: FileProfile, column: ColumnSummary) -> tuple[Any, ...]:
    """Return what is least for the column of times that most likely says when a row happened."""
    words = {*words_of(column.source)}
    return (
        not column.in_order,
        bool(_ORIGINS & words) or is_plan(column),
        column.type != "timestamp",
        not _TIMELY & words,
        -_middle(table, column),
    )


def _middle(table: FileProfile, column: ColumnSummary) -> int:
    """Return the median time of a sample, in microseconds."""
    import pyarrow as pa

    moments = table.sample[column.source].drop_null().cast(pa.timestamp("us"))
    middle: int = moments.cast(pa.int64()).sort()[len(moments) // 2].as_py()
    return middle


def _can_be_learned(table: FileProfile, target: TargetChoice, time: ColumnSummary) -> bool:
    """Whether the earlier rows have every class, and the later ones more than one."""
    if target.task == "regression" or target.column is None:
        return True
    known = table.sample.select([target.column.source, time.source]).drop_null()
    ordered = known.sort_by(time.source)[target.column.source]
    cut = int(len(ordered) * _TRAINED)
    early, late = (set(part.unique().to_pylist()) for part in (ordered[:cut], ordered[cut:]))
    return late <= early and len(late) > 1
