"""What is known about one column of a data file.

Measuring it belongs in `profile`.
"""

from dataclasses import dataclass
from typing import Any

from factory_assets.spec.contract import ColumnType

MAX_LISTED_VALUES = 20
"""The values of a column are listed if it has at most this many distinct ones."""


@dataclass(frozen=True)
class ColumnForm:
    """How the values of a column are read."""

    type: ColumnType
    tokens: tuple[str, ...] = ()
    """The missing-value tokens that occur in the column."""
    written: str = ""
    """SQL that reads the value, such as `CAST(try_strptime({}, '%d.%m.%Y') AS DATE)`, if the
    contract cannot; `{}` is the text."""
    pattern: str = ""
    """The regular expression that every text matches; any other text would be misread."""
    unit: str = ""
    """The unit that stands beside each number."""
    nested: bool = False
    """Whether a value holds several values."""
    bracketed: bool = False
    """Whether its texts stand in brackets, as several values do, but intervals too."""
    note: str = ""
    """A question about this reading, for somebody who knows the column."""
    no_numbers: tuple[str, ...] = ()
    """The few texts among its numbers, which count as no value unless it stays a text."""


@dataclass(frozen=True, kw_only=True)
class ColumnSummary(ColumnForm):
    """The profile of one column."""

    source: str
    """The name in the file."""
    cell: str
    """The name in the view `typed`, where names that differ only in case are one."""
    present: int = 0
    """The number of rows that have a value."""
    distinct: int = 0
    """The number of distinct values."""
    respelt: int = 0
    """How many distinct values differ from another one only in case, blanks or Unicode form."""
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()
    """All distinct values in order; empty if there are more than `MAX_LISTED_VALUES`."""
    commonest: float = 0.0
    """Share of a sample of its values that are the most frequent one; 0 of few or of no names."""
    running: bool = False
    """Whether its whole numbers increase from each row to the next, as row numbers do."""
    in_order: bool = False
    """Whether the rows of the file are nearly in the order of its times, or the reverse."""
    words: float = 0.0
    """The mean number of words of a text."""
    oddity: str = ""
    """A question that quotes values unlike the others."""
    numbers: ColumnForm | None = None
    """How a text is read whose values are numbers but for a few that mean no value; its type is
    `string` if those may be codes."""
    in_units: ColumnForm | None = None
    """How the number in a text is read that has a unit; its `tokens` are all units."""
