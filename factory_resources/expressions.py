"""What a declared SQL expression is, and may be: parsed by DuckDB, never run here.

One expression over columns of one table. Not: subqueries, tables, parameters, stars, aggregates
over the whole table, or functions whose value is not that of their arguments alone.
"""

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from factory_resources.errors import ExpressionError

_HEAD = "SELECT (\n"
_REFUSED = {
    "SUBQUERY": "a subquery",
    "STAR": "`*` or COLUMNS",
    "PARAMETER": "a parameter",
    "POSITIONAL_REFERENCE": "a column by number",
    "LAMBDA": "a lambda",
    "DEFAULT": "DEFAULT",
}
# Pure by DuckDB's word, but they read the session or the catalog, stop the query or make rows.
_SESSION = frozenset(
    {
        "current_setting",
        "current_database",
        "current_schema",
        "current_schemas",
        "current_query",
        "current_user",
        "current_role",
        "session_user",
        "user",
        "getvariable",
        "getenv",
        "version",
        "in_search_path",
        "txid_current",
        "nextval",
        "currval",
        "setseed",
        "error",
        "unnest",
        "unpivot_list",
        "sleep_ms",
        "write_log",
        "row",
        "query",
        "query_table",
    }
)


def columns_of(expression: str, where: str) -> tuple[str, ...]:
    """The columns that the expression names, in order of appearance.

    Args:
        expression: one DuckDB SQL expression.
        where: its place in the declaration, for messages.

    Raises:
        ExpressionError: it is not one expression, or reaches for what it may not.
    """
    root = _parsed(expression, where)
    names: dict[str, None] = {}
    for node, windowed in _walk(root):
        _require_allowed(node, windowed, expression, where)
        if node.get("class") == "COLUMN_REF":
            names[node["column_names"][0]] = None
    return tuple(names)


def suggestion(name: str, known: Sequence[str]) -> str:
    """What to say to someone who wrote a column that is not there."""
    folded = {other.casefold(): other for other in known}
    close = get_close_matches(name.casefold(), folded, 1)
    shown = ", ".join(known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    return (f"did you mean {folded[close[0]]!r}? " if close else "") + f"there are {shown}"


def _parsed(expression: str, where: str) -> dict[str, Any]:
    import duckdb

    # The line break ends a comment that would swallow the bracket.
    with duckdb.connect(":memory:") as connection:
        row = connection.execute(
            "SELECT json_serialize_sql(?)", [f"{_HEAD}{expression}\n)"]
        ).fetchone()
    assert row is not None
    tree: dict[str, Any] = json.loads(row[0])
    if tree["error"]:
        raise _syntax(tree, expression, where)
    statements: list[dict[str, Any]] = tree["statements"]
    node = statements[0]["node"]
    plain = (
        len(statements) == 1
        and node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not any(node.get(k) for k in ("where_clause", "group_expressions", "having", "qualify"))
        and not node["modifiers"]
        and not node["cte_map"]["map"]
    )
    root: dict[str, Any] = node["select_list"][0]
    # DuckDB reads `a, b` in brackets as a row that begins with the bracket.
    if not plain or root.get("query_location", len(_HEAD)) < len(_HEAD) - 1:
        raise ExpressionError(
            f"{_short(expression)} is not one expression",
            where=where,
            remedy="write one SQL expression over the columns",
        )
    return root


def _syntax(tree: dict[str, Any], expression: str, where: str) -> ExpressionError:
    position = int(tree.get("position") or 0) - len(_HEAD)
    message = tree["error_message"].replace("\n)", "").strip()
    at = f" at character {position + 1}" if 0 <= position < len(expression) else ""
    return ExpressionError(
        f"{_short(expression)} is no SQL expression: {message}{at}",
        where=where,
        remedy='write one DuckDB SQL expression over the columns, names with blanks in ""',
    )


def _short(expression: str) -> str:
    text = " ".join(expression.split())
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _walk(value: Any, windowed: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every node, and whether it is inside a window function."""
    if isinstance(value, dict):
        if "class" in value:
            yield value, windowed
        inside = windowed or value.get("class") == "WINDOW"
        for child in value.values():
            yield from _walk(child, inside)
    elif isinstance(value, list):
        for child in value:
            yield from _walk(child, windowed)


def _require_allowed(node: dict[str, Any], windowed: bool, expression: str, where: str) -> None:
    kind = node["class"]
    if kind in _REFUSED:
        raise _refused(f"{_REFUSED[kind]} in {_short(expression)} is not allowed", where)
    if kind == "COLUMN_REF" and len(node["column_names"]) > 1:
        dotted = ".".join(node["column_names"])
        raise ExpressionError(
            f"{dotted!r} in {_short(expression)} names a table or a field",
            where=where,
            remedy=f'a column with a dot in its name is written "{dotted}"',
        )
    if kind not in {"FUNCTION", "WINDOW"}:
        return
    name = str(node["function_name"]).lower()
    if node.get("schema") or node.get("catalog"):
        raise _refused(f"a function of another schema ({name}) is not allowed", where)
    if kind == "FUNCTION":
        _require_pure(name, bool(node.get("is_operator")), where)


def _require_pure(name: str, operator: bool, where: str) -> None:
    if operator:
        return
    kinds = _functions().get(name)
    if kinds is None:
        close = get_close_matches(name, [n for n in _functions() if n not in _SESSION], 1)
        raise ExpressionError(
            f"there is no function {name!r}",
            where=where,
            remedy=f"did you mean {close[0]!r}?" if close else "use a DuckDB SQL function",
        )
    if name in _SESSION or "VOLATILE" in kinds or kinds & {"table", "table_macro", "pragma"}:
        raise _refused(f"function {name!r} does not depend on the row alone", where)
    if kinds <= {"aggregate"}:
        raise _refused(
            f"{name!r} is over many rows; an expression sees one (or says which, with OVER)", where
        )


def _refused(what: str, where: str) -> ExpressionError:
    return ExpressionError(
        what, where=where, remedy="use the row's columns, constants and pure functions of them"
    )


@cache
def _functions() -> dict[str, frozenset[str]]:
    """DuckDB's functions: name to its kinds and stabilities; read once, 15 ms."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT lower(function_name), list(DISTINCT CASE WHEN function_type = 'scalar' "
            "THEN stability ELSE function_type END) FROM duckdb_functions() GROUP BY 1"
        ).fetchall()
    return {name: frozenset(kinds) for name, kinds in rows}
