"""Which columns each column is made of, from source to feature: read from the declared SQL.

DuckDB's own parser tells what an expression names, so that nothing is guessed; sqlglot reads the
queries that go to databases, in their own dialects.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from factory_assets.spec import IDENTITY, Clean
from factory_resources.sql.expressions import columns_of

Origins = dict[str, tuple[str, ...]]
"""Column to the columns that it is made of."""


def clean_origins(clean: Clean, ingested: Sequence[str]) -> Origins:
    """Every column of the clean table, and the ingested columns whose values make it.

    Rules and keys decide which rows there are, not what is in them: see `row_columns`.

    Args:
        ingested: the columns that come in, identity apart.
    """
    known: Origins = {name: (name,) for name in ingested if name not in IDENTITY}
    for name, sql in clean.derive.items():
        known[name] = _joined(known, columns_of(sql, f"derive.{name}"))
    if windows := clean.windows:
        around = (windows.by, windows.order)
        for column in windows.columns:
            found = _joined(known, (column, *around))
            known |= dict.fromkeys(windows.of(column), found)
    return known


def makers(clean: Clean) -> dict[str, str]:
    """Each column that cleaning adds, and how it is made."""
    found = dict(clean.derive)
    if windows := clean.windows:
        last = f"rows by {windows.by}, ordered by {windows.order}"
        for column in windows.columns:
            for name, (statistic, size) in windows.of(column).items():
                found[name] = f"{statistic} of {column} over {size} {last}"
    return found


def row_columns(clean: Clean) -> tuple[str, ...]:
    """The columns that decide which rows are kept: of rules, and of the key of duplicates."""
    named = [c for rule, sql in clean.where.items() for c in columns_of(sql, f"where.{rule}")]
    return tuple(dict.fromkeys([*named, *clean.deduplicate]))


def source_origins(
    declaration: Mapping[str, Any], ingested: Sequence[str], labels: Collection[str] = ()
) -> Origins:
    """Every ingested column, and the columns of the sources that make it.

    Those of files and functions have their own names; those of a database, a snapshot or an asset
    are written `table.column`, and those of a joined file `join.column`.

    Args:
        declaration: of ingest, as a record keeps it.
        ingested: the columns of the table, identity apart.
        labels: the columns that tell whose a row is; they are in no source.
    """
    promised = {c["name"]: c.get("source") for c in declaration["contract"]["columns"]}
    several = declaration.get("sources") or {"": declaration.get("source") or {}}
    sources = [_Told(source) for source in several.values()]
    joined = {
        column: _Told(join["source"], f"{name}.")
        for name, join in (declaration.get("joins") or {}).items()
        for column in join.get("columns") or ()
    }
    found: Origins = {}
    for name in ingested:
        if name in IDENTITY:
            continue
        told = promised.get(name) or name
        by = [] if name in labels else [joined[told]] if told in joined else sources
        found[name] = tuple(dict.fromkeys(o for source in by for o in source.origins(told)))
    return found


class _Told:
    """Where a source's columns come from."""

    def __init__(self, source: Mapping[str, Any], prefix: str = "") -> None:
        if "pipeline" in source:
            prefix = f"{source['pipeline']}/{source['stage']}."
        elif "asset" in source:
            prefix = f"{source['asset']}."
        elif source.get("table"):
            prefix = f"{source['table']}."
        self._prefix = prefix
        self._query: Origins = {}
        if source.get("query"):
            dialect = "sqlite" if str(source.get("database")).startswith("sqlite:") else "postgres"
            found = query_origins(source["query"], dialect)
            self._query = {name.casefold(): origins for name, origins in found.items()}

    def origins(self, column: str) -> tuple[str, ...]:
        return self._query.get(column.casefold(), (f"{self._prefix}{column}",))


def query_origins(sql: str, dialect: str) -> Origins:
    """Every column of a query's result, and the `table.column`s that make it.

    Columns that the text does not tell, such as those of `*`, are left out.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    try:
        nodes = lineage(None, sql, {}, dialect=dialect)
    except SqlglotError:
        return {}
    found: Origins = {}
    for name, node in nodes.items():
        leaves = [leaf for leaf in node.walk() if not leaf.downstream]
        if name == "*" or any(isinstance(leaf.expression, exp.Placeholder) for leaf in leaves):
            continue
        found[name] = tuple(
            dict.fromkeys(
                f"{_table(leaf.expression)}.{exp.to_column(leaf.name, dialect=dialect).name}"
                for leaf in leaves
                if isinstance(leaf.expression, exp.Table)
            )
        )
    return found


def clean_of(declaration: Any) -> Clean | None:
    """The declaration of `clean` as a record keeps it; None where it is of another time."""
    try:
        # Leniently: JSON has lists where the vocabulary has tuples.
        return Clean.model_validate(declaration, strict=False)
    except ValidationError:
        return None


def _joined(known: Origins, names: Iterable[str]) -> tuple[str, ...]:
    folded = {name.casefold(): origins for name, origins in known.items()}
    found = [o for name in names for o in folded.get(name.casefold(), (name,))]
    return tuple(dict.fromkeys(found))


def _table(table: Any) -> str:
    return ".".join(part for part in (table.db, table.name) if part)
