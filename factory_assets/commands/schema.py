"""`factory schema`: the JSON Schema of a `defs.yaml`, so that editors complete and check it."""

import json
import os
from pathlib import Path
from typing import Any

from factory_assets.components.declaration import TYPES
from factory_assets.spec import PipelineSpec
from factory_resources.home import PROJECT

PUBLISHED = PROJECT / "docs" / "defs.schema.json"
"""The copy that comes with the project; a test keeps it current."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the whole file: its type and its attributes."""
    attributes = PipelineSpec.model_json_schema(
        by_alias=True, ref_template="#/$defs/{model}", mode="validation"
    )
    parts = attributes.pop("$defs")
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
