"""Documents of CycloneDX 1.7 (ECMA-424), as JSON. What is listed belongs in the modules beside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from factory_assets.execution.code_version import version_of

PREFIX = "sovereign-ai-factory"
"""The name of the factory's own properties begins with it."""

BomPart = dict[str, Any]
"""A JSON object with the fields of the schema."""


@dataclass(frozen=True)
class Bom:
    """A bill of materials."""

    timestamp: str
    """UTC, ISO 8601."""
    about: BomPart
    """The component that it is about."""
    components: Sequence[BomPart]
    dependencies: Mapping[str, Sequence[str]]
    """Reference of a component to those that it depends on."""

    @property
    def serial(self) -> str:
        """A UUID that is computed from the content (version 5, RFC 9562): the same twice."""
        content = json.dumps(self._content(), sort_keys=True)
        return f"urn:uuid:{uuid5(NAMESPACE_URL, content)}"

    @property
    def json(self) -> bytes:
        """The document, the same bytes twice."""
        identity = {
            "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.7",
            "serialNumber": self.serial,
            "version": 1,
        }
        return json.dumps({**identity, **self._content()}, indent=1).encode() + b"\n"

    @property
    def link(self) -> str:
        """What other documents name it by (BOM-Link)."""
        return f"urn:cdx:{self.serial.removeprefix('urn:uuid:')}/1"

    def _content(self) -> BomPart:
        tool = {"type": "application", "name": PREFIX, "version": version_of(PREFIX)}
        return {
            "metadata": {
                "timestamp": self.timestamp,
                "tools": {"components": [tool]},
                "component": self.about,
            },
            "components": [*self.components],
            "dependencies": [
                {"ref": one, "dependsOn": [*others]} for one, others in self.dependencies.items()
            ],
        }


def distribution_reference(name: str, version: str) -> str:
    """Return the package URL of a distribution on PyPI; the factory itself is not there."""
    kind = "generic" if name == PREFIX else "pypi"
    return f"pkg:{kind}/{quote(name, safe='.-_~')}@{quote(version, safe='.-_~')}"


def sha256_of(digest: str) -> list[BomPart]:
    """Return `hashes` of a component."""
    return [{"alg": "SHA-256", "content": digest}]


def file_component(name: str, digest: str) -> BomPart:
    """Return a component that is one file."""
    return {"type": "file", "name": name, "hashes": sha256_of(digest)}


def properties(values: Mapping[str, object]) -> list[BomPart]:
    """Return `properties`, each name with the prefix; those without a value are left out."""
    return [
        {"name": f"{PREFIX}:{name}", "value": str(value)}
        for name, value in values.items()
        if value is not None
    ]
