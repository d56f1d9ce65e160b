"""Compile SQL expressions to Python functions of one row, with the engine's results bit for bit.

The engine takes milliseconds for one row, such a function a microsecond. Whatever is not certain is
left to the engine: expressions that this module does not know, and values with special rules.
Functions of numbers and texts belong in `scalar`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from factory_resources.errors import ExpressionError
from factory_resources.sql.expressions import parse, parser
from factory_resources.sql.scalar.binding import Bound, Kind, NotCertainError, bind
from factory_resources.sql.scalar.casts import cast as cast_value
from factory_resources.sql.scalar.columns import ComputeColumns, compile_columns
from factory_resources.sql.scalar.numbers import comparison, extreme, number_function
from factory_resources.sql.scalar.regrouping import regrouped
from factory_resources.sql.scalar.texts import text_function
from factory_resources.sql.scalar.values import (
    BOOLEAN,
    Evaluate,
    Row,
    Term,
    UndecidedError,
    constant,
    read_column,
)

if TYPE_CHECKING:
    import duckdb

_KINDS = frozenset({"BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN"})


@dataclass(frozen=True)
class RowFunction:
    """An expression that Python computes."""

    kind: Kind
    """The engine's type of the result."""
    columns: tuple[str, ...]
    """Lower-case names of the columns that it reads."""
    compute: Callable[[Mapping[str, Any]], Any]
    """Takes the value (int, float, str, bool or None) of each column by its lower-case name.

    Raises `scalar.values.UndecidedError` if only the engine may decide, such as for an int in a
    column of DOUBLE, and KeyError if a column is missing.
    """
    compute_columns: ComputeColumns | None = None
    """The same over whole columns; None if it can be computed only row by row."""


def compile_expression(
    sql: str,
    columns: Mapping[str, Kind],
    connection: "duckdb.DuckDBPyConnection | None" = None,
) -> RowFunction | None:
    """Return the expression as a function of one row; None if its results are not certain.

    None also stands for what is not an expression over these columns; the engine names the mistake.

    Args:
        sql: one DuckDB expression.
        columns: the type of each column; names match whatever their case.
        connection: of an engine in memory, whose temporary table `bound_row` is replaced; by
            default a new one.
    """
    try:
        parse(sql, "")
        with nullcontext(connection) if connection else parser().cursor() as engine:
            return compile_bound(bind(sql, columns, engine))
    except (ExpressionError, NotCertainError, RecursionError):
        return None


def compile_bound(bound: Bound) -> RowFunction:
    """Return the bound expression as a function of one row.

    Raises:
        NotCertainError: its results are not certain.
    """
    if bound.type.name not in _KINDS:
        raise NotCertainError(f"a result of {bound.type.name}")
    evaluate = _term(bound).evaluate

    def compute(row: Mapping[str, Any]) -> Any:
        try:
            return evaluate(row)
        except (ArithmeticError, ValueError) as error:
            raise UndecidedError(str(error)) from error

    columns = compile_columns(bound, lambda part: _term(part).evaluate({}))
    return RowFunction(cast(Kind, bound.type.name), bound.columns, compute, columns)


def _term(bound: Bound) -> Term:
    if bound.operation == "COLUMN":
        return Term(bound.type, read_column(bound.value, bound.type))
    if bound.operation == "CONSTANT":
        return constant(bound.type, bound.value)
    bound = regrouped(bound)
    terms = [_term(child) for child in bound.children]
    term = Term(bound.type, _operation(bound, terms))
    if not all(part.constant for part in terms):
        return term
    try:
        return constant(bound.type, term.evaluate({}))
    except (UndecidedError, ArithmeticError, ValueError):
        return term  # a branch that no row may take


def _operation(bound: Bound, terms: Sequence[Term]) -> Evaluate:
    match bound.operation:
        case "CAST" | "TRY_CAST" as operation:
            return cast_value(terms[0], bound.type, attempt=operation == "TRY_CAST")
        case "CASE":
            return _case(bound, terms)
        case "OPERATOR_COALESCE":
            return _coalesce(bound, terms)
        case "COMPARE_IN":
            return _is_in(terms)
        case "OPERATOR_IS_NULL":
            only = terms[0].evaluate
            return lambda row: only(row) is None
        case "OPERATOR_IS_NOT_NULL":
            only = terms[0].evaluate
            return lambda row: only(row) is not None
        case "OPERATOR_NOT":
            return _not(terms[0])
        case "CONJUNCTION_AND":
            return _conjunction(terms, decisive=False)
        case "CONJUNCTION_OR":
            return _conjunction(terms, decisive=True)
        case "__between":
            return _between(terms)
    name = bound.operation
    evaluate = (
        comparison(name, terms)
        or extreme(name, bound.type, terms)
        or number_function(name, bound.type, terms)
        or text_function(name, bound.type, terms)
    )
    if evaluate is None:
        raise NotCertainError(f"{name} of {', '.join(term.type.name for term in terms)}")
    return evaluate


def _not(term: Term) -> Evaluate:
    evaluate_inner = term.evaluate

    def evaluate(row: Row) -> Any:
        value = evaluate_inner(row)
        return None if value is None else not value

    return evaluate


def _conjunction(terms: Sequence[Term], *, decisive: bool) -> Evaluate:
    """Return AND (False is decisive) or OR (True is).

    The engine chooses which operands it evaluates, and in which order: one that fails may fail the
    row even if another decides. So all are evaluated.
    """
    if any(term.type != BOOLEAN for term in terms):
        raise NotCertainError("a conjunction of values that are not boolean")
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Row) -> Any:
        values = [each(row) for each in evaluates]
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return evaluate


def _between(terms: Sequence[Term]) -> Evaluate:
    value, low, high = terms
    ends = (comparison(">=", [value, low]), comparison("<=", [value, high]))
    return _conjunction([Term(BOOLEAN, end) for end in ends if end is not None], decisive=False)


def _is_in(terms: Sequence[Term]) -> Evaluate:
    sought, *listed = terms
    if any(term.type != sought.type for term in listed):
        raise NotCertainError("a list of several types")
    evaluate_sought = sought.evaluate
    if all(term.constant for term in listed):
        known = frozenset(term.value for term in listed if term.value is not None)
        otherwise = False if len(listed) == sum(t.value is not None for t in listed) else None

        def evaluate_constants(row: Row) -> Any:
            value = evaluate_sought(row)
            if value is None:
                return None
            return True if value in known else otherwise

        return evaluate_constants
    evaluates = [term.evaluate for term in listed]

    def evaluate(row: Row) -> Any:
        value = evaluate_sought(row)
        others = [each(row) for each in evaluates]
        if value is None:
            return None
        if value in others:
            return True
        return None if None in others else False

    return evaluate


def _case(bound: Bound, terms: Sequence[Term]) -> Evaluate:
    """Return CASE, which evaluates only what the engine evaluates for the row."""
    conditions, results = terms[:-1:2], [*terms[1:-1:2], terms[-1]]
    if any(term.type != BOOLEAN for term in conditions):
        raise NotCertainError("a condition that is not boolean")
    if any(term.type != bound.type for term in results):
        raise NotCertainError("results of several types")
    checks = [(c.evaluate, r.evaluate) for c, r in zip(conditions, results, strict=False)]
    otherwise = results[-1].evaluate

    def evaluate(row: Row) -> Any:
        for condition, result in checks:
            if condition(row):
                return result(row)
        return otherwise(row)

    return evaluate


def _coalesce(bound: Bound, terms: Sequence[Term]) -> Evaluate:
    """Return the first value that is not NULL.

    The engine may evaluate values after it beforehand, if they occur twice. So all are evaluated.
    """
    if any(term.type != bound.type for term in terms):
        raise NotCertainError("values of several types")
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Row) -> Any:
        values = [each(row) for each in evaluates]
        return next((value for value in values if value is not None), None)

    return evaluate
