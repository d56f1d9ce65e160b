"""Draw what a version was made from, its stages and its columns: boxes with texts and links.

Where the boxes are is decided in `factory_assets.web.lineage.layout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from factory_assets.audit.trace.report import ColumnOrigin
from factory_assets.results.data import SourceFile
from factory_assets.web.auditor.records import CountedRecord
from factory_assets.web.lineage.layout import NODE_HEIGHT, NODE_WIDTH, Edge, lay_out
from factory_resources.tracking.record import Record

_SOURCES = 10
"""Sources that are drawn."""

_COLUMNS = 30
"""Columns of a table that are drawn; the table below has all."""

_LETTERS = 17
"""Characters that fit into a box."""


@dataclass(frozen=True)
class DrawnNode:
    """A box without its place."""

    name: str
    """Identifies it."""
    title: str
    detail: str
    kind: str = "stage"
    """The class of its box."""


@dataclass(frozen=True)
class DrawnBox:
    """A box with its place, in pixels, and texts that fit into it."""

    x: float
    y: float
    title: str
    detail: str
    kind: str


@dataclass(frozen=True)
class VersionDrawing:
    """Boxes and the curves between them, as path data of SVG."""

    boxes: tuple[DrawnBox, ...]
    paths: tuple[str, ...]
    width: float
    height: float
    box_width: int = NODE_WIDTH
    box_height: int = NODE_HEIGHT


def stage_drawing(
    found: Mapping[str, CountedRecord],
    sources: Sequence[SourceFile],
    upstream: Sequence[Record],
    version: str,
) -> VersionDrawing:
    """Draw sources, stages of other pipelines, the own stages, at least one, and the version."""
    first, last = next(iter(found)), next(reversed([*found]))
    nodes = _source_nodes(sources)
    nodes += [
        DrawnNode(record.name, f"{record.pipeline}/{record.stage}", record.data_version)
        for record in upstream
    ]
    edges = [(node.name, first) for node in nodes]
    nodes += [DrawnNode(stage, stage, one.record.data_version) for stage, one in found.items()]
    edges += [
        (before, stage)
        for stage, one in found.items()
        for before in one.record.inputs
        if before in found
    ]
    nodes.append(DrawnNode("version", version, "model version", "model"))
    return _drawn(nodes, [*edges, (last, "version")])


def _source_nodes(sources: Sequence[SourceFile]) -> list[DrawnNode]:
    nodes = [
        DrawnNode(f"source {place}", source.name, source.sha256, "source")
        for place, source in enumerate(sources[:_SOURCES])
    ]
    if len(sources) > _SOURCES:
        more = f"{len(sources) - _SOURCES:,} more"
        nodes.append(DrawnNode("more sources", more, "sources", "source"))
    return nodes


def column_drawing(columns: Sequence[ColumnOrigin], version: str) -> VersionDrawing | None:
    """Draw source columns, the columns that were computed from them, and the version.

    None if they are too many for a drawing.
    """
    origins = dict.fromkeys(name for column in columns for name in column.sources)
    if not columns or max(len(columns), len(origins)) > _COLUMNS:
        return None
    nodes = [DrawnNode(f"from {name}", name, "source column", "source") for name in origins]
    nodes += [DrawnNode(f"to {one.name}", one.name, one.role) for one in columns]
    nodes.append(DrawnNode("version", version, "model version", "model"))
    edges = [(f"from {origin}", f"to {one.name}") for one in columns for origin in one.sources]
    return _drawn(nodes, [*edges, *((f"to {one.name}", "version") for one in columns)])


def _drawn(nodes: Sequence[DrawnNode], edges: Iterable[Edge]) -> VersionDrawing:
    edges = [*dict.fromkeys(edges)]
    placed = lay_out([node.name for node in nodes], edges)
    places = [(node, placed.nodes[node.name]) for node in nodes]
    return VersionDrawing(
        tuple(
            DrawnBox(at.x, at.y, _fitting(node.title), _fitting(node.detail), node.kind)
            for node, at in places
        ),
        tuple(map(placed.path, edges)),
        placed.width,
        placed.height,
    )


def _fitting(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
