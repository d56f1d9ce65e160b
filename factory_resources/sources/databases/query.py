"""A declared query: one SELECT and nothing else, with its parameters as the database binds them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from factory_resources.errors import SourceError
from factory_resources.sql.expressions import suggestion

Parameters = Mapping[str, int | float | str | bool]


@dataclass(frozen=True)
class DatabaseQuery:
    """What is asked of a database: a whole table, or a query."""

    database: str
    """The name of a secret that holds a URL, or `sqlite:` and a path."""
    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] = ()
    """The columns that order the rows; the others decide where these are equal."""
    parameters: Parameters | None = None
    timeout: int = 600
    """Seconds."""

    @property
    def name(self) -> str:
        return f"{self.database}/{self.table or 'query'}"


_WRITES = ("Insert", "Update", "Delete", "Merge", "Into", "Command", "Lock", "DDL", "Copy")

_REMEDY = "write one SELECT; what needs more belongs in a view of the database"


def bound_query(
    sql: str,
    dialect: Literal["postgres", "sqlite"],
    parameters: Collection[str],
    place: Callable[[str], str],
    where: str,
) -> str:
    """The query without comments at its ends, each `:name` replaced by what `place` makes of it.

    Args:
        parameters: the names that have a value.
        place: the SQL that stands for the parameter; never its value.

    Raises:
        SourceError: not one SELECT, or a parameter without value or without place.
    """
    _require_select(sql, dialect, where)
    tokens = _tokens(sql, dialect)
    while tokens[-1].token_type.name == "SEMICOLON":
        tokens.pop()
    pieces: list[str] = []
    used: set[str] = set()
    at = tokens[0].start
    for colon, name in pairwise(tokens):
        # A slice such as a[1:n] has a colon too, but then nobody declared n.
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

    # It warns on the terminal of every statement that it does not know in detail.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        parsed = sqlglot.parse(sql, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        reason = _reason(error)
        raise SourceError(
            f"the query is not understood ({reason})", where=where, remedy=_REMEDY
        ) from error
    # A comment after the last semicolon is a statement of its own to the parser.
    statements = [found for found in parsed if not isinstance(found, exp.Semicolon | None)]
    if len(statements) != 1:
        raise SourceError(f"the query is {len(statements)} statements", where=where, remedy=_REMEDY)
    [statement] = statements
    writes = tuple(getattr(exp, name) for name in _WRITES)
    found = statement.find(*writes)
    if found is not None or not isinstance(statement, exp.Query):
        kind = type(found or statement).__name__.upper()
        raise SourceError(f"the query does more than to read ({kind})", where=where, remedy=_REMEDY)


def _reason(error: Exception) -> str:
    found = getattr(error, "errors", None)
    if not found:
        return type(error).__name__ if isinstance(error, RecursionError) else str(error)
    first = found[0]
    near = f" near {first['highlight']!r}" if first.get("highlight") else ""
    return f"line {first['line']}{near}"
