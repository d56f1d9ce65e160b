"""Refuse Parquet files whose columns the engine would rename, leave out or round."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import SourceError
from factory_resources.sql.engine import file_literal

if TYPE_CHECKING:
    import duckdb

_DIGITS = 38
"""Most digits of a decimal; of one with more, the engine makes a double."""


def require_readable(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> None:
    """Require columns that the engine reads as they are.

    Raises:
        SourceError: it would change their names, or round their whole numbers.
    """
    nodes = connection.execute(
        f"SELECT name, num_children, scale, precision FROM parquet_schema({file_literal(path)})"
    ).fetchall()
    _require_names(_top_level_names([node[:2] for node in nodes[1:]]), name)
    for column, _, scale, digits in nodes:
        if scale == 0 and digits > _DIGITS:
            raise SourceError(
                f"column {column!r} has whole numbers of up to {digits} digits, and the engine "
                f"reads {_DIGITS}",
                where=name,
                remedy=f"write it as text, or as decimal({_DIGITS}, 0) if all numbers fit",
            )


def _top_level_names(nodes: Sequence[tuple[str, int | None]]) -> list[str]:
    """Return the names of the columns among a schema's nodes, which come parents first."""
    names = []
    inside = 0
    for name, children in nodes:
        if not inside:
            names.append(name)
            inside = 1
        inside += (children or 0) - 1
    return names


def _require_names(names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        fault = None
        if not name:
            fault = "has a column without a name"
        elif name.lower() == "file_row_number":
            fault = f"has a column named {name!r}, which the engine reserves"
        elif other := seen.get(name.lower()):
            fault = (
                f"has 2 columns named {name!r}"
                if other == name
                else f"has columns {other!r} and {name!r}, which differ only in case"
            )
        if fault:
            raise SourceError(fault, where=where, remedy="rename it")
        seen[name.lower()] = name
