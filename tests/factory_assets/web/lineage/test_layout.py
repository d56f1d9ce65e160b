"""Boxes never overlap, lie within the drawing, and every edge goes from left to right."""

from graphlib import CycleError
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.web.lineage.layout import NODE_HEIGHT, NODE_WIDTH, Edge, lay_out


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[Edge]]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    pairs = [*combinations(names, 2)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return draw(st.permutations(names)), edges


@settings(max_examples=60)
@given(graph=graphs())
def test_boxes_lie_apart_and_edges_go_to_the_right(graph: tuple[list[str], list[Edge]]) -> None:
    nodes, edges = graph
    found = lay_out(nodes, edges)
    assert found.nodes.keys() == {*nodes}
    for place in found.nodes.values():
        assert 0 < place.x < place.x + NODE_WIDTH < found.width
        assert 0 < place.y < place.y + NODE_HEIGHT < found.height
    for one, two in combinations(found.nodes.values(), 2):
        assert abs(one.x - two.x) >= NODE_WIDTH + 1 or abs(one.y - two.y) >= NODE_HEIGHT + 1
    for one_name, two_name in edges:
        assert found.nodes[one_name].x + NODE_WIDTH < found.nodes[two_name].x


def test_two_chains_that_cross_are_untangled() -> None:
    found = lay_out(["a", "b", "one", "two"], [("a", "two"), ("b", "one")])
    up, down = ("a", "two"), ("b", "one")
    assert found.nodes["a"].y == found.nodes["two"].y
    assert found.nodes["b"].y == found.nodes["one"].y
    assert found.path(up) != found.path(down)


def test_a_source_is_beside_the_step_that_reads_it() -> None:
    found = lay_out(["first", "a", "b", "late"], [("first", "a"), ("a", "b"), ("late", "b")])
    assert found.nodes["late"].x == found.nodes["a"].x


def test_a_cycle_is_refused() -> None:
    with pytest.raises(CycleError):
        lay_out(["a", "b"], [("a", "b"), ("b", "a")])
