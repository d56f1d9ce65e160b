"""Find the place of a Pydantic error in a declaration, and the models that are valid there.

The wording of mistakes belongs in `messages`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import Tag

from factory_assets.declarations.yaml_document import At
from factory_assets.spec import PipelineSpec, Spec
from factory_assets.spec.base import descriptions

Models = Mapping[str | None, type[Spec]]
"""The models that are valid at one place, by tag; a single model has the tag None."""


@dataclass(frozen=True)
class ErrorLocation:
    """One Pydantic error, and what the declaration contains at its place."""

    kind: str
    """Pydantic's type of the error, such as `literal_error`."""
    text: str
    """Pydantic's message."""
    context: Mapping[str, Any]
    """Pydantic's details, such as the expected values."""
    at: At
    """The place of the error, from the top of the attributes."""
    value: Any
    """What is declared at `at`."""
    missing: str | int | None
    """The key or position below `at` that is missing."""
    is_key: bool
    """Whether the key itself is wrong, not its value."""
    models: Models
    """The models that are valid at `at`."""
    enclosing: Models
    """The models that are valid for the mapping or list that contains `at`."""


def locate(error: Mapping[str, Any], data: Any, root: type[Spec] = PipelineSpec) -> ErrorLocation:
    """Follow the location of a Pydantic error, which mixes keys with tags and names of types.

    Args:
        root: the model of the whole document, or of each value if that maps the user's names.
    """
    at: At = ()
    value = data
    models: Models = {None: root}
    enclosing: Models = {}
    location = error["loc"]
    for part in location:
        if None not in models and part in models:
            models = {None: models[part]}
        elif isinstance(value, list) and isinstance(part, str) and (short := _below(models, part)):
            # The list is short for a mapping with this key alone.
            models = short
        elif _has(value, part):
            at, value, enclosing = (*at, part), value[part], models
            # The models of a list, or of a mapping from the user's names, are those of its items.
            models = _below(models, part) if part in fields(models) else models
    is_missing = error["type"] == "missing"
    return ErrorLocation(
        kind=error["type"],
        text=error["msg"],
        context=error.get("ctx", {}),
        at=at,
        value=value,
        missing=location[-1] if is_missing else None,
        is_key=location[-1:] == ("[key]",),
        models=models,
        enclosing=enclosing,
    )


def fields(models: Models) -> dict[str, str]:
    """Return the keys that any of the models has, as written in YAML, with their descriptions."""
    return {
        field.alias or name: descriptions(model).get(name, "")
        for model in models.values()
        for name, field in model.model_fields.items()
    }


def sections_with(key: str) -> list[str]:
    """Return the sections of a declaration that have this key."""
    return [
        name
        for name in PipelineSpec.model_fields
        if key in fields(_below({None: PipelineSpec}, name))
    ]


def _has(value: Any, part: str | int) -> bool:
    """Whether a mapping has the key, or a list the position."""
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _below(models: Models, key: str) -> Models:
    """Return the models that are valid for the value of a key."""
    return {
        tag: model
        for enclosing in models.values()
        for name, field in enclosing.model_fields.items()
        if (field.alias or name) == key
        for tag, model in _tagged(field.annotation, None)
    }


def _kind_of(model: type[Spec]) -> str | None:
    """Return the one `kind` that a model has, which is its tag among others; None without one."""
    field = model.model_fields.get("kind")
    kinds = get_args(field.annotation) if field else ()
    return str(kinds[0]) if len(kinds) == 1 else None


def _tagged(annotation: Any, tag: str | None) -> Iterator[tuple[str | None, type[Spec]]]:
    """Yield the models in a type annotation, each with its tag."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield tag or _kind_of(annotation), annotation
        return
    arguments = get_args(annotation)
    tags = [argument.tag for argument in arguments if isinstance(argument, Tag)]
    for argument in arguments:
        yield from _tagged(argument, tags[0] if tags else tag)
