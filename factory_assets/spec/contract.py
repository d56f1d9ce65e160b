"""What the data promises: columns, types, nullability, ranges, values, uniqueness."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec, Strings, listed

ColumnType = Literal["int64", "float64", "string", "bool", "date", "timestamp"]
Bound = int | float | None
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
    """Smallest and largest allowed value, both included; null leaves a side open."""
    values: Annotated[tuple[Value, ...] | None, listed] = None
    """The allowed values."""
    missing: Strings = ()
    """Tokens that mean "no value" in this column, beside those of the whole contract."""
    sensitive: Literal["personal", "secret"] | None = None
    """Keeps the column's values out of previews."""
    unit: str | None = None
    """The unit of measurement, shown with the column."""
    description: str | None = None
    """What the column means, shown with it."""

    @property
    def source_name(self) -> str:
        return self.source if self.source is not None else self.name

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.range and None not in self.range and self.range[0] > self.range[1]:  # type: ignore[operator]
            raise ValueError(f"range {list(self.range)} of column {self.name!r} is upside down")
        if self.range and self.type not in {None, "int64", "float64"}:
            raise ValueError(f"range of column {self.name!r} needs a number, not {self.type}")
        return self


Contract = Annotated[tuple[Column, ...], listed]


def duplicates(names: tuple[str, ...]) -> list[str]:
    """The names that occur more than once, in order of first repetition."""
    return list(dict.fromkeys(name for i, name in enumerate(names) if name in names[:i]))


__all__ = ["Column", "ColumnType", "Columns", "Contract", "duplicates"]
