"""The base class of every declared section, what several share, and hints for misspelt words.

It also reads the description of each key from the docstring below its field. Pydantic could read
them itself, but for every model at every start; here they are read only to explain a mistake or to
print the schema.

The sections themselves belong in the other modules of `spec`.
"""

import ast
import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from math import isfinite
from textwrap import dedent
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

IDENTITY = ("_file", "_row")
"""The columns that identify a row of a snapshot: the digest of its source file, and its number in
that file (from 1)."""

STORED = {"stored": True}
"""Validation context for what the factory has stored, in place of what a person declares."""


class Spec(BaseModel):
    """A section of a declaration. Unknown keys are errors; values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StoredSettings(Spec):
    """Settings that were stored before some of their keys existed still mean what they meant."""

    former: ClassVar[Mapping[str, Any]]
    """What a key means that an older stored declaration lacks."""

    @model_validator(mode="before")
    @classmethod
    def _as_stored(cls, declared: Any, info: ValidationInfo) -> Any:
        if info.context != STORED or not isinstance(declared, dict):
            return declared
        former = {key: value for key, value in cls.former.items() if key in cls.model_fields}
        return former | declared

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that a model from before the keys keeps the bytes of its description, and its key.
        written: dict[str, Any] = serialize(self)
        former = self.former.items()
        return {key: value for key, value in written.items() if (key, value) not in former}


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _as_tuple(value)


def _pairs(numbers: int) -> int:
    if numbers == 1:
        raise ValueError("one number makes no pair; write 0, or 2 to 20")
    return numbers


PairedNumbers = Annotated[int, Field(ge=0, le=20), AfterValidator(_pairs)]
"""How many numbers are combined in pairs; 0 is none."""


_LARGEST_SEED = 2**31 - 1
"""Libraries take no seed beyond 2**32, and what is drawn several times adds to the declared one."""


def _of_32_bits(seed: int, info: ValidationInfo) -> int:
    # What was stored before this was refused is still read.
    if info.context != STORED and not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"a seed is a whole number from 0 to {_LARGEST_SEED}")
    return seed


Seed = Annotated[
    int,
    AfterValidator(_of_32_bits),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _LARGEST_SEED}),
]
"""Where drawing at random begins."""


def _off(value: Any) -> Any:
    return "off" if value is False else value


# YAML yields lists, but strict validation of the frozen models requires tuples.
listed = BeforeValidator(_as_tuple)

# YAML 1.1, as Dagster's own tools read it, takes an unquoted `off` for false.
switched_off = BeforeValidator(_off)

Positive = Annotated[float, Field(gt=0)]


def _in_range_of_float(number: float) -> float:
    try:
        float(number)
    except OverflowError:
        raise ValueError("a number has at most 308 digits before the point") from None
    return number


Number = Annotated[float | int, AfterValidator(_in_range_of_float)]
"""A number, whole or not; YAML has whole numbers of any length."""


def _finite(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in arguments.items():
        if not _is_finite(value):
            raise ValueError(f"{name!r} is not a finite number; make it in the code instead")
    return arguments


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or isfinite(value)


Arguments = Annotated[dict[str, Any], AfterValidator(_finite)]
"""Keyword arguments that JSON keeps, in which a model is described: it has no infinite number."""

PositiveInt32 = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A whole number from 1, as large as libraries take it."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A name in a declaration: lower case letters, digits and underscores, beginning with a letter."""

ColumnName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^_]")]
"""A column's name; names with a leading underscore are reserved for the factory."""

Expression = Annotated[str, Field(min_length=1, max_length=10_000)]
"""One DuckDB SQL expression over the columns of the table."""

Reference = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", examples=["pkg.module:name"]),
]
"""A Python object, written `pkg.module:name`; a module beside the `defs.yaml` takes precedence."""

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

MemoryAmount = Annotated[str, Field(pattern=r"^[1-9]\d{0,5} ?(MB|GB|TB)$")]
"""An amount of memory: a whole number and `MB`, `GB` or `TB`."""


class Resources(Spec):
    """What the stage needs of a machine; the results do not depend on it."""

    memory: MemoryAmount | None = None
    """The memory that one process of the stage needs, such as `8 GB`. Only as many processes work
    at a time as have room. Default: not known."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """How many GPUs one process of the stage has to itself."""

    @model_validator(mode="after")
    def _needs_something(self) -> Self:
        if self.memory is None and not self.gpus:
            raise ValueError("resources needs `memory` or `gpus`; leave it out if neither is known")
        return self


def is_unset(value: Any) -> bool:
    """Leave an empty value out of what is stored: an optional key that came later changes nothing
    for a declaration without it."""
    return not value


SHOWN = 20
"""The most words that `suggest` lists."""


def suggest(word: object, valid: Iterable[str]) -> str:
    """Return such as `did you mean 'mlp'? valid: mlp, linear`, with at most `SHOWN` valid words."""
    words = list(valid)
    if not words:
        return "nothing is valid here"
    hint = f"did you mean {near!r}? " if (near := nearest(word, words)) else ""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"{hint}valid: {', '.join(words[:SHOWN])}{more}"


_ELSEWHERE = {
    "algorithm": "kind",
    "max": "at_most",
    "maximum": "at_most",
    "min": "at_least",
    "minimum": "at_least",
    "path": "files",
    "type": "kind",
}
"""What a key is called in other tools, and here."""


def nearest(word: object, valid: Iterable[str]) -> str | None:
    """Return the valid word that means `word` or is closest to it, ignoring case; None if none."""
    by_lower = {name.lower(): name for name in valid}
    if (ours := _ELSEWHERE.get(str(word).lower())) in by_lower:
        return by_lower[ours]
    close = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


@cache
def descriptions(model: type[BaseModel]) -> MappingProxyType[str, str]:
    """Return the description of each field, inherited fields included.

    Fields without a description are left out.
    """
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            texts |= _own_descriptions(cls)
    return MappingProxyType({name: texts[name] for name in model.model_fields if name in texts})


def _own_descriptions(cls: type[BaseModel]) -> dict[str, str]:
    body = ast.parse(dedent(inspect.getsource(cls))).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    pairs = zip(body.body, body.body[1:], strict=False)
    return {
        field.target.id: inspect.cleandoc(docstring.value.value)
        for field, docstring in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
        if isinstance(docstring.value.value, str)
    }
