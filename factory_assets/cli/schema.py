"""`factory schema`: JSON Schemas of `defs.yaml` and `governance.yaml`, and of the JSON of commands.

The keys and their meaning are declared in `factory_assets.spec`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from factory_assets.declarations.loader import TYPES
from factory_assets.spec import PipelineSpec, Spec
from factory_assets.spec.base import descriptions
from factory_assets.spec.governance import Governance
from factory_resources.home.home import PROJECT

PUBLISHED = PROJECT / "docs" / "defs.schema.json"
"""The published copy; a test checks that it is current."""

GOVERNANCE = PROJECT / "docs" / "governance.schema.json"
"""That of `governance.yaml`."""


_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a whole file: its type and its attributes."""
    attributes, parts = _described_schema(PipelineSpec)
    return {
        "$schema": _DRAFT,
        "title": "A declared model pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "attributes"],
        "properties": {
            "type": {"enum": list(TYPES), "description": "What this file declares."},
            "attributes": {"$ref": "#/$defs/PipelineSpec"},
        },
        "$defs": {"PipelineSpec": attributes, **parts},
    }


def governance_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a `governance.yaml`."""
    from factory_assets.audit.requirements.catalogue import catalogue

    content, parts = _described_schema(Governance)
    asked = [one.id for one in catalogue().requirements if one.person]
    content["properties"]["statements"]["propertyNames"] = {"enum": asked}
    return {
        "$schema": _DRAFT,
        **content,
        "title": "Who answers for a pipeline, and what only a person can say about it",
        "$defs": parts,
    }


def _described_schema(model: type[Spec]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a section, and those of the sections in it, with descriptions."""
    content = model.model_json_schema(
        by_alias=True, ref_template="#/$defs/{model}", mode="validation"
    )
    _describe_all(content, model, Spec)
    return content, content.pop("$defs")


def _describe_all(content: dict[str, Any], model: type[BaseModel], base: type[BaseModel]) -> None:
    """Add descriptions to the schema of a model, and to its parts that are of a base class."""
    models = {one.__name__: one for one in _subclasses(base)}
    for name, part in {model.__name__: content, **content["$defs"]}.items():
        if name in models:
            _describe(part, models[name])


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield all direct and indirect subclasses."""
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the description of each field to the schema of a model, in place."""
    for field, text in descriptions(model).items():
        key = model.model_fields[field].alias or field
        described = {**part["properties"][key], "description": text}
        part["properties"][key] = dict(sorted(described.items()))


def schema_text() -> str:
    """Return the schema in the published format."""
    return _text(schema())


def governance_schema_text() -> str:
    """Return the schema of a `governance.yaml` in the published format."""
    return _text(governance_schema())


def output_schema_text(model: type[BaseModel]) -> str:
    """Return the schema of what a command prints as JSON, in the published format."""
    content = model.model_json_schema(mode="serialization")
    _describe_all(content, model, model.__bases__[0])
    return _text(content)


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def schema_line(folder: Path, published: Path = PUBLISHED) -> str:
    """Return the comment that names the schema to editors, for a file in `folder`.

    Empty for a folder outside the project, whose relative path to the schema would not stay valid.

    Args:
        published: the schema.
    """
    if not folder.resolve().is_relative_to(PROJECT) or not published.is_file():
        return ""
    return f"# yaml-language-server: $schema={os.path.relpath(published, folder.resolve())}\n"
