"""Load the pipeline of a folder from its `defs.yaml`, or list everything that is wrong with it.

The folders of pipelines are found in `folders`. The wording of mistakes belongs in `messages`; what
only the data can show, such as a column that the source lacks, belongs in `cli.check`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from factory_assets.declarations.carbon_file import with_carbon
from factory_assets.declarations.contract_file import AT as CONTRACT
from factory_assets.declarations.contract_file import with_contract
from factory_assets.declarations.folders import DEFS as DEFS
from factory_assets.declarations.folders import FILE as FILE
from factory_assets.declarations.folders import defs_folders as defs_folders
from factory_assets.declarations.folders import every_pipeline_folder as every_pipeline_folder
from factory_assets.declarations.folders import folders_by_name as folders_by_name
from factory_assets.declarations.folders import new_pipelines_folder as new_pipelines_folder
from factory_assets.declarations.folders import pipeline_folders as pipeline_folders
from factory_assets.declarations.messages import Mistake, dotted, mistakes, on_one_line, shown
from factory_assets.declarations.yaml_document import (
    At,
    Document,
    NotYaml,
    Wrong,
    YamlLocation,
    content_of,
    empty_values,
    parse,
    repeated_keys,
)
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.base import suggest
from factory_resources.errors import DeclarationError, FactoryError

TYPES = ("factory_assets.ModelPipeline", "factory_assets.components.ModelPipeline")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")

_RESERVED = frozenset(
    (
        *("arg_dict", "bool", "conf", "config", "context", "dict", "float", "input"),
        *("input_arg_dict", "int", "meta", "output", "output_arg_dict", "str", "type"),
    )
)
"""What Dagster lets no job be called, beside the keywords of Python."""

NAME_RULE = (
    "a pipeline's name has lower case letters, digits and underscores, begins with a letter, "
    "has at most 64 characters, and is no word that Python or Dagster reserves, such as class or "
    "type"
)


def is_pipeline_name(name: str) -> bool:
    """Whether a folder of this name can be a pipeline."""
    return bool(_NAME.match(name)) and not iskeyword(name) and name not in _RESERVED


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake; as text, `file:line: path: message`."""

    file: Path
    line: int
    path: str
    message: str

    @property
    def where(self) -> str:
        """The file, relative to the working directory if it is below it, and the line."""
        here = Path.cwd()
        file = self.file.relative_to(here) if self.file.is_relative_to(here) else self.file
        return f"{file}:{self.line}"

    @property
    def what(self) -> str:
        """The path in the file, if any, and the message."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def load_pipeline(folder: Path) -> Pipeline:
    """Return the pipeline that `folder/defs.yaml` declares.

    Raises:
        DeclarationError: with the first problem, and the number of the others.
    """
    pipeline, _, all_problems = read(folder)
    if pipeline:
        return pipeline
    raise first_of(all_problems, folder)


def first_of(problems: Sequence[Problem], folder: Path) -> DeclarationError:
    """Return the first problem of a pipeline as an error, with the number of the others."""
    first, others = problems[0], len(problems) - 1
    more = f" and {others} more" if others else ""
    return DeclarationError(
        first.what,
        where=first.where,
        remedy=f"correct it; `factory check {folder.name}` shows it{more}",
    )


def pipeline_named(name: str) -> Pipeline | None:
    """Return the pipeline; None if there is none, or a wrong one, which is reported elsewhere."""
    folder = folders_by_name().get(name)
    try:
        return load_pipeline(folder) if folder else None
    except FactoryError:
        return None


def valid_pipelines(names: Sequence[str]) -> Iterator[tuple[Path, Pipeline, Document]]:
    """Yield folder, pipeline and document of the named pipelines, or of all, without wrong ones."""
    for folder in every_pipeline_folder():
        if not names or folder.name in names:
            pipeline, document, _ = read(folder)
            if pipeline is not None:
                yield folder, pipeline, document


def read(folder: Path) -> tuple[Pipeline | None, Document, list[Problem]]:
    """Return the pipeline, its document with lines, and all problems of the file, ordered by line.

    The pipeline is None if there are problems.
    """
    # A link is the name under which all else knows the pipeline.
    name, folder = folder.absolute().name, folder.resolve()
    file = folder / FILE
    try:
        document = parse(content_of(file))
    except OSError as error:
        reason = error.strerror or str(error)
        return None, Document(), [Problem(file, 1, "", f"cannot be read ({reason})")]
    except NotYaml as error:
        return None, Document(), [Problem(file, error.line, "", error.message)]
    spec, wrong = _validated(document, folder)
    if not is_pipeline_name(name):
        wrong.insert(0, (YamlLocation(None, 1, ()), f"folder {name!r}: {NAME_RULE}"))
    if spec and not wrong:
        return Pipeline(name, spec, folder), document, []
    return None, document, sorted(_problem(folder, place, message) for place, message in wrong)


def _validated(document: Document, folder: Path) -> tuple[PipelineSpec | None, list[Wrong]]:
    data, start = document.data, YamlLocation(None, 1, ())
    if data is None:
        return None, [(start, f"is empty; begin with `type: {TYPES[0]}` and `attributes:`")]
    if not isinstance(data, dict):
        message = f"must be a mapping with `type` and `attributes`, not {shown(data)}"
        return None, [(start, message)]
    wrong = repeated_keys(None, document)
    wrong += [(YamlLocation(None, line, at), message) for line, at, message in _envelope(document)]
    if not isinstance(data.get("attributes"), dict):
        return None, wrong
    attributes, contract_mistakes = with_contract(data["attributes"], document, folder)
    attributes, carbon_mistakes = with_carbon(attributes, document, folder)
    wrong += [*contract_mistakes, *carbon_mistakes]
    spec = None
    try:
        spec = PipelineSpec.model_validate(attributes)
    except ValidationError as error:
        wrong += [
            (_place(document, mistake), mistake.message) for mistake in mistakes(error, attributes)
        ]
    known = {place.at for place, _ in wrong}
    return spec, wrong + [empty for empty in empty_values(document) if empty[0].at not in known]


def _place(document: Document, mistake: Mistake) -> YamlLocation:
    at: At = ("attributes", *mistake.at)
    short = (*CONTRACT, "columns")
    if at[: len(short)] == short and isinstance(
        document.data["attributes"]["ingest"]["contract"], list
    ):
        # A list of columns is short for a mapping with the key `columns` alone.
        at = (*CONTRACT, *at[len(short) :])
    return document.place(at, mistake.at_key)


def at_line(folder: Path, document: Document, mistake: Mistake) -> Problem:
    """Return a mistake in the attributes of `folder/defs.yaml`, or in a file that it names."""
    return _problem(folder.resolve(), _place(document, mistake), mistake.message)


def _problem(folder: Path, place: YamlLocation, message: str) -> Problem:
    return Problem(place.file or folder / FILE, place.line, dotted(place.at), on_one_line(message))


def _envelope(document: Document) -> Iterator[tuple[int, At, str]]:
    """Yield line, place and message of each mistake outside the attributes."""
    data: dict[str, Any] = document.data
    for key in data:
        if key not in ("type", "attributes"):
            message = f"unknown key {key!r}; {suggest(key, ('type', 'attributes'))}"
            yield document.key_line((key,)), (key,), message
    if "type" not in data:
        yield 1, (), f"'type' is missing; write `type: {TYPES[0]}`"
    elif data["type"] not in TYPES:
        message = f"{shown(data['type'])} is not valid; write {TYPES[0]}"
        yield document.value_line(("type",)), ("type",), message
    if "attributes" not in data:
        yield 1, (), "'attributes' is missing; write it above the keys of the pipeline"
    elif not isinstance(data["attributes"], dict):
        message = f"{shown(data['attributes'])} is not valid; must be a mapping"
        yield document.value_line(("attributes",)), ("attributes",), message
