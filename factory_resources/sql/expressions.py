"""Parse declared SQL expressions with DuckDB and refuse what is not allowed, without running them.

One expression over the columns of one table is allowed. Subqueries, tables, parameters, stars,
aggregates over the whole table, and functions whose value depends on more than their arguments are
refused.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from factory_resources.errors import ExpressionError

if TYPE_CHECKING:
    import duckdb


_HEAD = "SELECT (\n"

_REFUSED = {
    "SUBQUERY": "a subquery",
    "STAR": "`*` or COLUMNS",
    "POSITIONAL_REFERENCE": "a column by number",
    "LAMBDA": "a lambda",
    "DEFAULT": "DEFAULT",
}

# Macros that are allowed, besides those of lists, arrays and maps.
_MACROS = frozenset({"if", "nullif", "fdiv", "split_part", "days_in_month", "date_add"})

# Functions that read the session, the catalog or the clock, stop the query, or produce rows.
_IMPURE = frozenset(
    {
        "age",
        "session_user",
        "user",
        "getvariable",
        "getenv",
        "version",
        "in_search_path",
        "now",
        "today",
        "transaction_timestamp",
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

_LITERALS: Mapping[str, Callable[[str], str | int | float]] = {
    "STRING": str,
    "INTEGER": int,
    "NUMERIC": float,
}
"""Kinds of constants in the engine's tree, to what reads their text."""


@dataclass(frozen=True)
class Expression:
    """What is known about an expression without running it."""

    columns: tuple[str, ...]
    """The columns that it names, in order of appearance."""
    windowed: bool
    """Whether it uses other rows than its own, through OVER."""


def columns_of(expression: str, where: str) -> tuple[str, ...]:
    """Return the columns that the expression names; raises like `parse`."""
    return parse(expression, where).columns


def columns_of_rule(expression: str, where: str) -> tuple[str, ...]:
    """Return the columns of an expression that is true or false of one row alone.

    Raises:
        ExpressionError: as `parse`, or it uses other rows.
    """
    parsed = parse(expression, where)
    if parsed.windowed:
        raise ExpressionError(
            "OVER looks at other rows, but a rule must hold of a row alone",
            where=where,
            remedy="compare values of the row",
        )
    return parsed.columns


def parse(expression: str, where: str) -> Expression:
    """Parse one expression and refuse what is not allowed.

    Args:
        expression: one DuckDB SQL expression.
        where: its place in the declaration, for messages.

    Raises:
        ExpressionError: it is not one expression, or uses something that is not allowed.
    """
    try:
        nodes = list(_nodes(_root(expression, where)))
    except RecursionError as error:
        raise _too_deep(expression, where) from error
    for node in nodes:
        _require_allowed(node, expression, where)
    columns = [node["column_names"][0] for node in nodes if node["class"] == "COLUMN_REF"]
    windowed = any(node["class"] == "WINDOW" for node in nodes)
    return Expression(tuple(dict.fromkeys(columns)), windowed)


def compared_constants(expression: str, where: str) -> dict[str, tuple[str | int | float, ...]]:
    """Return the constants to one of which a column has to be equal, by column, with case folded.

    Only of columns of which nothing else is asked; raises like `parse`.
    """
    root = _root(expression, where)
    columns = [node["column_names"][0] for node in _nodes(root) if node["class"] == "COLUMN_REF"]
    uses, found = Counter(map(str.casefold, columns)), dict[str, tuple[str | int | float, ...]]()
    for column, constants in _equalities(root):
        uses[column] -= 1
        found[column] = (*found.get(column, ()), *constants)
    return {column: constants for column, constants in found.items() if not uses[column]}


def _equalities(node: dict[str, Any]) -> Iterator[tuple[str, list[str | int | float]]]:
    """Yield the comparisons of a column with constants that AND and OR combine."""
    if node["class"] == "CONJUNCTION":
        for child in node["children"]:
            yield from _equalities(child)
        return
    sides = {"COMPARE_EQUAL": ("left", "right"), "COMPARE_IN": ("children",)}.get(node["type"], ())
    parts = [part for side in sides for part in _listed(node[side])]
    names = [part["column_names"][0].casefold() for part in parts if part["class"] == "COLUMN_REF"]
    literals = [part["literal"] for part in parts if "literal" in part]
    is_plain = len(names) == 1 and len(literals) == len(parts) - 1
    if is_plain and all(one["kind"] in _LITERALS for one in literals):
        yield names[0], [_LITERALS[one["kind"]](one["text"]) for one in literals]


def _listed(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value]


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return the remedy for an unknown name: the closest known name, and all known names."""
    folded = {other.casefold(): other for other in known}
    close = get_close_matches(name.casefold(), folded, 1)
    more = f" and {len(known) - 30} more" if len(known) > 30 else ""
    shown = ", ".join(known[:30]) or "none"
    return (f"did you mean {folded[close[0]]!r}? " if close else "") + f"available: {shown}{more}"


def _root(expression: str, where: str) -> dict[str, Any]:
    tree, simplest = (json.loads(text) for text in _serialized(expression))
    if tree["error"]:
        raise _syntax(tree, expression, where)
    roots = [statement["node"].pop("select_list", []) for statement in tree["statements"]]
    simplest["statements"][0]["node"].pop("select_list")
    # Apart from the expression, the tree must equal that of `SELECT (1)`, so that nothing escapes
    # from the brackets. DuckDB reads `a, b` in them as a row that starts at the bracket.
    if tree != simplest or len(roots[0]) != 1 or roots[0][0]["query_location"] == len(_HEAD) - 2:
        raise ExpressionError(
            f"{_short(expression)} is not one expression",
            where=where,
            remedy="write one SQL expression over the columns",
        )
    root: dict[str, Any] = roots[0][0]
    return root


@cache
def parser() -> "duckdb.DuckDBPyConnection":
    """Return the engine that reads expressions and never sees a row.

    It stays open: opening one takes 14 ms, and a start needs it for every expression. Take a
    cursor of it.
    """
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1})


@lru_cache(maxsize=1000)
def _serialized(expression: str) -> tuple[str, str]:
    """Return the engine's trees of the expression and of a simple one, as JSON.

    Every partition has the same expressions.
    """
    # The line break ends a comment that would otherwise include the closing bracket.
    texts = [f"{_HEAD}{sql}\n)" for sql in (expression, "1")]
    with parser().cursor() as connection:
        row = connection.execute(
            "SELECT json_serialize_sql(?), json_serialize_sql(?)", texts
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def _syntax(tree: dict[str, Any], expression: str, where: str) -> ExpressionError:
    if "expression depth" in tree["error_message"]:
        return _too_deep(expression, where)
    position = int(tree.get("position") or 0) - len(_HEAD)
    message = tree["error_message"].replace("\n)", "").strip()
    at = f" at character {position + 1}" if 0 <= position < len(expression) else ""
    return ExpressionError(
        f"{_short(expression)} is not an SQL expression: {message}{at}",
        where=where,
        remedy="write one DuckDB SQL expression, and put a name that has blanks or is a keyword, "
        "such as at or order, in double quotes",
    )


def _too_deep(expression: str, where: str) -> ExpressionError:
    return ExpressionError(
        f"{_short(expression)} is nested too deeply",
        where=where,
        remedy="split it into derived columns",
    )


def _short(expression: str) -> str:
    text = " ".join(expression.split())
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of the tree, parents first."""
    if isinstance(value, dict):
        if "class" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _require_allowed(node: dict[str, Any], expression: str, where: str) -> None:
    kind = node["class"]
    if kind in _REFUSED:
        raise _refused(f"{_REFUSED[kind]} in {_short(expression)} is not allowed", where)
    if kind == "COLUMN_REF" and len(node["column_names"]) > 1:
        dotted = ".".join(node["column_names"])
        raise ExpressionError(
            f"{dotted!r} in {_short(expression)} names a table or a field",
            where=where,
            remedy=f'write a column with a dot in its name as "{dotted}"',
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
        close = get_close_matches(name, [n for n in _functions() if n not in _IMPURE], 1)
        raise ExpressionError(
            f"there is no function {name!r}",
            where=where,
            remedy=f"did you mean {close[0]!r}?" if close else "use a DuckDB SQL function",
        )
    impure = kinds & {"VOLATILE", "table", "table_macro", "pragma"} or name in _IMPURE
    macro = "macro" in kinds and not name.startswith(("list_", "array_", "map_"))
    if impure or (macro and name not in _MACROS) or "current_" in name:
        raise _refused(f"function {name!r} does not depend on the row alone", where)
    if kinds <= {"aggregate"}:
        raise _refused(
            f"{name!r} aggregates many rows; an expression sees one (or selects rows with OVER)",
            where,
        )


def _refused(what: str, where: str) -> ExpressionError:
    return ExpressionError(
        what, where=where, remedy="use the row's columns, constants and pure functions of them"
    )


@cache
def _functions() -> dict[str, frozenset[str]]:
    """Return DuckDB's functions, name to kinds and stabilities; read once."""
    with parser().cursor() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), list(DISTINCT CASE WHEN function_type = 'scalar' "
            "THEN stability ELSE function_type END) FROM duckdb_functions() GROUP BY 1"
        ).fetchall()
    return {name: frozenset(kinds) for name, kinds in rows}
