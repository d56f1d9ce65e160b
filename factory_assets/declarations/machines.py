"""Read a `machines.yaml`: a file that the user names. What it may contain is in `spec.machines`."""

from collections.abc import Mapping
from pathlib import Path

from factory_assets.declarations.single_model import validated
from factory_assets.declarations.yaml_document import content_of
from factory_assets.spec.machines import Machine, Machines
from factory_resources.errors import DeclarationError

_REMEDY = "correct it; docs/cost.md has an example"


def load_machines(file: Path) -> Mapping[str, Machine]:
    """Return the machines by name, in the order of the file.

    Raises:
        DeclarationError: the file cannot be read or is wrong; with its line if it is known.
    """
    try:
        content = content_of(file)
    except OSError as error:
        raise DeclarationError(
            f"cannot be read ({error.strerror})", where=str(file), remedy=_REMEDY
        ) from error
    return validated(content, file, Machines, Machine, _REMEDY).root
