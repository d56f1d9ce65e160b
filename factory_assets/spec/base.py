"""What every part of the vocabulary shares: strictness and the named kinds of string.

What a person may have meant: the valid words, and the one near a wrong word.

What each key means, read from the strings below the fields of a model's source.

Pydantic could read them itself, for every model at every start; they are asked for only where a
mistake is explained or the schema is printed.
"""

import ast
import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from textwrap import dedent
from types import MappingProxyType
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

SHOWN = 20


def suggest(word: object, valid: Iterable[str]) -> str:
    """Such as `did you mean 'mlp'? valid: mlp, linear`; at most `SHOWN` words are listed."""
    words = list(valid)
    if not words:
        return "nothing is valid here"
    hint = f"did you mean {near!r}? " if (near := nearest(word, words)) else ""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"{hint}valid: {', '.join(words[:SHOWN])}{more}"


def nearest(word: object, valid: Iterable[str]) -> str | None:
    """The valid word that `word` is most likely a slip of, in any case; None where none is near."""
    by_lower = {name.lower(): name for name in valid}
    close = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


@cache
def descriptions(model: type[BaseModel]) -> MappingProxyType[str, str]:
    """Field to its description, inherited fields included; those without one are left out."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            found |= _of_class(cls)
    return MappingProxyType({name: found[name] for name in model.model_fields if name in found})


def _of_class(cls: type[BaseModel]) -> dict[str, str]:
    body = ast.parse(dedent(inspect.getsource(cls))).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    pairs = zip(body.body, body.body[1:], strict=False)
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }
