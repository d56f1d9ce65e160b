"""Describe a snapshot in Croissant 1.1, the format for metadata of data sets for machine learning.

Its rows stay in the Parquet files of the home, which the description names by path and digest. The
specification is http://mlcommons.org/croissant/1.1.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.data.contract.sql_types import native_type
from factory_resources.tables.snapshot import Snapshot

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "recordSet": "cr:recordSet",
    "field": "cr:field",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "source": "cr:source",
    "fileObject": "cr:fileObject",
    "extract": "cr:extract",
    "column": "cr:column",
}
"""The terms that are used, as the specification defines them."""

_TYPES = {
    "int64": "sc:Integer",
    "float64": "sc:Float",
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "date": "sc:Date",
    "timestamp": "sc:DateTime",
}

REQUIRED = ("name", "description", "license", "url", "creator", "datePublished")
"""What the specification requires of every data set."""


@dataclass(frozen=True)
class DataDescription:
    """What a description says besides the files of the snapshot."""

    name: str
    description: str
    creators: Sequence[str]
    published: str
    """When the snapshot was stored: UTC, ISO 8601."""
    paths: Sequence[str]
    """Where its files are, in their order, relative to the description."""
    sensitive: Mapping[str, str]
    """Columns that are personal or secret."""
    license: str | None = None
    """A name from SPDX or an address; None if nobody has said it."""


def croissant(snapshot: Snapshot, about: DataDescription) -> dict[str, Any]:
    """Return the description as JSON-LD. There is a set of records for each file.

    The address of the data set is the digest of its rows: it is published nowhere.
    """
    files = [
        {
            "@type": "cr:FileObject",
            "@id": file.name,
            "name": file.name,
            "contentUrl": path,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file.sha256,
        }
        for file, path in zip(snapshot.files, about.paths, strict=True)
    ]
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": about.name,
        "description": about.description,
        "license": about.license,
        "url": f"urn:sha256:{snapshot.data_version}",
        "creator": [{"@type": "sc:Organization", "name": name} for name in about.creators],
        "datePublished": about.published,
        "version": f"1.0.0+{snapshot.data_version}",
        "rai:personalSensitiveInformation": [*about.sensitive],
        "distribution": files,
        "recordSet": [
            _records(f"rows-{number}", file.name, snapshot.columns, about.sensitive)
            for number, file in enumerate(snapshot.files, 1)
        ],
    }
    return {key: value for key, value in content.items() if value not in (None, [])}


def missing_fields(description: Mapping[str, Any]) -> list[str]:
    """Return what the specification requires and the description does not have."""
    return [name for name in REQUIRED if not description.get(name)]


def _records(
    name: str, file: str, columns: Mapping[str, str], sensitive: Mapping[str, str]
) -> dict[str, Any]:
    identifiers = _identifiers(columns)
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{identifiers[column]}",
            "name": column,
            "description": f"{kind}, {sensitive[column]}" if column in sensitive else kind,
            "dataType": _TYPES[native_type(kind) or "string"],
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
        }
        for column, kind in columns.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _identifiers(columns: Collection[str]) -> dict[str, str]:
    """Return a name for each column that has no white space, which readers refuse in an `@id`."""
    plain = [name for name in columns if name.split() == [name]]
    found = dict(zip(plain, plain, strict=True))
    for name in columns:
        if name in found:
            continue
        identifier = "_".join(name.split()) or "_"
        while identifier in found.values():
            identifier += "_"
        found[name] = identifier
    return found
