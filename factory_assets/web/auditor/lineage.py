"""Draw what a version was made from: its stages, and its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from factory_assets.audit.trace.report import ColumnOrigin
from factory_assets.results.data import SourceFile
from factory_assets.web.auditor.drawing import Drawing, DrawnNode, lay_out
from factory_assets.web.auditor.records import CountedRecord
from factory_resources.tracking.record import Record

_SOURCES = 10
"""Sources that are drawn."""

_COLUMNS = 30
"""Columns of a table that are drawn; the table below has all."""


def stage_drawing(
    found: Mapping[str, CountedRecord],
    sources: Sequence[SourceFile],
    upstream: Sequence[Record],
    version: str,
) -> Drawing:
    """Draw sources, the stages of other pipelines, the own stages, and the version."""
    edges: dict[str, list[str]] = {}
    columns = [_source_nodes(sources)]
    first = "ingest" if "ingest" in found else ""
    others = [
        DrawnNode(record.name, f"{record.pipeline}/{record.stage}", record.data_version)
        for record in upstream
    ]
    if others:
        columns.append(others)
    for node in [*columns[0], *others]:
        edges[node.name] = [first]
    for stage, one in found.items():
        href = f"/audit/entries/{one.number}"
        columns.append([DrawnNode(stage, stage, one.record.data_version, href)])
        for before in one.record.inputs:
            edges.setdefault(before, []).append(stage)
    columns.append([DrawnNode(version, version, "model version", kind="model")])
    edges.setdefault(next(reversed([*found])), []).append(version)
    return lay_out(columns, edges)


def _source_nodes(sources: Sequence[SourceFile]) -> list[DrawnNode]:
    nodes = [
        DrawnNode(
            f"source {place}",
            source.name,
            source.sha256,
            f"/audit/files/{source.sha256}",
            "source",
        )
        for place, source in enumerate(sources[:_SOURCES])
    ]
    if len(sources) > _SOURCES:
        more = f"{len(sources) - _SOURCES:,} more"
        nodes.append(DrawnNode("more", more, "sources", kind="source"))
    return nodes


def column_drawing(columns: Sequence[ColumnOrigin], version: str) -> Drawing | None:
    """Draw source columns, the columns that were computed from them, and the version.

    None if they are too many for a drawing.
    """
    origins = dict.fromkeys(name for column in columns for name in column.sources)
    if not columns or max(len(columns), len(origins)) > _COLUMNS:
        return None
    edges: dict[str, list[str]] = {}
    for column in columns:
        for origin in column.sources:
            edges.setdefault(f"from {origin}", []).append(f"to {column.name}")
        edges[f"to {column.name}"] = ["version"]
    nodes = [
        [DrawnNode(f"from {name}", name, "source column", kind="source") for name in origins],
        [DrawnNode(f"to {one.name}", one.name, one.role) for one in columns],
        [DrawnNode("version", version, "model version", kind="model")],
    ]
    return lay_out(nodes, edges)
