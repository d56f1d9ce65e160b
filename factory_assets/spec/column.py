"""What the data promises of one column: a row that breaks a promise goes to quarantine."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Spec, Strings, listed

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
