"""Lay out a graph in columns, for a drawing in SVG: nodes are boxes, edges run from left to right.

What the boxes stand for belongs to whoever draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 150, 44
_ACROSS, _DOWN = 50, 14
"""Between two boxes."""

_LETTERS = 20
"""Characters that fit into a box."""


@dataclass(frozen=True)
class DrawnNode:
    """A node before it has a place."""

    name: str
    """Identifies it."""
    title: str
    detail: str = ""
    href: str = ""
    kind: str = "stage"
    """The class of its box."""


@dataclass(frozen=True)
class Box:
    """A node with its place, in pixels."""

    node: DrawnNode
    x: int
    y: int

    @property
    def title(self) -> str:
        return _fitting(self.node.title)

    @property
    def detail(self) -> str:
        return _fitting(self.node.detail)


@dataclass(frozen=True)
class Drawing:
    """A graph with places."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    """The edges, as path data of SVG."""
    width: int
    height: int
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def lay_out(columns: Sequence[Sequence[DrawnNode]], edges: Mapping[str, Sequence[str]]) -> Drawing:
    """Place the nodes of each column below each other, around the middle.

    Args:
        edges: from the name of a node to the names of nodes in columns to its right.
    """
    tallest = max((len(column) for column in columns), default=0)
    height = max(tallest * (_HEIGHT + _DOWN) - _DOWN, 0)
    boxes: dict[str, Box] = {}
    for place, column in enumerate(columns):
        top = (height - (len(column) * (_HEIGHT + _DOWN) - _DOWN)) // 2
        for row, node in enumerate(column):
            y = top + row * (_HEIGHT + _DOWN)
            boxes[node.name] = Box(node, place * (_WIDTH + _ACROSS), y)
    paths = [
        _path(boxes[start], boxes[end])
        for start, ends in edges.items()
        for end in ends
        if start in boxes and end in boxes
    ]
    width = max(len(columns) * (_WIDTH + _ACROSS) - _ACROSS, 0)
    return Drawing(tuple(boxes.values()), tuple(paths), width, height)


def _path(start: Box, end: Box) -> str:
    """Return a curve from the right of a box to the left of another."""
    x, y = start.x + _WIDTH, start.y + _HEIGHT // 2
    to_x, to_y = end.x, end.y + _HEIGHT // 2
    middle = (x + to_x) // 2
    return f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}"


def _fitting(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
