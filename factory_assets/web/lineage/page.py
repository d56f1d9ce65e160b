"""Render a trace as one self-contained page: text, tables and its drawing, without scripts.

Every value is escaped, its invisible characters too. What is drawn belongs in `graph`, where it is,
in `layout`; the template `body.html` is the page without its frame and style.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.audit.trace.report import RowRoute, Trace
from factory_assets.web.lineage.graph import ROW_WORDS, LineageGraph, LineageNode, lineage_graph
from factory_assets.web.lineage.layout import NODE_HEIGHT, NODE_WIDTH, PlacedGraph, lay_out
from factory_assets.web.pages.rendering import value_text, visible
from factory_resources.durations import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment

_LISTED = 200
"""Rows of a table; more are counted."""

_TITLE, _DETAIL = 15, 20
"""Characters that fit into a box."""

_DIGITS = 12


@dataclass(frozen=True)
class Drawing:
    """The graph and where its boxes are."""

    graph: LineageGraph
    layout: PlacedGraph
    box: tuple[int, int] = (NODE_WIDTH, NODE_HEIGHT)
    """Width and height."""

    @property
    def nodes(self) -> list[LineageNode]:
        return [*self.graph.nodes.values()]

    @property
    def paths(self) -> list[str]:
        return [self.layout.path(edge) for edge in self.graph.edges]


def trace_page(result: Trace | AnswerTrace) -> str:
    """Return the page."""
    graph = lineage_graph(result)
    answer = result if isinstance(result, AnswerTrace) else None
    lineage = answer.lineage if answer else result
    assert lineage is None or isinstance(lineage, Trace)
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=f"Answer {answer.id}" if answer else _heading(result),
            drawing=Drawing(graph, lay_out([*graph.nodes], graph.edges)),
            answer=answer,
            lineage=lineage,
            problems=result.problems,
            verified=bool(lineage and lineage.verified),
            routes=[*_routes(lineage.fates)] if lineage else [],
            listed=_LISTED,
        )
    )


def _heading(result: Trace | AnswerTrace) -> str:
    if isinstance(result, Trace) and result.kind == "source" and result.sources:
        return f"Source {result.sources[0].name}"
    name = result.name if isinstance(result, Trace) else result.id
    return f"Trace of {short(name)}"


def _routes(routes: tuple[RowRoute, ...]) -> Iterator[RowRoute]:
    """Yield the routes with those into other pipelines behind them."""
    for route in routes:
        yield route
        yield from _routes(route.into)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("factory_assets.web.lineage"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": moment, "short": short, "digits": digits, "words": words}
    made.filters |= {"row_words": row_words, "fits_title": fits_title, "fits_detail": fits_detail}
    made.filters |= {"grouped": grouped, "value_text": value_text}
    return made


def digits(digest: str | None) -> str:
    """Return the first digits of a digest."""
    return (digest or "")[:_DIGITS]


def short(name: str) -> str:
    """Return a name whose data version is shortened."""
    place, mark, version = name.partition("@")
    return f"{place}{mark}{version[:_DIGITS]}"


def grouped(number: int | None) -> str:
    """Return a number with its thousands separated; nothing for None."""
    return "" if number is None else f"{number:,}"


def row_words(part: str) -> str:
    """Say what happened to rows that are counted under this name."""
    return ROW_WORDS.get(part, part)


def words(state: str) -> str:
    """Say how stored bytes compare with what was recorded."""
    texts = {
        "whole": "unchanged",
        "changed": "CHANGED",
        "gone": "MISSING",
        "erased": "removed by an erasure",
        "unchecked": "there, not verified",
        "not a file": "not a file",
        "not in the archive": "not in the archive",
    }
    return texts[state]


def fits_title(text: str) -> str:
    """Return a text that fits into a box as its title."""
    return _cut(text, _TITLE)


def fits_detail(text: str) -> str:
    """Return a text that fits into a box below its title."""
    return _cut(text, _DETAIL)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
