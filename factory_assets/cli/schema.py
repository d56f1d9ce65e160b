"""`factory schema`: the JSON Schema of a `defs.yaml`, so that editors complete and check it."""

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
"""The copy that comes with the project; a test keeps it current."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the whole file: its type and its attributes."""
    attributes = PipelineSpec.model_json_schema(
        by_alias=True, ref_template="#/$defs/{model}", mode="validation"
    )
    parts = attributes.pop("$defs")
    models = {model.__name__: model for model in _below(Spec)}
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


def _below(model: type[Spec]) -> Iterator[type[Spec]]:
    for own in model.__subclasses__():
        yield own
        yield from _below(own)


def _describe(part: dict[str, Any], model: type[Spec]) -> None:
    for field, text in descriptions(model).items():
        key = model.model_fields[field].alias or field
        described = {**part["properties"][key], "description": text}
        part["properties"][key] = dict(sorted(described.items()))


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema_line(folder: Path) -> str:
    """The comment with which a `defs.yaml` in `folder` tells editors its schema; empty elsewhere.

    Only a file inside the project can name the schema by a path that stays true.
    """
    if not folder.resolve().is_relative_to(PROJECT) or not PUBLISHED.is_file():
        return ""
    return f"# yaml-language-server: $schema={os.path.relpath(PUBLISHED, folder.resolve())}\n"
