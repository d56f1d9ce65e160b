"""Decide names, inputs, derived columns, split and metric for a profiled table.

Each kind of decision has a module of its own; this one brings them together. What only the owner of
the data can know, such as a column's valid range, is not guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.derived import (
    DerivedColumn,
    DraftedRule,
    date_rules,
    read_texts,
    sql_name,
)
from factory_assets.cli.new.leaks import FoundLeaks, find_leaks, repeats
from factory_assets.cli.new.names import UNIT, column_names, free_name, taken_names
from factory_assets.cli.new.offsets import REASON, offsets
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.redundant import codes_of_classes, same_values
from factory_assets.cli.new.roles import (
    TIMES,
    is_code,
    is_group,
    is_sentence,
    is_slice,
    personal_data_reason,
    why_excluded,
)
from factory_assets.cli.new.split import SplitChoice, choose_split, require_parts
from factory_assets.cli.new.target import (
    REMAINING,
    TargetChoice,
    find_target,
    is_decided_by_few,
)
from factory_assets.cli.new.windows import choose_windows
from factory_assets.spec.clean import Windows
from factory_assets.spec.evaluate import Metric
from factory_assets.spec.train import Task
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER
from factory_resources.errors import DataError

SAME_INPUTS = "same_inputs"
"""The name of a derived column that is the same for rows with the same inputs."""


@dataclass(frozen=True)
class Recommendation:
    """The decisions that a declaration needs."""

    names: Mapping[str, str]
    """A column's name in the source to its name in the pipeline."""
    texts: Mapping[str, str]
    """A column's name in the source to the name of what it is derived from, if it is: the text from
    which it is read, or the number from which an offset is subtracted."""
    units: Mapping[str, str]
    """A column's name in the source to its unit, if the name contains one."""
    target: TargetChoice
    target_name: str
    """In the pipeline."""
    exclude: Mapping[str, str]
    """A column's name to the reason why it is not an input."""
    suspected: Mapping[str, str]
    """An input's name to the reason why it may be known only afterwards."""
    allowed: Mapping[str, str]
    """An input's name to the reason why it is known beforehand, though the target is made of it."""
    categorical: tuple[str, ...]
    """Whole-number inputs that stand for categories."""
    text: Mapping[str, str]
    """An input of sentences to the encoder that reads it."""
    unify: tuple[str, ...]
    """Inputs, and the target, with values that are spelt in several ways."""
    deduplicate: tuple[str, ...]
    """The columns that are equal in copied rows."""
    where: tuple[DraftedRule, ...]
    derive: tuple[DerivedColumn, ...]
    windows: Windows | None
    group: str | None
    """The column whose equal values stay in one part of the split."""
    split: SplitChoice
    slices: tuple[str, ...]
    metric: Metric


def recommend(table: FileProfile, target: str | None = None) -> Recommendation:
    """Decide everything that a declaration needs.

    Args:
        table: the profile of the data file.
        target: the name of the column to predict, in the source or in the pipeline; None to guess.

    Raises:
        DataError: the target does not exist, is empty, is constant or is a date, is text with too
            many distinct values, no input column is left, or there are too few rows.
    """
    names = dict(column_names(table))
    taken = taken_names(names.values())
    written = (c.source for c in table.columns if c.written)
    texts = {source: free_name(f"{names[source]}_text", taken) for source in written}
    outcome = find_target(table, names, target)
    table = _without_series_of(table, outcome)
    others = [c for c in table.columns if c is not outcome.column]
    exclude = {c.source: why for c in others if (why := _why_excluded(c, table, names))}
    codes = codes_of_classes(table, others, outcome)
    if any(c.source not in exclude | codes for c in others):
        exclude |= codes
    leaks = _leaks(table, outcome, [c for c in others if c.source not in exclude], names)
    exclude |= leaks.sure
    exclude |= same_values(table, [c for c in others if c.source not in exclude], names)
    inputs = [c for c in others if c.source not in exclude]
    units = [c for c in others if c.source not in codes]
    groups = [c for c in units if is_group(c, names[c.source], table.rows)]
    split = choose_split(table, outcome, groups, inputs, names)
    target_name = names[outcome.column.source] if outcome.column else free_name(REMAINING, taken)
    derive = _remaining(table, outcome, names, target_name)
    if not inputs:
        raise _no_input(outcome, exclude, names)
    require_parts(table, outcome, split)
    coded = {c.source for c in inputs if is_code(c, names[c.source])}
    found = dict(offsets(table, [c for c in inputs if c.source not in coded]))
    far = {source: free_name(f"{names[source]}_unshifted", taken) for source in found}
    copies = repeats(table, [c.source for c in inputs], outcome)
    group = names[split.group.source] if split.group else None
    if copies == "alike" and not group and not split.time:
        group = free_name(SAME_INPUTS, taken)
        derive.append(_same_inputs(inputs, names, group))
    return Recommendation(
        names=names,
        texts=texts | far,
        units={c.source: unit for c in table.columns if (unit := _unit(c))},
        target=outcome,
        target_name=target_name,
        exclude=_by_name(exclude, names) | _texts(texts | far, names),
        suspected=_by_name(leaks.suspected, names),
        allowed=_order(table, outcome, names),
        categorical=tuple(names[c.source] for c in inputs if c.source in coded),
        text={names[c.source]: DEFAULT_ENCODER for c in inputs if is_sentence(c)},
        unify=tuple(names[c.source] for c in _respelt(outcome, inputs)),
        deduplicate=_key(inputs, outcome, names | texts | far) if copies == "copied" else (),
        where=tuple(date_rules(table.columns, names, texts)),
        derive=(
            *read_texts(table.columns, names, texts),
            *(_shifted(names[source], far[source], offset) for source, offset in found.items()),
            *derive,
        ),
        windows=choose_windows(table, inputs, names, taken),
        group=group,
        split=split,
        slices=_slices(table, inputs, names),
        metric="mae" if is_decided_by_few(table, outcome) else METRICS[outcome.task],
    )


METRICS: Mapping[Task, Metric] = {
    "binary": "average_precision",
    "multiclass": "balanced_accuracy",
    "regression": "rmse",
}


def _without_series_of(table: FileProfile, target: TargetChoice) -> FileProfile:
    """Return the table without its series if their unit or order is to be predicted."""
    series, column = table.series, target.column
    is_part = series and column and column.source in (series.by, series.order)
    return replace(table, series=None) if is_part else table


def _unit(column: ColumnSummary) -> str:
    found = UNIT.search(column.source)
    return found[1] if found else column.unit


def _why_excluded(column: ColumnSummary, table: FileProfile, names: Mapping[str, str]) -> str:
    if table.series and column.source == table.series.by:
        return "identifies the series that a row belongs to"
    if table.series and column.source == table.series.order:
        return ""
    return why_excluded(column, names[column.source], table.rows)


def _leaks(
    table: FileProfile,
    target: TargetChoice,
    columns: Sequence[ColumnSummary],
    names: Mapping[str, str],
) -> FoundLeaks:
    # The order of a series says a lot about what is left of it, but is known beforehand.
    order = table.series.order if table.series else None
    return find_leaks(table, target, [c for c in columns if c.source != order], names)


def _remaining(
    table: FileProfile, target: TargetChoice, names: Mapping[str, str], name: str
) -> list[DerivedColumn]:
    """Return the rows that each unit has left, if they are the target."""
    if target.column is not None or table.series is None:
        return []
    by, order = (sql_name(names[name]) for name in (table.series.by, table.series.order))
    if _is_timed(table):
        rows = f"count(*) OVER (PARTITION BY {by})"
        sql = f"{rows} - row_number() OVER (PARTITION BY {by} ORDER BY {order})"
    else:
        sql = f"max({order}) OVER (PARTITION BY {by}) - {order}"
    return [DerivedColumn(name, sql, "correct only if every series runs to its end")]


def _is_timed(table: FileProfile) -> bool:
    """Whether times order the series, not a number that counts up."""
    order = table.series.order if table.series else None
    return any(c.source == order and c.type in TIMES for c in table.columns)


def _order(table: FileProfile, target: TargetChoice, names: Mapping[str, str]) -> dict[str, str]:
    if target.column is not None or table.series is None or _is_timed(table):
        return {}
    return {names[table.series.order]: "counted from the first row on, so it is known"}


def _no_input(
    target: TargetChoice, exclude: Mapping[str, str], names: Mapping[str, str]
) -> DataError:
    reasons = "; ".join(f"{names[name]}: {why}" for name, why in list(exclude.items())[:5])
    name = target.column.source if target.column else REMAINING
    remedy = f"add columns ({reasons})" if reasons else "add columns"
    return DataError(f"no column is left from which to predict {name!r}", remedy=remedy)


def _same_inputs(
    inputs: Sequence[ColumnSummary], names: Mapping[str, str], name: str
) -> DerivedColumn:
    cells = ", ".join(sql_name(names[c.source]) for c in inputs)
    return DerivedColumn(name, f"md5(concat_ws('|', {cells}))", "equal for rows with equal inputs")


def _shifted(name: str, of: str, offset: int) -> DerivedColumn:
    sign = "-" if offset > 0 else "+"
    return DerivedColumn(name, f"{sql_name(of)} {sign} {abs(offset)}", REASON)


def _by_name(reasons: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {names[source]: why for source, why in reasons.items()}


def _texts(texts: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Return the columns from which others are read: those are the inputs."""
    return {text: f"{names[source]} is read from it" for source, text in texts.items()}


def _respelt(target: TargetChoice, inputs: Sequence[ColumnSummary]) -> list[ColumnSummary]:
    columns = [target.column, *inputs] if target.column else inputs
    return [c for c in columns if c.respelt]


def _key(
    inputs: Sequence[ColumnSummary],
    target: TargetChoice,
    names: Mapping[str, str],
) -> tuple[str, ...]:
    """Return the columns that are the same in copied rows, as they are before any is derived."""
    columns = [*inputs, *([target.column] if target.column else [])]
    return tuple(names[c.source] for c in columns)


def _slices(
    table: FileProfile, inputs: Sequence[ColumnSummary], names: Mapping[str, str]
) -> tuple[str, ...]:
    fits = [c for c in inputs if is_slice(c) and not personal_data_reason(c, table.examples(c))]
    return tuple(names[c.source] for c in fits)[:1]
