"""Compiled expressions as JSON, for a program that has no SQL engine.

What is computed from them there belongs in `score`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from factory_assets.serving.edge.score import LIBRARY, UncertainError, compile_node, probe
from factory_resources.sql.expressions import parse
from factory_resources.sql.row_functions import compile_bound
from factory_resources.sql.scalar.binding import Bound, Kind, NotCertainError, bind
from factory_resources.sql.scalar.regrouping import regrouped

if TYPE_CHECKING:
    import duckdb

_ALIASES = {"log": "log10", "power": "pow", "^": "pow", "**": "pow"}


def expression_node(
    sql: str, columns: Mapping[str, Kind], engine: duckdb.DuckDBPyConnection
) -> dict[str, Any] | None:
    """Return the bound expression as JSON; None if only the engine can compute it.

    Args:
        sql: one expression.
        columns: the type of each column by its lower-case name.
        engine: in memory; its temporary table `bound_row` is replaced.

    Raises:
        ExpressionError: it is not an expression.
    """
    parse(sql, "")
    try:
        bound = bind(sql, columns, engine)
        compile_bound(bound)
        node = _node(bound)
        compile_node(node)
    except (NotCertainError, UncertainError, RecursionError):
        return None
    return node


def functions_of(node: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return what the functions of the C library in an expression yield on this machine."""
    name = _ALIASES.get(node["do"], node["do"])
    found = {name: probe(name)} if name in LIBRARY else {}
    for part in node.get("of", ()):
        found |= functions_of(part)
    return found


def _node(bound: Bound) -> dict[str, Any]:
    bound = regrouped(bound)
    if bound.operation == "CAST" and bound.children[0].type == bound.type:
        return _node(bound.children[0])
    node: dict[str, Any] = {
        "do": bound.operation,
        "is": [bound.type.name, bound.type.width, bound.type.scale],
    }
    if bound.children:
        node["of"] = [_node(child) for child in bound.children]
    if bound.operation in {"COLUMN", "CONSTANT"}:
        node["value"] = bound.value
    return node
