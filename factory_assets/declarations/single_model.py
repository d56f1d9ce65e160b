"""Validate a YAML file that is no pipeline, such as `people.yaml`, up to its first mistake.

All mistakes of a pipeline are listed in `loader`.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from factory_assets.declarations.messages import dotted, mistakes
from factory_assets.declarations.yaml_document import (
    At,
    NotYaml,
    empty_values,
    parse,
    repeated_keys,
)
from factory_assets.spec import Spec
from factory_resources.errors import DeclarationError

_Model = TypeVar("_Model", bound=BaseModel)


def validated(
    content: bytes,
    file: Path,
    model: type[_Model],
    root: type[Spec],
    remedy: str = "correct it",
) -> _Model:
    """Return what the content of a file declares; an empty one is an empty mapping.

    Args:
        file: for messages.
        root: the model of the document, as for `locate`.

    Raises:
        DeclarationError: it is wrong; with the line.
    """

    def wrong(line: int, at: At, message: str) -> DeclarationError:
        what = f"{dotted(at)}: {message}" if at else message
        return DeclarationError(what, where=f"{file}:{line}", remedy=remedy)

    try:
        document = parse(content)
    except NotYaml as error:
        raise wrong(error.line, (), error.message) from error
    for place, message in repeated_keys(file, document):
        raise wrong(place.line, place.at, message)
    data = {} if document.data is None else document.data
    try:
        declared = model.model_validate(data)
    except ValidationError as error:
        first = mistakes(error, data, root)[0]
        line = document.place(first.at, first.at_key).line
        raise wrong(line, first.at, first.message) from error
    for place, message in empty_values(document):
        raise wrong(place.line, place.at, message)
    return declared
