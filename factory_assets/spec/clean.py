"""The `clean` section: rules, duplicates, derived columns and windows, all as SQL expressions.

Running them belongs in `data.transforms`.
"""

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from factory_assets.spec.base import (
    STORED,
    ColumnName,
    Columns,
    Expression,
    Name,
    Resources,
    Spec,
    is_unset,
    listed,
)

Statistic = Literal["mean", "std", "min", "max", "slope", "first"]
Size = Annotated[int, Field(ge=2, le=100_000)] | Literal["all"]


TIMEOUT = 600
"""The seconds of `timeout` if none are declared."""


def _sizes(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _require_different(key: str, values: Sequence[object]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key} names {str(value)!r} twice; keep one")


class Windows(Spec):
    """Statistics over each row and the rows before it in the same series.

    They are added as columns `<column>_<statistic>`, or `<column>_<statistic>_<size>` if there are
    several sizes.
    """

    by: ColumnName
    """The column whose equal values form one series, such as `engine`. Rows without a value form
    one series too, unless the contract says `nullable: false` of the column."""
    order: ColumnName
    """The column that orders the rows of a series, such as `cycle`."""
    size: Annotated[
        tuple[Size, ...],
        BeforeValidator(_sizes, json_schema_input_type=Size | tuple[Size, ...]),
        Field(min_length=1),
    ]
    """The number of rows in a window, the current row included; the first rows of a series have
    shorter windows. `all` is every row so far. A list such as `[5, 20]` adds windows of each
    size."""
    columns: Annotated[Columns, Field(min_length=1)]
    """The columns to compute statistics of; derived columns are allowed. A text has only `min`,
    `max` and `first`."""
    statistics: Annotated[tuple[Statistic, ...], listed, Field(min_length=1)] = (
        "mean",
        "std",
        "slope",
    )
    """Which statistics to compute: `std` is that of the population, `slope` the least-squares slope
    per row, `first` the value in the first row of the window. `std` and `slope` of a single row are
    0."""

    @model_validator(mode="after")
    def _names_each_once(self, info: ValidationInfo) -> Self:
        # What was stored before this was refused is still read.
        for key in () if info.context == STORED else ("size", "columns", "statistics"):
            _require_different(key, getattr(self, key))
        return self

    @property
    def added(self) -> tuple[str, ...]:
        """The columns that the windows add, in order."""
        return tuple(name for column in self.columns for name in self.of(column))

    def of(self, column: str) -> dict[str, tuple[Statistic, Size]]:
        """Return the columns that the windows add for `column`: name to statistic and size."""
        several = len(self.size) > 1
        return {
            f"{column}_{statistic}_{size}" if several else f"{column}_{statistic}": (
                statistic,
                size,
            )
            for size in self.size
            for statistic in self.statistics
        }


class Deduplicate(Spec):
    """Which of several rows with the same key stays."""

    key: Annotated[Columns, Field(min_length=1)]
    """The columns that form the key of a row, such as `order_id`."""
    keep: Literal["first", "last"] = "first"
    """Which row stays; `last` if later files correct earlier ones."""
    order: ColumnName | None = None
    """The column that says which row is first and which is last, such as `exported`; a row without
    a value comes before the others, and equal ones as they are read. Default: the order in which
    rows are read, file by file in the order of their names."""


def _form(value: Any) -> str:
    return "rule" if isinstance(value, dict | Deduplicate) else "columns"


class Clean(Spec):
    """Which ingested rows are trusted, and which columns are added to them.

    Each row is kept, quarantined, or dropped and counted as a duplicate. The order is: rules,
    duplicates, derived columns, windows. Rules and `deduplicate` see the ingested columns, after
    `unify`. Rows that break a rule are removed before duplicates are looked for, so that they never
    displace a valid row.
    """

    unify: Annotated[Columns, Field(exclude_if=is_unset)] = ()
    """Columns of text whose spellings become one before anything else is done: lower case, single
    blanks and none around, composed Unicode (NFC). So `Yes`, `yes` and `YES ` are `yes`. Default:
    texts stay as they are."""

    where: dict[Name, Expression] = {}
    """Rules by name, each an SQL expression (DuckDB) that must hold, such as
    `{positive: torque > 0}`. A row for which a rule is false goes to quarantine, with the rule's
    name. Unknown (null) passes, as in an SQL check constraint."""
    deduplicate: Annotated[
        Annotated[Columns, Tag("columns")] | Annotated[Deduplicate, Tag("rule")],
        Discriminator(_form),
    ] = ()
    """The columns that form the key of a row, such as `order_id`. The first row of each key is
    kept; later ones are dropped and counted. Rows without a value in any of them are all kept.
    `{key: order_id, keep: last}` keeps the last row instead. Default: no row is a duplicate."""
    derive: dict[ColumnName, Expression] = {}
    """New columns by name, each an SQL expression (DuckDB) over the ingested columns and those
    derived before it, such as `{power: torque * speed}`."""
    windows: Windows | None = None
    """Statistics over each row and the rows before it, for series such as the cycles of an engine.
    Default: none."""
    timeout: Annotated[int, Field(ge=1, le=86_400, exclude_if=lambda s: s == TIMEOUT)] = TIMEOUT
    """The most seconds that the expressions may take for each million rows, a smaller table
    included; the run fails if they take longer."""
    resources: Annotated[Resources | None, Field(exclude_if=is_unset)] = None
    """What one process of this stage needs, such as `{memory: 8 GB}`. Default: not known."""

    @model_validator(mode="after")
    def _unifies_each_once(self, info: ValidationInfo) -> Self:
        if info.context != STORED:
            _require_different("unify", self.unify)
        return self

    @property
    def deduplication(self) -> Deduplicate | None:
        """Which of several rows with the same key stays; None if all do."""
        if isinstance(self.deduplicate, Deduplicate):
            return self.deduplicate
        return Deduplicate(key=self.deduplicate) if self.deduplicate else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that cleaning adds, in order."""
        return (*self.derive, *(self.windows.added if self.windows else ()))


def derived_later(name: str, derived: Collection[str]) -> str:
    """Return what to do if a column that is not there yet is derived; empty if it is not."""
    if name.lower() not in {other.lower() for other in derived}:
        return ""
    return (
        "it is derived later, since rules come before derived columns, and these in their order; "
        "write its expression here"
    )
