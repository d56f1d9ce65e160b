"""How much must hold around a run, by what is declared, and how much does.

What a run may reach belongs in `run_boundary`.
"""

import os
from collections.abc import Sequence
from typing import Literal

from factory_assets.declarations.settings import load_settings
from factory_assets.spec import Pipeline
from factory_assets.spec.boundary import BoundaryRules
from factory_resources.boundary.inside import LEVEL_VARIABLE
from factory_resources.errors import BoundaryError
from factory_resources.ledger.boundary_entries import BoundaryLevel

DeclaredLevel = Literal["auto", "required", "none"]


def declared_level(pipelines: Sequence[Pipeline]) -> DeclaredLevel:
    """Return the strictest level that is declared; a pipeline without one has the factory's.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    declared = load_settings()
    of_factory = declared.settings.boundary if declared else None
    fallback = of_factory.level if of_factory else "auto"
    rules = [pipeline.spec.boundary for pipeline in pipelines] or [None]
    levels = {_level(one, fallback) for one in rules}
    order: tuple[DeclaredLevel, ...] = ("required", "auto", "none")
    return next(level for level in order if level in levels)


def boundary_level() -> BoundaryLevel:
    """Return how much holds around this process, by what its boundary told it."""
    match os.environ.get(LEVEL_VARIABLE):
        case "namespaces" | "seccomp" as level:
            return level
        case _:
            return "none"


def is_inside() -> bool:
    """Whether this process is inside a boundary already, or was started to run without one."""
    return LEVEL_VARIABLE in os.environ


def import_refused() -> str | None:
    """Return why code of the user's may not be imported in this process; None if it may.

    The code server is outside of a boundary. It may import such code unless the factory requires
    one; what a pipeline requires is for its runs.
    """
    if boundary_level() == "namespaces" or declared_level([]) != "required":
        return None
    return (
        "factory.yaml requires a boundary, and the code server imports this file without one; "
        "declare boundary: required in the pipelines instead, or make it a python source"
    )


def require_boundary(pipeline: Pipeline) -> None:
    """Require that a boundary holds around this process if the pipeline must have one.

    Raises:
        BoundaryError: it does not.
    """
    if boundary_level() != "namespaces" and declared_level([pipeline]) == "required":
        raise BoundaryError(
            f"a boundary is required, and there is none here (level {boundary_level()})",
            where=pipeline.name,
            remedy="run it by `factory run` or in the UI, as an ordinary user; docs/boundary.md "
            "says what a machine needs",
        )


def _level(rules: BoundaryRules | None, fallback: DeclaredLevel) -> DeclaredLevel:
    return rules.level if rules and "level" in rules.model_fields_set else fallback
