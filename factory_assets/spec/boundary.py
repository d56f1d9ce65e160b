"""The `boundary` section: what a run may reach beside its own files. `factory.yaml` has one, too.

The boundary itself belongs in `factory_resources.boundary`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from factory_assets.spec.base import Spec, Strings

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):([1-9][0-9]{0,4})")


def _address(value: str) -> str:
    found = _ADDRESS.fullmatch(value)
    if not found or int(found[2]) > 65_535:
        raise ValueError(f"{value!r} is not an address; write it as `db.example.org:5432`")
    return value


Address = Annotated[str, AfterValidator(_address)]
"""`HOST:PORT`."""


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_address, values))


class BoundaryRules(Spec):
    """How much must hold around a run, and what it may reach beside its own files."""

    level: Literal["auto", "required", "none"] = "auto"
    """How much must hold: `auto` for as much as the machine can do, `required` for all of it, or
    the run is refused, `none` for nothing."""
    allow: Annotated[Strings, AfterValidator(_addresses)] = ()
    """The addresses that it may reach, such as `[db.example.org:5432]`: databases, object storage,
    whatever its code asks."""
    readable: Strings = ()
    """Folders and files that its Python code reads, beside those of the sources. Relative paths
    start at the folder of the `defs.yaml`."""


def _rules(value: Any) -> Any:
    return {"level": value} if isinstance(value, str) else value


DeclaredBoundary = Annotated[
    BoundaryRules,
    BeforeValidator(
        _rules, json_schema_input_type=BoundaryRules | Literal["auto", "required", "none"]
    ),
]
"""The rules, or the level alone."""
