"""`factory schema`: the JSON Schema of a `defs.yaml`, with which editors complete and check it.

The keys and their meaning are declared in `factory_assets.spec`.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from factory_assets.declarations.loader import TYPES
from factory_assets.spec import PipelineSpec, Spec
from factory_assets.spec.base import descriptions
from factory_resources.home.home import PROJECT

PUBLISHED = PROJECT / "docs" / "defs.schema.json"
"""The published copy; a test checks that it is current."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a whole file: its type and its attributes."""
    attributes = PipelineSpec.model_json_schema(
        by_alias=True, ref_template="#/$defs/{model}", mode="validation"
    )
    parts = attributes.pop("$defs")
    models = {model.__name__: model for model in _subclasses(Spec)}
    for name, part in {"PipelineSpec": attributes, **parts}.items():
        if name in models:
            _describe(part, models[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
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


def _subclasses(model: type[Spec]) -> Iterator[type[Spec]]:
    """Yield all direct and indirect subclasses."""
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _describe(part: dict[str, Any], model: type[Spec]) -> None:
    """Add the description of each field to the schema of a model, in place."""
    for field, text in descriptions(model).items():
        key = model.model_fields[field].alias or field
        described = {**part["properties"][key], "description": text}
        part["properties"][key] = dict(sorted(described.items()))


def schema_text() -> str:
    """Return the schema in the published format."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema_line(folder: Path) -> str:
    """Return the comment that names the schema to editors, for a `defs.yaml` in `folder`.

    Empty for a folder outside the project, whose relative path to the schema would not stay valid.
    """
    if not folder.resolve().is_relative_to(PROJECT) or not PUBLISHED.is_file():
        return ""
    return f"# yaml-language-server: $schema={os.path.relpath(PUBLISHED, folder.resolve())}\n"
