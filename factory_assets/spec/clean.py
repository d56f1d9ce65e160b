"""How trusted rows are made: rules, duplicates, derived columns, windows; all SQL expressions."""

from typing import Annotated, Literal

from pydantic import Field

from factory_assets.spec.base import ColumnName, Columns, Expression, Name, Spec, listed

Statistic = Literal["mean", "std", "min", "max", "slope", "first"]


class Windows(Spec):
    """Statistics over the current row and those before it: `<column>_<statistic>` for each pair."""

    by: ColumnName
    """The column whose rows belong together, such as the engine."""
    order: ColumnName
    """The column that orders them, such as the cycle."""
    size: Annotated[int, Field(ge=2, le=100_000)]
    """How many rows a window has, the current one included; the first rows have shorter ones."""
    columns: Annotated[Columns, Field(min_length=1)]
    """The columns to take statistics of; derived ones too."""
    statistics: Annotated[tuple[Statistic, ...], listed, Field(min_length=1)] = (
        "mean",
        "std",
        "slope",
    )
    """Which ones; `std` of a single row is 0, and so is `slope`."""

    @property
    def added(self) -> tuple[str, ...]:
        """The columns that the windows add, in order."""
        return tuple(f"{column}_{name}" for column in self.columns for name in self.statistics)


class Clean(Spec):
    """Make ingested rows trusted; each row is kept, quarantined or a counted duplicate.

    In this order: rules, duplicates, derived columns, windows. Rules and keys see the ingested
    columns; broken rows are gone before duplicates are looked for, so that they hide no whole one.
    """

    where: dict[Name, Expression] = {}
    """Named rules; a row for which one is false goes to quarantine under that name. Unknown (null)
    is not false, as in an SQL check constraint."""
    deduplicate: Columns = ()
    """The columns that make a row's key: the first row of each key stays, later ones are dropped
    and counted."""
    derive: dict[ColumnName, Expression] = {}
    """New columns, each from the source's columns and those derived before it."""
    windows: Windows | None = None
    """Statistics over the rows before each row, for series."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that cleaning adds, in order."""
        return (*self.derive, *(self.windows.added if self.windows else ()))
