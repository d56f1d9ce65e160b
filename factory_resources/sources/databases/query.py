"""Declared queries: check that a query is one SELECT, and replace its parameters."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from factory_resources.errors import SourceError
from factory_resources.sql.expressions import suggestion

Parameters = Mapping[str, int | float | str | bool]


@dataclass(frozen=True)
class DatabaseQuery:
    """What to read from a database: a whole table, or a query."""

    database: str
    """The name of a secret that contains a URL, or `sqlite:` and a path."""
    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] = ()
    """The columns that order the rows; the other columns decide between equal keys."""
    parameters: Parameters | None = None
    timeout: int = 600
    """Seconds."""

    @property
    def name(self) -> str:
        return f"{self.database}/{self.table or 'query'}"


_WRITES = ("Insert", "Update", "Delete", "Merge", "Into", "Command", "Lock", "DDL", "Copy")

_REMEDY = "write one SELECT; put anything more into a view of the database"


def bound_query(
    sql: str,
    dialect: Literal["postgres", "sqlite"],
    parameters: Collection[str],
    place: Callable[[str], str],
    where: str,
) -> str:
    """Return the query without comments at its ends, with each `:name` replaced by `place(name)`.

    Args:
        parameters: the names that have a value.
        place: returns the SQL that stands for a parameter; never its value.

    Raises:
        SourceError: it is not one SELECT, or a parameter has no value or is not in the query.
    """
    _require_select(sql, dialect, where)
    tokens = _tokens(sql, dialect)
    while tokens[-1].token_type.name == "SEMICOLON":
        tokens.pop()
    pieces: list[str] = []
    used: set[str] = set()
    at = tokens[0].start
    for colon, name in pairwise(tokens):
        # A slice such as a[1:n] has a colon too, but then n is not a declared parameter.
        if colon.token_type.name == "COLON" and name.start == colon.end + 1:
            text = sql[name.start : name.end + 1]
            if text in parameters:
                pieces += [sql[at : colon.start], place(text)]
                at = name.end + 1
                used.add(text)
            elif not _in_brackets(sql, colon.start):
                raise SourceError(
                    f"the query's parameter :{text} has no value",
                    where=where,
                    remedy=suggestion(text, sorted(parameters))
                    if parameters
                    else f"give it under source.parameters, as in {{{text}: 1}}",
                )
    if unused := sorted(set(parameters) - used):
        raise SourceError(
            f"parameter {unused[0]!r} is not in the query",
            where=where,
            remedy=f"write :{unused[0]} where its value belongs",
        )
    return "".join([*pieces, sql[at : tokens[-1].end + 1]])


def _in_brackets(sql: str, at: int) -> bool:
    return sql.rfind("[", 0, at) > sql.rfind("]", 0, at)


def _tokens(sql: str, dialect: str) -> list[Any]:
    import sqlglot

    return list(sqlglot.tokenize(sql, read=dialect))


def _require_select(sql: str, dialect: str, where: str) -> None:
    import logging

    import sqlglot
    from sqlglot import exp

    # sqlglot warns on the terminal about every statement that it does not know in detail.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        parsed = sqlglot.parse(sql, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        reason = _reason(error)
        raise SourceError(
            f"the query cannot be parsed ({reason})", where=where, remedy=_REMEDY
        ) from error
    # The parser returns a comment after the last semicolon as a statement of its own.
    statements = [tree for tree in parsed if not isinstance(tree, exp.Semicolon | None)]
    if len(statements) != 1:
        raise SourceError(
            f"the query has {len(statements)} statements", where=where, remedy=_REMEDY
        )
    [statement] = statements
    write = statement.find(*(getattr(exp, name) for name in _WRITES))
    if write is not None or not isinstance(statement, exp.Query):
        kind = type(write or statement).__name__.upper()
        raise SourceError(f"the query does more than read ({kind})", where=where, remedy=_REMEDY)


def _reason(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if not errors:
        return type(error).__name__ if isinstance(error, RecursionError) else str(error)
    first = errors[0]
    near = f" near {first['highlight']!r}" if first.get("highlight") else ""
    return f"line {first['line']}{near}"
