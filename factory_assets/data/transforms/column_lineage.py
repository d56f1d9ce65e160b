"""Column lineage: the columns that each column is computed from, read from the declared SQL.

DuckDB's own parser finds the columns in an expression, so that nothing is guessed; sqlglot parses
the queries that are sent to databases, in their own dialects. The lineage of rows belongs in
`audit.trace`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from factory_assets.spec import IDENTITY, Clean
from factory_resources.errors import ExpressionError
from factory_resources.sql.expressions import columns_of, parse

Origins = dict[str, tuple[str, ...]]
"""Each column with the columns that it is computed from."""


def clean_origins(clean: Clean, ingested: Sequence[str]) -> Origins:
    """Return the ingested columns from whose values each clean column is computed.

    Rules and keys decide which rows remain, not their values.

    Args:
        ingested: the columns of the ingested table; identity columns are ignored.
    """
    origins: Origins = {name: (name,) for name in ingested if name not in IDENTITY}
    for name, sql in clean.derive.items():
        origins[name] = _joined(origins, columns_of(sql, f"derive.{name}"))
    if windows := clean.windows:
        around = (windows.by, windows.order)
        for column in windows.columns:
            window_origins = _joined(origins, (column, *around))
            origins |= dict.fromkeys(windows.of(column), window_origins)
    return origins


def from_other_rows(clean: Clean) -> set[str]:
    """Return, in lower case, the columns of expressions with OVER, and those made of them."""
    found: set[str] = set()
    for name, sql in clean.derive.items():
        expression = parse(sql, f"derive.{name}")
        if expression.windowed or found & {column.lower() for column in expression.columns}:
            found.add(name.lower())
    if windows := clean.windows:
        for column in windows.columns:
            if column.lower() in found:
                found |= {name.lower() for name in windows.of(column)}
    return found


def inputs_of_other_rows(
    clean: Clean, inputs: Iterable[str], where: str
) -> Iterator[tuple[str, ExpressionError]]:
    """Yield the inputs of a model that depend on other rows through OVER, with what to do.

    Where a row is predicted, the other rows are not there.
    """
    others = from_other_rows(clean)
    for name in inputs:
        if name.lower() in others:
            yield (
                name,
                ExpressionError(
                    f"input {name!r} depends on other rows, through OVER, and a prediction may be "
                    "of one row alone",
                    where=where,
                    remedy="use clean.windows, or name it in train.exclude",
                ),
            )


def formulas(clean: Clean) -> dict[str, str]:
    """Return how each column that cleaning adds is computed."""
    found = {name: f"{name} in one spelling" for name in clean.unify} | dict(clean.derive)
    if windows := clean.windows:
        last = f"rows by {windows.by}, ordered by {windows.order}"
        for column in windows.columns:
            for name, (statistic, size) in windows.of(column).items():
                found[name] = f"{statistic} of {column} over {size} {last}"
    return found


def source_origins(
    declaration: Mapping[str, Any],
    ingested: Sequence[str],
    labels: Collection[str] = (),
    added: Mapping[str, Mapping[str, str]] | None = None,
) -> Origins:
    """Return the source columns from which each ingested column is computed.

    Columns of files and functions have their own names; those of a database, a snapshot or an asset
    are written `table.column`, and those of a joined file `join.column`.

    Args:
        declaration: the declaration of ingest, as a record stores it.
        ingested: the columns of the table; identity columns are ignored.
        labels: the columns that name the source of a row; they are in no source.
        added: by join that declares no columns, those that it added, each with its own name.
    """
    declared = {c["name"]: c.get("source") for c in declaration["contract"]["columns"]}
    several = declaration.get("sources") or {"": declaration.get("source") or {}}
    sources = [_SourceColumns(source) for source in several.values()]
    joined = {
        renamed: (_SourceColumns(join["source"], f"{name}."), column)
        for name, join in (declaration.get("joins") or {}).items()
        for renamed, column in {**_added_columns(join), **(added or {}).get(name, {})}.items()
    }
    origins: Origins = {}
    for name in ingested:
        if name in IDENTITY:
            continue
        column = declared.get(name) or name
        if column in joined:
            source, column = joined[column]
            given_by = [source]
        else:
            given_by = [] if name in labels else sources
        origins[name] = tuple(dict.fromkeys(o for one in given_by for o in one.origins(column)))
    return origins


def _added_columns(join: Mapping[str, Any]) -> dict[str, str]:
    """Map the name of each column that a join adds, as far as it is declared, to its own name."""
    rename, prefix = join.get("rename") or {}, join.get("prefix") or ""
    columns = dict.fromkeys([*(join.get("columns") or ()), *rename])
    return {rename.get(column, f"{prefix}{column}"): column for column in columns}


def source_prefixes(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Return how the names of `source_origins` begin, each with its join, empty for rows.

    Args:
        declaration: the declaration of ingest, as a record stores it.
    """
    joins = declaration.get("joins") or {}
    several = declaration.get("sources") or {"": declaration.get("source") or {}}
    found = {_prefix(join["source"], f"{name}."): name for name, join in joins.items()}
    return found | {prefix: "" for one in several.values() if (prefix := _prefix(one))}


def _prefix(source: Mapping[str, Any], otherwise: str = "") -> str:
    if "pipeline" in source:
        return f"{source['pipeline']}/{source['stage']}."
    if "asset" in source:
        return f"{source['asset']}."
    if "answers" in source:
        return f"{source['answers']}/answers."
    return f"{source['table']}." if source.get("table") else otherwise


class _SourceColumns:
    """The origins of the columns of one source."""

    def __init__(self, source: Mapping[str, Any], prefix: str = "") -> None:
        self._prefix = _prefix(source, prefix)
        self._query: Origins = {}
        if source.get("query"):
            dialect = "sqlite" if str(source.get("database")).startswith("sqlite:") else "postgres"
            found = query_origins(source["query"], dialect)
            self._query = {name.casefold(): origins for name, origins in found.items()}

    def origins(self, column: str) -> tuple[str, ...]:
        return self._query.get(column.casefold(), (f"{self._prefix}{column}",))


def query_origins(sql: str, dialect: str) -> Origins:
    """Return the `table.column`s from which each column of a query's result is computed.

    Columns that cannot be found in the text of the query, such as those of `*`, are left out; all
    are if it is nested some sixty levels deep.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    try:
        nodes = lineage(None, sql, {}, dialect=dialect)
    except (SqlglotError, RecursionError):
        return {}
    origins: Origins = {}
    for name, node in nodes.items():
        leaves = [leaf for leaf in node.walk() if not leaf.downstream]
        if name == "*" or any(isinstance(leaf.expression, exp.Placeholder) for leaf in leaves):
            continue
        origins[name] = tuple(
            dict.fromkeys(
                f"{_table(leaf.expression)}.{exp.to_column(leaf.name, dialect=dialect).name}"
                for leaf in leaves
                if isinstance(leaf.expression, exp.Table)
            )
        )
    return origins


def parse_clean(declaration: Any) -> Clean | None:
    """Parse a stored declaration of `clean`; None if it is from an incompatible version."""
    try:
        # Not strict: JSON has lists where the model has tuples.
        return Clean.model_validate(declaration, strict=False)
    except ValidationError:
        return None


def _joined(known: Origins, names: Iterable[str]) -> tuple[str, ...]:
    folded = {name.casefold(): origins for name, origins in known.items()}
    found = [o for name in names for o in folded.get(name.casefold(), (name,))]
    return tuple(dict.fromkeys(found))


def _table(table: Any) -> str:
    return ".".join(part for part in (table.db, table.name) if part)
