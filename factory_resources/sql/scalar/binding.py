"""Expressions as the engine binds them: with every implicit cast and every type spelled out.

The engine only plans here; computing values belongs in `engine` and `row_functions`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb

Kind = Literal["BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN"]
"""The engine's type of a value."""

_DEEPEST = 100
"""The most levels of nested operations."""

_OPERATIONS = frozenset(
    {
        "CONJUNCTION_AND",
        "CONJUNCTION_OR",
        "OPERATOR_NOT",
        "OPERATOR_IS_NULL",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_COALESCE",
        "COMPARE_IN",
    }
)


class NotCertainError(Exception):
    """The expression uses something that Python might not compute like the engine."""


@dataclass(frozen=True)
class SqlType:
    """One of the engine's types; width and scale only of DECIMAL, in digits."""

    name: str
    width: int = 0
    scale: int = 0


@dataclass(frozen=True)
class Bound:
    """One operation of a bound expression."""

    operation: str
    """COLUMN, CONSTANT, CAST, TRY_CAST, CASE, the engine's name of an operator in upper case
    (CONJUNCTION_AND), or the name of a function (`ln`, `+`)."""
    type: SqlType
    children: tuple["Bound", ...] = ()
    """Of a CASE: condition and result in turn, and the result of ELSE."""
    value: Any = None
    """The lower-case name of a COLUMN; the value of a CONSTANT, a DECIMAL as its digits."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The lower-case names of the columns, in order of appearance."""
        if self.operation == "COLUMN":
            return (self.value,)
        return tuple(dict.fromkeys(name for child in self.children for name in child.columns))


def bind(sql: str, columns: Mapping[str, Kind], connection: "duckdb.DuckDBPyConnection") -> Bound:
    """Return the expression as the engine binds it.

    Args:
        sql: one expression that `expressions.parse` accepts.
        connection: of an engine in memory, whose temporary table `bound_row` is replaced.

    Raises:
        NotCertainError: it is not an expression over one row of `columns`, or has a type or an
            operation that is not known here.
    """
    import duckdb

    if len({name.lower() for name in columns}) < len(columns):
        raise NotCertainError("columns whose names differ only in case")
    declared = ", ".join(f"{identifier(name)} {kind}" for name, kind in columns.items())
    query = f"SELECT (\n{sql}\n) FROM bound_row"
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE bound_row ({declared})")
        row = connection.execute(
            "SELECT json_serialize_plan(?, optimize := false)", [query]
        ).fetchone()
    except duckdb.Error as error:
        raise NotCertainError(str(error)) from error
    assert row is not None
    try:
        answer = json.loads(row[0])
    except ValueError as error:  # the engine writes NAN, which is not JSON
        raise NotCertainError("a constant that is not finite") from error
    if answer["error"]:
        raise NotCertainError(answer["error_message"])
    return _expression(answer["plans"])


def _expression(plans: list[dict[str, Any]]) -> Bound:
    """Return the expression of the only plan, which reads one table and computes one expression."""
    if [plan["type"] for plan in plans] != ["LOGICAL_PROJECTION"]:
        raise NotCertainError("not a query that computes expressions")
    [plan] = plans
    [source] = plan["children"]
    if source["type"] != "LOGICAL_GET" or len(plan["expressions"]) != 1:
        raise NotCertainError("not one expression over one row")
    names = [name.lower() for name in source["names"]]
    read = [column["index"] for column in source["column_indexes"]]
    # The number of a row is a column too, beyond all others.
    return _bound(plan["expressions"][0], [names[i] if i < len(names) else "" for i in read], 0)


def _bound(node: dict[str, Any], columns: Sequence[str], depth: int) -> Bound:
    """Return the operation of a node of the plan; `columns` are the names by number."""
    if depth > _DEEPEST:
        raise NotCertainError("nested too deeply")
    children = [_bound(child, columns, depth + 1) for child in node.get("children", ())]
    match node["expression_class"]:
        case "BOUND_REF" if name := columns[node["index"]]:
            return Bound("COLUMN", _type(node["return_type"]), value=name)
        case "BOUND_CONSTANT":
            return _constant(node["value"])
        case "BOUND_FUNCTION":
            return Bound(_function_name(node), _type(node["return_type"]), tuple(children))
        case "BOUND_CASE":
            checks = node["case_checks"]
            parts = [check[part] for check in checks for part in ("when_expr", "then_expr")]
            branches = [_bound(part, columns, depth + 1) for part in (*parts, node["else_expr"])]
            return Bound("CASE", _type(node["return_type"]), tuple(branches))
        case "BOUND_CONJUNCTION" | "BOUND_OPERATOR" if node["type"] in _OPERATIONS:
            kind = node.get("return_type")
            return Bound(node["type"], _type(kind) if kind else SqlType("BOOLEAN"), tuple(children))
    raise NotCertainError(f"{node['expression_class']} {node['type']}")


def _function_name(node: dict[str, Any]) -> str:
    *schema, name = node["qname"]["path"]
    if schema not in ([], ["system", "main"]):
        raise NotCertainError(f"a function of {'.'.join(schema)}")
    if name == "__cast":
        return "TRY_CAST" if node["function_data"]["try_cast"] else "CAST"
    if name == "__between" and set(node["function_data"].values()) != {True}:
        raise NotCertainError("BETWEEN without its ends")
    return str(name).lower()


def _constant(value: dict[str, Any]) -> Bound:
    found = None if value["is_null"] else value["value"]
    # Beyond 64 bits the engine writes two numbers.
    if isinstance(found, dict | list):
        raise NotCertainError("a constant of parts")
    return Bound("CONSTANT", _type(value["type"]), value=found)


def _type(kind: dict[str, Any]) -> SqlType:
    info = kind["type_info"]
    if kind["id"] == "DECIMAL":
        return SqlType("DECIMAL", info["width"], info["scale"])
    if info is not None:  # such as a collation
        raise NotCertainError(f"{kind['id']} of a special kind")
    return SqlType(kind["id"])
