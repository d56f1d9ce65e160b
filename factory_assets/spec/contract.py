"""What the data promises: of each column, and of the table as a whole.

Checking data against a contract belongs in `data.contract`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from factory_assets.spec.base import (
    ColumnName,
    Columns,
    Number,
    Spec,
    Strings,
    is_unset,
    listed,
    suggest,
)
from factory_assets.spec.calendar import check_timezone

ColumnType = Literal["int64", "float64", "string", "bool", "date", "timestamp"]

NUMBERS: frozenset[ColumnType] = frozenset({"int64", "float64"})

TIMES: frozenset[ColumnType] = frozenset({"date", "timestamp"})

Bound = Number | str | None

Length = Annotated[int, Field(ge=0)] | None

Value = int | float | str | bool


def _zone(value: str) -> str:
    if value in {"localtime", "posixrules"} or value.startswith("right/"):
        raise ValueError(f"{value!r} is a zone of this machine; use a name such as Europe/Berlin")
    return check_timezone(value)


class Column(Spec):
    """One promised column.

    A row that breaks a promise goes to quarantine, with the name of the broken rule.
    """

    name: ColumnName
    """The column's name in every later stage; it must not begin with `_`."""
    source: Annotated[str | None, Field(alias="from")] = None
    """The column's name in the source, such as `Torque [Nm]`. Default: the same as `name`."""
    type: ColumnType | None = None
    """The type that every value must have; a row with any other value goes to quarantine. Default:
    inferred from the values. In a pipeline with `partitions`, every column needs a type."""
    nullable: bool = True
    """Whether a value may be missing. With `false`, a row without a value goes to quarantine."""
    unique: bool = False
    """Whether each value may occur only once. With `true`, later rows with the same value go to
    quarantine."""
    range: Annotated[tuple[Bound, Bound] | None, listed] = None
    """The smallest and the largest allowed value, both included: numbers such as `[0, 100]`, or
    dates and times (UTC) such as `["2024-01-31", null]`. `null` leaves a side open."""
    length: Annotated[tuple[Length, Length] | None, listed] = None
    """The smallest and the largest allowed number of characters of a text, both included, such as
    `[1, 20]`. `null` leaves a side open."""
    pattern: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """A regular expression (RE2) that the whole text must match, such as `[A-Z]{2}[0-9]+`."""
    values: Annotated[tuple[Value, ...] | None, listed] = None
    """The allowed values, such as `[low, medium, high]`. Default: all values."""
    timezone: Annotated[
        Annotated[str, AfterValidator(_zone)] | None, Field(exclude_if=is_unset)
    ] = None
    """The time zone of the times that are written without an offset, such as `Europe/Berlin`; all
    times are stored in UTC. Default: UTC, with a warning if other times of the column have an
    offset."""
    missing: Strings = ()
    """Tokens that mean "no value" in this column, such as `"?"`, in addition to
    `ingest.missing`."""
    sensitive: Literal["personal", "secret"] | None = None
    """Hides the column's values from everything that is shown or logged. A `secret` column is not
    an input of a model either; a `personal` one may be."""
    share: Annotated[Literal["never"] | None, Field(exclude_if=is_unset)] = None
    """With `never`, nothing that holds the column leaves this home: with a store
    (`FACTORY_STORE`), the tables, records and models of the pipeline stay here, and so do those of
    pipelines that read the column from its tables. Default: all of it goes to the store."""
    unit: str | None = None
    """The unit of measurement, such as `Nm`. It is shown with the column and changes no value."""
    description: str | None = None
    """What the column means. It is shown with the column, and the search for leaks reads it."""

    @property
    def source_name(self) -> str:
        return self.source if self.source is not None else self.name

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.range:
            self._range_fits(self.range)
        for key in ("range", "length"):
            self._is_ordered(key, getattr(self, key))
        if self.timezone and self.type not in {None, "timestamp"}:
            raise ValueError(
                f"timezone of column {self.name!r} is for timestamps, not for {self.type}"
            )
        for key in ("length", "pattern"):
            if getattr(self, key) is not None and self.type not in {None, "string"}:
                raise ValueError(
                    f"{key} of column {self.name!r} is for strings, not for {self.type}"
                )
        return self

    def _range_fits(self, bounds: tuple[Bound, Bound]) -> None:
        texts = [bound for bound in bounds if isinstance(bound, str)]
        numbers = [bound for bound in bounds if isinstance(bound, int | float)]
        if self.type in {"string", "bool"}:
            raise ValueError(
                f"range of column {self.name!r} is for numbers and dates, not for {self.type}"
            )
        if texts and (numbers or self.type in NUMBERS):
            raise ValueError(f"range of column {self.name!r} needs numbers, not {texts[0]!r}")
        if numbers and self.type in TIMES:
            raise ValueError(f'range of column {self.name!r} needs dates, such as "2024-01-31"')

    def _is_ordered(self, key: str, bounds: tuple[Bound, Bound] | None) -> None:
        try:
            low, high = (_comparable(bound) for bound in bounds or (None, None))
        except ValueError as error:
            raise ValueError(f"{key} of column {self.name!r}: {error}") from error
        if low is not None and high is not None and low > high:  # type: ignore[operator]
            raise ValueError(
                f"{key} {list(bounds or ())} of column {self.name!r} is reversed; "
                "write the smaller one first"
            )


def _comparable(bound: Bound) -> int | float | datetime | None:
    if not isinstance(bound, str):
        return bound
    try:
        time = datetime.fromisoformat(bound)
    except ValueError as error:
        raise ValueError(f"{bound!r} is not a date; write it as 2024-01-31") from error
    if time.tzinfo is not None:
        raise ValueError(f"{bound!r} has an offset; write the time in UTC without one")
    return time


Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(min|h|d|w)$", examples=["2d"])]
"""A duration: a whole number and `min`, `h`, `d` or `w`."""

_DESCRIPTIVE = frozenset({"description", "unit", "sensitive", "share"})
"""Keys of a column that do not decide which rows pass."""


class Rows(Spec):
    """How many rows the table must have; the pipeline stops otherwise.

    In a pipeline with partitions, the limits apply to each partition.
    """

    at_least: Annotated[int, Field(ge=1)] | None = None
    """The smallest allowed number of rows."""
    at_most: Annotated[int, Field(ge=1)] | None = None
    """The largest allowed number of rows."""

    @model_validator(mode="after")
    def _is_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("rows needs `at_least` or `at_most`")
        if self.at_least and self.at_most and self.at_least > self.at_most:
            raise ValueError(f"rows: at_least {self.at_least} is more than at_most {self.at_most}")
        return self


class Freshness(Spec):
    """How old the newest row may be; the pipeline stops if it is older.

    This is checked in every run, even if the data has not changed.
    """

    column: ColumnName
    """The date or timestamp column (UTC) whose newest value is checked."""
    within: Duration
    """The largest allowed age of the newest value: a whole number and `min`, `h`, `d` or `w`, such
    as `36h` or `2d`."""


class Distribution(Spec):
    """How far the columns may drift from the previous snapshot."""

    limit: Annotated[float, Field(gt=0)] | None = None
    """The largest allowed population stability index (PSI) of a column: 0 means no change, 0.1 a
    slight and 0.2 a clear one. The pipeline stops if a column exceeds it, or if columns are new,
    gone or of another type (unless the contract declares every column with its type). Default: no
    limit; an index of 0.2 or more is only a warning."""
    columns: Columns = ()
    """The columns to compare. Default: all columns."""


class Contract(Spec):
    """What the data promises: a mapping of these keys, a list of columns, or the path of a file.

    A row that breaks a promise about rows goes to quarantine. A table that breaks a promise about
    the table as a whole stops the pipeline.
    """

    file: Annotated[str, Field(min_length=1)] | None = None
    """The path of a contract in the Open Data Contract Standard (ODCS v3), relative to the
    `defs.yaml`. It replaces all keys but `table`."""
    table: str | None = None
    """With `file`: the schema to use if the file contains several, such as `orders`."""
    columns: Annotated[tuple[Column, ...], listed] = ()
    """The promised columns; no other column is read. Default: all columns are read, and their types
    are inferred from the values."""
    unique: Annotated[tuple[Columns, ...], listed] = ()
    """Lists of columns whose combined values may occur only once, such as `[[site, machine]]`;
    later rows go to quarantine."""
    rows: Rows | None = None
    """How many rows the table must have; the pipeline stops otherwise. Default: any number."""
    freshness: Freshness | None = None
    """How old the newest row may be; the pipeline stops if it is older. Default: any age."""
    distribution: Distribution = Distribution()
    """How far the columns may drift from the previous snapshot. Default: drift is only a
    warning."""
    unchecked: Strings = ()
    """Further promises in words. They are shown with the asset; nothing checks them."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def promises(self) -> dict[str, Any]:
        """Return everything that decides which rows pass and what is measured on them.

        Without descriptions, and without the limits that the measurements are compared with.
        """
        data = self.model_dump(mode="json", include={"columns", "unique"})
        for column in data["columns"]:
            for key in _DESCRIPTIVE:
                column.pop(key, None)
        return {**data, "newest": self.freshness.column if self.freshness else None}

    @model_validator(mode="after")
    def _file_is_alone(self) -> Self:
        beside = [key for key in self.model_fields_set if key not in {"file", "table"}]
        if self.file and beside:
            raise ValueError(
                f"{sorted(beside)[0]} belongs in the contract file {self.file}; move it there"
            )
        if self.table and not self.file:
            raise ValueError("table needs `file`, the contract that contains it")
        return self

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        if repeated := duplicates(self.names):
            raise ValueError(f"contract names column {repeated[0]!r} twice")
        for names in self.unique:
            if not names or duplicates(names):
                raise ValueError(
                    "unique: each entry must be a list of different columns, such as "
                    "[site, machine]"
                )
        self._check_freshness_column()
        return self

    def unknown_columns(self, known: tuple[str, ...]) -> list[str]:
        """Return one message for each use of a column that is not in `known`."""
        uses = [("unique", name) for names in self.unique for name in names]
        uses += [("freshness.column", self.freshness.column)] if self.freshness else []
        uses += [("distribution.columns", name) for name in self.distribution.columns]
        return [
            f"contract.{key}: no column {name!r}; {suggest(name, known)}"
            for key, name in uses
            if name not in known
        ]

    def _check_freshness_column(self) -> None:
        for column in self.columns:
            if not self.freshness or column.name != self.freshness.column:
                continue
            if column.type and column.type not in TIMES:
                raise ValueError(
                    f"freshness.column: {column.name!r} is {column.type}, not a date or timestamp"
                )
            if column.sensitive:
                raise ValueError(
                    f"freshness.column: {column.name!r} is sensitive, but its newest value would "
                    "be shown; choose another column"
                )


def _as_mapping(value: Any) -> Any:
    """Expand the short forms: a list of columns, or the path of a file."""
    if isinstance(value, list | tuple):
        return {"columns": value}
    return {"file": value} if isinstance(value, str) else value


Promised = Annotated[
    Contract,
    BeforeValidator(
        _as_mapping,
        json_schema_input_type=Annotated[str, Field(min_length=1)] | tuple[Column, ...] | Contract,
    ),
]


def duplicates(names: tuple[str, ...]) -> list[str]:
    """Return the names that occur more than once, in the order of their first repetition."""
    return list(dict.fromkeys(name for i, name in enumerate(names) if name in names[:i]))
