"""Read the `governance.yaml` beside a `defs.yaml`, or list everything that is wrong with it.

What the file may contain belongs in `spec.governance`. Whether it names people, requirements and
tests that exist is found in `cli.check`.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from factory_assets.declarations.loader import Problem, first_of
from factory_assets.declarations.messages import Mistake, dotted, mistakes
from factory_assets.declarations.yaml_document import (
    Document,
    NotYaml,
    content_of,
    parse,
    repeated_keys,
)
from factory_assets.spec.governance import Governance

FILE = "governance.yaml"


def load_governance(folder: Path) -> Governance | None:
    """Return what `folder/governance.yaml` declares; None if there is no such file.

    Raises:
        DeclarationError: with the first problem, and the number of the others.
    """
    governance, _, problems = read_governance(folder)
    if problems:
        raise first_of(problems, folder)
    return governance


def read_governance(folder: Path) -> tuple[Governance | None, Document, list[Problem]]:
    """Return the content, its document with lines, and the problems.

    The content is None if there are problems, or no file.
    """
    file = folder.resolve() / FILE
    try:
        document = parse(content_of(file))
    except FileNotFoundError:
        return None, Document(), []
    except OSError as error:
        return None, Document(), [Problem(file, 1, "", f"cannot be read ({error.strerror})")]
    except NotYaml as error:
        return None, Document(), [Problem(file, error.line, "", error.message)]
    wrong = [
        Problem(file, place.line, dotted(place.at), message)
        for place, message in repeated_keys(file, document)
    ]
    data = {} if document.data is None else document.data
    try:
        governance = Governance.model_validate(data)
    except ValidationError as error:
        wrong += in_governance(folder, document, mistakes(error, data, Governance))
        return None, document, sorted(wrong)
    return (None if wrong else governance), document, wrong


def in_governance(folder: Path, document: Document, found: Sequence[Mistake]) -> list[Problem]:
    """Return mistakes in `folder/governance.yaml` with their lines."""
    file = folder.resolve() / FILE
    return [
        Problem(file, document.place(one.at, one.at_key).line, dotted(one.at), one.message)
        for one in found
    ]
