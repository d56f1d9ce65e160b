"""What the data promises of one column: a row that breaks a promise goes to quarantine.

What the data promises: of each column, and of the table as a whole.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec, Strings, listed, suggest

ColumnType = Literal["int64", "float64", "string", "bool", "date", "timestamp"]

NUMBERS: frozenset[ColumnType] = frozenset({"int64", "float64"})

TIMES: frozenset[ColumnType] = frozenset({"date", "timestamp"})

Bound = int | float | str | None

Length = Annotated[int, Field(ge=0)] | None

Value = int | float | str | bool


class Column(Spec):
    """One promised column. A row that breaks its type, range or values goes to quarantine."""

    name: ColumnName
    """The name that every later stage uses."""
    source: Annotated[str | None, Field(alias="from")] = None
    """The name in the source, where it differs."""
    type: ColumnType | None = None
    """The type every value must have; without it, the type is read from the data."""
    nullable: bool = True
    """Whether a missing value is allowed."""
    unique: bool = False
    """Whether a value may occur only once; later occurrences go to quarantine."""
    range: Annotated[tuple[Bound, Bound] | None, listed] = None
    """Smallest and largest allowed value, both included, numbers or dates such as "2024-01-31";
    null leaves a side open."""
    length: Annotated[tuple[Length, Length] | None, listed] = None
    """Fewest and most characters of a text, both included; null leaves a side open."""
    pattern: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """A regular expression (RE2) that the whole text must match."""
    values: Annotated[tuple[Value, ...] | None, listed] = None
    """The allowed values."""
    missing: Strings = ()
    """Tokens that mean "no value" in this column, beside those of the whole contract."""
    sensitive: Literal["personal", "secret"] | None = None
    """Keeps the column's values out of all that is shown or logged; a `secret` is no input of a
    model either."""
    unit: str | None = None
    """The unit of measurement, shown with the column."""
    description: str | None = None
    """What the column means, shown with it."""

    @property
    def source_name(self) -> str:
        return self.source if self.source is not None else self.name

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.range:
            self._range_fits(self.range)
        for key in ("range", "length"):
            self._is_ordered(key, getattr(self, key))
        for key in ("length", "pattern"):
            if getattr(self, key) is not None and self.type not in {None, "string"}:
                raise ValueError(f"{key} of column {self.name!r} needs a string, not {self.type}")
        return self

    def _range_fits(self, bounds: tuple[Bound, Bound]) -> None:
        texts = [bound for bound in bounds if isinstance(bound, str)]
        numbers = [bound for bound in bounds if isinstance(bound, int | float)]
        if self.type in {"string", "bool"}:
            raise ValueError(
                f"range of column {self.name!r} needs a number or a date, not {self.type}"
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
            raise ValueError(f"{key} {list(bounds or ())} of column {self.name!r} is upside down")


def _comparable(bound: Bound) -> int | float | datetime | None:
    if not isinstance(bound, str):
        return bound
    try:
        time = datetime.fromisoformat(bound)
    except ValueError as error:
        raise ValueError(f"{bound!r} is no date; write it as 2024-01-31") from error
    if time.tzinfo is not None:
        raise ValueError(f"{bound!r} has an offset; write the time in UTC without one")
    return time


Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(min|h|d|w)$", examples=["2d"])]
"""A length of time: a whole number and `min`, `h`, `d` or `w`."""

_WORDS = frozenset({"description", "unit", "sensitive"})


class Rows(Spec):
    """How many rows the table (of a pipeline in partitions, each partition) must have."""

    at_least: Annotated[int, Field(ge=1)] | None = None
    """The fewest."""
    at_most: Annotated[int, Field(ge=1)] | None = None
    """The most."""

    @model_validator(mode="after")
    def _is_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("rows needs `at_least` or `at_most`")
        if self.at_least and self.at_most and self.at_least > self.at_most:
            raise ValueError(f"rows: at_least {self.at_least} is more than at_most {self.at_most}")
        return self


class Freshness(Spec):
    """How old the newest row may be. Asked in every run, also where nothing else changed."""

    column: ColumnName
    """A date or timestamp, in UTC."""
    within: Duration
    """The largest age of its newest value: a whole number and `min`, `h`, `d` or `w`."""


class Distribution(Spec):
    """How far the columns may move away from those of the snapshot before."""

    limit: Annotated[float, Field(gt=0)] | None = None
    """The largest population stability index of a column; beyond it, or with columns that came or
    went or have another type, the pipeline stops. Without it, an index from 0.2 on is a warning."""
    columns: Columns = ()
    """The columns that are compared; all of them where left out."""


class Contract(Spec):
    """A list of columns, or these keys, or the path of a file in the Open Data Contract Standard.

    A row that breaks a promise of its own goes to quarantine; a table that breaks one as a whole
    stops the pipeline.
    """

    file: Annotated[str, Field(min_length=1)] | None = None
    """A contract in the Open Data Contract Standard (ODCS v3), relative to the `defs.yaml`."""
    table: str | None = None
    """Of a file with several schemas, the one to hold to."""
    columns: Annotated[tuple[Column, ...], listed] = ()
    """The promised columns; others are not read. Without them all are read, and typed by their
    values."""
    unique: Annotated[tuple[Columns, ...], listed] = ()
    """Columns whose values together may occur only once; later rows go to quarantine."""
    rows: Rows | None = None
    """How many rows there must be."""
    freshness: Freshness | None = None
    """How old the newest row may be."""
    distribution: Distribution = Distribution()
    """How alike the snapshots must be."""
    unchecked: Strings = ()
    """What is promised beside, in words; nothing checks it. Shown with the asset."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def promises(self) -> dict[str, Any]:
        """All that decides which rows are kept and what is found out about them: no words about
        the data, and no limit that what was found is held against."""
        kept = self.model_dump(mode="json", include={"columns", "unique"})
        for column in kept["columns"]:
            for word in _WORDS:
                column.pop(word)
        return {**kept, "newest": self.freshness.column if self.freshness else None}

    @model_validator(mode="after")
    def _file_is_alone(self) -> Self:
        beside = [key for key in self.model_fields_set if key not in {"file", "table"}]
        if self.file and beside:
            raise ValueError(f"{sorted(beside)[0]} belongs into the contract's file {self.file}")
        if self.table and not self.file:
            raise ValueError("table needs `file`, the contract that has it")
        return self

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        if repeated := duplicates(self.names):
            raise ValueError(f"contract names column {repeated[0]!r} twice")
        for names in self.unique:
            if not names or duplicates(names):
                raise ValueError("unique: each entry is a list of different columns")
        self._freshness_can_be_told()
        return self

    def unknown_columns(self, known: tuple[str, ...]) -> list[str]:
        """One line for each use of a column that is not `known`."""
        uses = [("unique", name) for names in self.unique for name in names]
        uses += [("freshness.column", self.freshness.column)] if self.freshness else []
        uses += [("distribution.columns", name) for name in self.distribution.columns]
        return [
            f"contract.{where}: no column {name!r}; {suggest(name, known)}"
            for where, name in uses
            if name not in known
        ]

    def _freshness_can_be_told(self) -> None:
        for column in self.columns:
            if not self.freshness or column.name != self.freshness.column:
                continue
            if column.type and column.type not in TIMES:
                raise ValueError(
                    f"freshness.column: {column.name!r} is {column.type}, not a date or timestamp"
                )
            if column.sensitive:
                raise ValueError(
                    f"freshness.column: {column.name!r} is sensitive, and its newest value is shown"
                )


def _as_mapping(value: Any) -> Any:
    """The short forms: a list of columns, or the path of a file."""
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
    """The names that occur more than once, in order of first repetition."""
    return list(dict.fromkeys(name for i, name in enumerate(names) if name in names[:i]))
