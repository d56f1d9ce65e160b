"""Read a `machines.yaml`: a file that the user names. What it may contain is in `spec.machines`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from factory_assets.declarations.loader import dotted
from factory_assets.declarations.messages import mistakes
from factory_assets.declarations.yaml_document import NotYaml, content_of, parse
from factory_assets.spec.machines import Machine, Machines
from factory_resources.errors import DeclarationError


def load_machines(file: Path) -> Mapping[str, Machine]:
    """Return the machines by name, in the order of the file.

    Raises:
        DeclarationError: the file cannot be read or is wrong; with its line if it is known.
    """
    try:
        document = parse(content_of(file))
    except OSError as error:
        raise _wrong(str(file), f"cannot be read ({error.strerror})") from error
    except NotYaml as error:
        raise _wrong(f"{file}:{error.line}", error.message) from error
    for at, before, again in document.repeated:
        raise _wrong(f"{file}:{again}", f"{dotted(at)}: repeats line {before}; keep one")
    data = {} if document.data is None else document.data
    try:
        return Machines.model_validate(data).root
    except ValidationError as error:
        first = mistakes(error, data, Machine)[0]
        line = document.place(first.at, first.at_key).line
        name = f"{dotted(first.at)}: " if first.at else ""
        raise _wrong(f"{file}:{line}", f"{name}{first.message}") from error


def _wrong(where: str, what: str) -> DeclarationError:
    return DeclarationError(what, where=where, remedy="correct it; docs/cost.md has an example")
