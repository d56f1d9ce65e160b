"""Find columns that duplicate another one or the target, such as a code beside its name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import TIMES
from factory_assets.cli.new.target import TargetChoice

if TYPE_CHECKING:
    import pyarrow as pa

_FEWEST = 20
"""Fewest different values: few values may agree by chance, or stand for an order.

So may few rows."""

_CODES = ("string", "int64", "bool")
"""Types of names and of numbers that stand for names."""

_MEASURED = ("float64", *TIMES)
"""Types whose columns are duplicates only if they are equal: others may be two units of one
measurement, or as many days apart in each row."""


def same_values(
    table: FileProfile, columns: Sequence[ColumnSummary], names: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns that equal another one, or have one value for each of its values.

    Each has the reason. Of two such columns a text stays rather than a number, and the first one
    rather than the second.

    Args:
        table: the profile of the data file.
        columns: the columns that could be inputs.
        names: the columns' names in the file and in the pipeline.
    """
    texts_first = sorted(columns, key=lambda c: c.type != "string")
    found: dict[str, str] = {}
    for one, other in _candidates(texts_first):
        if one.source not in found and _is_same(table.sample, one, other):
            found.setdefault(other.source, f"duplicates {names[one.source]}")
    return found


def codes_of_classes(
    table: FileProfile, columns: Sequence[ColumnSummary], target: TargetChoice
) -> dict[str, str]:
    """Return the columns that have one value for each class of the target, with the reason."""
    if target.task == "regression" or target.column is None:
        return {}
    one = target.column
    alike = [c for c in columns if c.type in _CODES and c.distinct == one.distinct]
    alike = [c for c in alike if c.present >= _FEWEST]
    return {
        c.source: "has one value for each class of the target: known only afterwards?"
        for c in alike
        if _is_same(table.sample.select([one.source, c.source]).drop_null(), one, c)
    }


def _candidates(
    columns: Sequence[ColumnSummary],
) -> Iterator[tuple[ColumnSummary, ColumnSummary]]:
    """Yield the pairs of columns that have as many different values in as many rows.

    Fractions and times must also have the same ends, because only equal columns of them are
    duplicates.
    """
    alike: dict[tuple[object, ...], list[ColumnSummary]] = {}
    for column in columns:
        if column.type in (*_CODES, *_MEASURED) and column.distinct >= _FEWEST:
            ends = (column.low, column.high) if column.type in _MEASURED else ()
            others = alike.setdefault((column.distinct, column.present, *ends), [])
            yield from ((other, column) for other in others)
            others.append(column)


def _is_same(sample: "pa.Table", one: ColumnSummary, other: ColumnSummary) -> bool:
    """Whether both columns are equal, or each value of one occurs with a single one of the other.

    These values must be repeated, and be no fractions or times.
    """
    if sample[one.source].equals(sample[other.source]):
        return True
    if {one.type, other.type} & {*_MEASURED}:
        return False
    names = [one.source, other.source]
    pairs, ones, others = (
        sample.group_by(of).aggregate([]).num_rows for of in (names, names[:1], names[1:])
    )
    return bool(pairs == ones == others and pairs < sample.num_rows / 2)
