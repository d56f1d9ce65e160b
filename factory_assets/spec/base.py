"""What every part of the vocabulary shares: strictness and the named kinds of string."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

IDENTITY = ("_file", "_row")
"""The columns of every snapshot: the digest of the source file, and the row of it (from 1)."""


class Spec(BaseModel):
    """A part of a declaration: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _as_tuple(value)


# YAML has lists only; strict validation wants the tuples that frozen models hold.
listed = BeforeValidator(_as_tuple)
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A name that the factory makes: lower case, digits and underscores."""
ColumnName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^_]")]
"""A column's name; a leading underscore is the factory's own."""
Expression = Annotated[str, Field(min_length=1, max_length=10_000)]
"""One DuckDB SQL expression over the columns of the table."""
Reference = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", examples=["pkg.module:name"]),
]
"""A Python object, `pkg.module:name`; a module beside the `defs.yaml` is found first."""
Columns = Annotated[
    tuple[ColumnName, ...],
    BeforeValidator(_one_or_many, json_schema_input_type=ColumnName | tuple[ColumnName, ...]),
]
"""One column or a list of them."""
Strings = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...]),
]
"""One string or a list of them."""
