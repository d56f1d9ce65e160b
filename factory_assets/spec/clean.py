"""How trusted rows are made: rules, duplicates, derived columns, windows; all SQL expressions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from factory_assets.spec.base import ColumnName, Columns, Expression, Name, Spec, listed

Statistic = Literal["mean", "std", "min", "max", "slope", "first"]
Size = Annotated[int, Field(ge=2, le=100_000)] | Literal["all"]


def _sizes(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class Windows(Spec):
    """Statistics over the current row and those before it: `<column>_<statistic>` for each pair,
    `<column>_<statistic>_<size>` where there are several sizes."""

    by: ColumnName
    """The column whose rows belong together, such as the engine."""
    order: ColumnName
    """The column that orders them, such as the cycle."""
    size: Annotated[
        tuple[Size, ...],
        BeforeValidator(_sizes, json_schema_input_type=Size | tuple[Size, ...]),
        Field(min_length=1),
    ]
    """How many rows a window has, the current one included; the first rows have shorter ones.
    `all` is every row so far. A list makes a window of each size."""
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
        return tuple(name for column in self.columns for name in self.of(column))

    def of(self, column: str) -> dict[str, tuple[Statistic, Size]]:
        """The columns that are added for one: the name of each, and what it is."""
        several = len(self.size) > 1
        return {
            f"{column}_{statistic}_{size}" if several else f"{column}_{statistic}": (
                statistic,
                size,
            )
            for size in self.size
            for statistic in self.statistics
        }


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
