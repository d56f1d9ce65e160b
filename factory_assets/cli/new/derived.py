"""Columns that a draft derives: texts read as numbers and dates; and rules for those texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.names import free_name
from factory_resources.errors import ExpressionError
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import parse

_READERS = ("try_strptime(", "AS TIMESTAMPTZ)")
"""What reads a 31st of February as no value."""


@dataclass(frozen=True)
class DerivedColumn:
    """An entry of `clean.derive`."""

    name: str
    sql: str
    comment: str = ""


@dataclass(frozen=True)
class DraftedRule:
    """An entry of `clean.where`."""

    name: str
    sql: str


def sql_name(name: str) -> str:
    """Return a column's name as SQL: quoted only if it would mean something else."""
    try:
        plain = parse(name, "").columns == (name,)
    except ExpressionError:
        plain = False
    return name if plain else identifier(name)


def read_texts(
    columns: Sequence[ColumnSummary], names: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[DerivedColumn]:
    """Yield each number and date that the contract cannot read, with what reads it.

    Args:
        columns: all columns of the file.
        names: their names in the file and in the pipeline.
        texts: the names of the texts from which some are read, by the columns' names in the file.
    """
    for column in columns:
        if column.source in texts:
            yield DerivedColumn(names[column.source], _read(column, texts)[1])


def date_rules(
    columns: Sequence[ColumnSummary], names: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[DraftedRule]:
    """Yield a rule for each text that is read as a date: no pattern knows how long a month is.

    The arguments are those of `read_texts`.
    """
    taken = set[str]()
    for column in columns:
        may_fail = any(reader in column.written for reader in _READERS)
        if column.source in texts and may_fail:
            text, read = _read(column, texts)
            name = free_name(f"{names[column.source].lower()[:50]}_valid", taken)
            yield DraftedRule(name, f"{text} IS NULL OR {read} IS NOT NULL")


def _read(column: ColumnSummary, texts: Mapping[str, str]) -> tuple[str, str]:
    """Return SQL for the text of a column, and for what is read from it."""
    text = sql_name(texts[column.source])
    return text, column.written.replace("{}", text)
