"""Columns that a draft derives: texts read as numbers and dates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_resources.errors import ExpressionError
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import parse


@dataclass(frozen=True)
class DerivedColumn:
    """An entry of `clean.derive`."""

    name: str
    sql: str
    comment: str = ""


def sql_name(name: str) -> str:
    """Return a column's name as SQL: quoted only if it would mean something else."""
    try:
        plain = parse(name, "").columns == (name,)
    except ExpressionError:
        plain = False
    return name if plain else identifier(name)


def text_name(name: str) -> str:
    """Return the name of the text from which a column is read."""
    return f"{name}_text"


def read_texts(
    columns: Sequence[ColumnSummary], names: Mapping[str, str]
) -> Iterator[DerivedColumn]:
    """Yield each number and date that the contract cannot read, with what reads it."""
    for column in columns:
        if column.written:
            name = names[column.source]
            yield DerivedColumn(name, column.written.replace("{}", sql_name(text_name(name))))
