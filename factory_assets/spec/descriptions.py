"""What each key means, read from the strings below the fields of a model's source.

Pydantic could read them itself, for every model at every start; they are asked for only where a
mistake is explained or the schema is printed.
"""

import ast
import inspect
from functools import cache
from textwrap import dedent
from types import MappingProxyType

from pydantic import BaseModel


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
