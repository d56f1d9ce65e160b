"""Lay out a graph without cycles: ranks from left to right, few crossings, and the size of it.

Layered drawing in the manner of Sugiyama, Tagawa and Toda (1981): a node's rank is the length of
the longest path to it, and nodes of a rank are in the order of the mean place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

NODE_WIDTH, NODE_HEIGHT = 152, 64
"""Pixels of a node."""

_GAP_X, _GAP_Y, _MARGIN = 24, 16, 12

_SWEEPS = 4

Edge = tuple[str, str]
"""From a node to another, by their names."""


@dataclass(frozen=True)
class PlacedNode:
    """Where a node is: its upper left corner, in pixels."""

    x: float
    y: float


@dataclass(frozen=True)
class PlacedGraph:
    """Where everything is."""

    nodes: Mapping[str, PlacedNode]
    width: float
    height: float

    def path(self, edge: Edge) -> str:
        """Return the curve of an edge, from the right of one node to the left of another, as SVG
        writes it."""
        one, two = self.nodes[edge[0]], self.nodes[edge[1]]
        begin = one.x + NODE_WIDTH, one.y + NODE_HEIGHT / 2
        end = two.x, two.y + NODE_HEIGHT / 2
        middle = (begin[0] + end[0]) / 2
        return (
            f"M{begin[0]:g} {begin[1]:g}C{middle:g} {begin[1]:g} {middle:g} {end[1]:g} "
            f"{end[0]:g} {end[1]:g}"
        )


def lay_out(nodes: Sequence[str], edges: Iterable[Edge]) -> PlacedGraph:
    """Place nodes, at least one.

    Raises:
        graphlib.CycleError: the edges form a cycle.
    """
    before: dict[str, list[str]] = {name: [] for name in nodes}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for one, two in edges:
        before[two].append(one)
        after[one].append(two)
    ranks = _ranks(before, after)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        order = ranks if forward else ranks[::-1]
        places = _places(ranks)
        for rank in order:
            neighbours = before if forward else after
            means = {name: _mean(neighbours[name], places, places[name]) for name in rank}
            rank.sort(key=means.__getitem__)
            places |= _places([rank])
    tallest = max(map(len, ranks))
    step = NODE_HEIGHT + _GAP_Y
    placed = {
        name: PlacedNode(
            _MARGIN + column * (NODE_WIDTH + _GAP_X),
            _MARGIN + step * (number + (tallest - len(rank)) / 2),
        )
        for column, rank in enumerate(ranks)
        for number, name in enumerate(rank)
    }
    width = 2 * _MARGIN + len(ranks) * (NODE_WIDTH + _GAP_X) - _GAP_X
    return PlacedGraph(placed, width, 2 * _MARGIN + tallest * step - _GAP_Y)


def _ranks(
    before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """Return the nodes by rank; one without predecessors is just left of its successors."""
    order = [*TopologicalSorter(before).static_order()]
    rank: dict[str, int] = {}
    for name in order:
        rank[name] = max((rank[one] + 1 for one in before[name]), default=0)
    for name in order:
        if not before[name] and after[name]:
            rank[name] = min(rank[one] for one in after[name]) - 1
    ranks: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name in before:
        ranks[rank[name]].append(name)
    return ranks


def _places(ranks: Iterable[Sequence[str]]) -> dict[str, float]:
    """Return where each node is within its rank: 0 for the middle."""
    return {
        name: number - (len(rank) - 1) / 2 for rank in ranks for number, name in enumerate(rank)
    }


def _mean(names: Sequence[str], places: Mapping[str, float], own: float) -> float:
    return sum(places[name] for name in names) / len(names) if names else own
