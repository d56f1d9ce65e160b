"""Where in a declaration a Pydantic error stands, and which models may stand there. No wording."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import Tag

from factory_assets.declarations.yaml_document import At
from factory_assets.spec import PipelineSpec, Spec
from factory_assets.spec.base import descriptions

Models = Mapping[str | None, type[Spec]]
"""The models that may stand at one place, by tag; None is the tag of the only one."""


@dataclass(frozen=True)
class ErrorLocation:
    """One Pydantic error with what the declaration holds there."""

    kind: str
    """Pydantic's type of the error, such as `literal_error`."""
    text: str
    context: Mapping[str, Any]
    at: At
    value: Any
    """What is declared at `at`."""
    missing: str | int | None
    """The key or the position below `at` that is not there."""
    is_key: bool
    """Whether the key itself is wrong."""
    models: Models
    """What may stand at `at`."""
    enclosing: Models
    """What the mapping or list that holds it may be."""


def locate(error: Mapping[str, Any], data: Any) -> ErrorLocation:
    """Follow Pydantic's location, in which tags and names of types stand between keys."""
    at: At = ()
    value = data
    models: Models = {None: PipelineSpec}
    enclosing: Models = {}
    location = error["loc"]
    for part in location:
        if None not in models and part in models:
            models = {None: models[part]}
        elif isinstance(value, list) and isinstance(part, str) and (short := _below(models, part)):
            # The list is short for a mapping with this key alone.
            models = short
        elif _holds(value, part):
            at, value, enclosing = (*at, part), value[part], models
            # Of a list, or of a mapping from names of the user's, the elements are such models.
            models = _below(models, part) if part in fields(models) else models
    absent = error["type"] == "missing"
    return ErrorLocation(
        kind=error["type"],
        text=error["msg"],
        context=error.get("ctx", {}),
        at=at,
        value=value,
        missing=location[-1] if absent else None,
        is_key=location[-1:] == ("[key]",),
        models=models,
        enclosing=enclosing,
    )


def fields(models: Models) -> dict[str, str]:
    """The keys that any of the models takes, as YAML names them, with their descriptions."""
    return {
        field.alias or name: descriptions(model).get(name, "")
        for model in models.values()
        for name, field in model.model_fields.items()
    }


def sections_with(key: str) -> list[str]:
    """The sections of a declaration that take `key`."""
    return [
        name
        for name in PipelineSpec.model_fields
        if key in fields(_below({None: PipelineSpec}, name))
    ]


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _below(models: Models, key: str) -> Models:
    return {
        tag: model
        for enclosing in models.values()
        for name, field in enclosing.model_fields.items()
        if (field.alias or name) == key
        for tag, model in _tagged(field.annotation, None)
    }


def _tagged(annotation: Any, tag: str | None) -> Iterator[tuple[str | None, type[Spec]]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield tag, annotation
        return
    arguments = get_args(annotation)
    tags = [argument.tag for argument in arguments if isinstance(argument, Tag)]
    for argument in arguments:
        yield from _tagged(argument, tags[0] if tags else tag)
