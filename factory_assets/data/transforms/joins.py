"""The declared joins: columns of other tables added to the rows of a source.

The rows stay what they were: as many, in their order, under their own identity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.spec import FileSource, Join
from factory_resources.errors import ContractError, SourceError
from factory_resources.sources.files.reader import Columns, SourceTable, parquet
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed
from factory_resources.sql.expressions import suggestion

if TYPE_CHECKING:
    import duckdb


def with_joins(
    joins: Mapping[str, Join],
    raws: Sequence[SourceTable],
    others: Mapping[str, Sequence[SourceTable]],
    scratch: Path,
) -> list[SourceTable]:
    """Each source with the columns of every join, in the order of the joins' names.

    Args:
        raws: the sources of rows.
        others: of each join, what its own source is made of.
        scratch: where the wider tables are written.

    Raises:
        SourceError: a column that a join names is not there.
        ContractError: a key occurs twice in a joined table, or a column is in both.
    """
    wide = list(raws)
    for number, (name, join) in enumerate(sorted(joins.items())):
        own = scratch / f"source_joined_{number}"
        own.mkdir()
        wide = [_joined(name, join, raw, others[name], own / f"{i}") for i, raw in enumerate(wide)]
    return wide


def _joined(
    name: str, join: Join, raw: SourceTable, others: Sequence[SourceTable], scratch: Path
) -> SourceTable:
    scratch.mkdir()
    table, there = _table(join, others)
    key = join.key or join.on
    _require(join.on, raw.columns, f"joins.{name}.on", raw.name)
    names = ", ".join(dict.fromkeys(other.name for other in others))
    _require(key, there, f"joins.{name}.key", names)
    added = tuple(c for c in there if c not in key) if join.columns is None else join.columns
    _require(added, there, f"joins.{name}.columns", names)
    for column in added:
        if column in raw.columns:
            raise ContractError(
                f"column {column!r} of {names} is in the source as well",
                where=f"joins.{name}",
                remedy="name the columns to add in `columns`, or rename it in a query",
            )
    target = scratch / "wide.parquet"
    with (
        sealed(read=[raw.path, *(other.path for other in others)], write=scratch) as connection,
        engine_errors(f"joins.{name}", SourceError, "correct the join"),
    ):
        _require_unique(connection, table, key, f"joins.{name}", names)
        same = " AND ".join(
            f"{_text('s.' + identifier(raw.columns[mine][0]))} = o.k{i}"
            for i, mine in enumerate(join.on)
        )
        keys = [f"{_text(identifier(column))} AS k{i}" for i, column in enumerate(key)]
        cells = [f"{identifier(column)} AS j{i}" for i, column in enumerate(added)]
        other = f"SELECT {', '.join([*keys, *cells])}, true AS there FROM ({table})"
        mine = [*(place for place, _ in raw.columns.values()), *raw.partners.values()]
        selected = ", ".join(
            [
                *(f"s.{identifier(place)} AS c{i}" for i, place in enumerate(mine)),
                *(f"o.j{i} AS c{len(mine) + i}" for i in range(len(added))),
                "o.there IS NOT NULL AS partner",
            ]
        )
        # The engine promises the order of a scan, not that of a join.
        connection.execute(
            f"COPY (SELECT {selected} FROM {parquet(raw.path)} s LEFT JOIN ({other}) o ON {same} "
            f"ORDER BY s.file_row_number) TO {literal(str(target))} (FORMAT parquet)"
        )
        described = connection.execute(f"DESCRIBE FROM {parquet(target)}").fetchall()
    kinds = [kind for _, kind, *_ in described]
    partners = {rule: f"c{len(raw.columns) + i}" for i, rule in enumerate(raw.partners)}
    columns = {column: (f"c{i}", kinds[i]) for i, column in enumerate(raw.columns)}
    for i, column in enumerate(added, start=len(mine)):
        columns[column] = (f"c{i}", kinds[i])
    if join.required:
        partners[f"join:{name}"] = "partner"
    return replace(raw, path=target, columns=columns, partners=partners)


def _table(join: Join, others: Sequence[SourceTable]) -> tuple[str, Columns]:
    """A query for the joined table, and its columns; labels of its files are columns too."""
    label = join.source.label if isinstance(join.source, FileSource) else None
    parts, there = [], dict[str, tuple[str, str]]()
    for other in others:
        cells = [
            f"{identifier(place)} AS {identifier(column)}"
            for column, (place, _) in other.columns.items()
        ]
        if label:
            cells.append(f"{literal(other.labels[label])} AS {identifier(label)}")
            there[label] = (label, "VARCHAR")
        parts.append(f"SELECT {', '.join(cells)} FROM {parquet(other.path)}")
        there |= other.columns
    return " UNION ALL BY NAME ".join(parts), there


def _text(cell: str) -> str:
    """What is compared: text without outer blanks; a missing value is like no other."""
    return f"nullif(trim(CAST({cell} AS VARCHAR), E' \\t\\r\\n'), '')"


def _require(wanted: Sequence[str], there: Columns, where: str, name: str) -> None:
    for column in wanted:
        if column not in there:
            raise SourceError(
                f"{name} has no column {column!r}",
                where=where,
                remedy=suggestion(column, list(there)),
            )


def _require_unique(
    connection: "duckdb.DuckDBPyConnection", table: str, key: Sequence[str], where: str, name: str
) -> None:
    cells = [_text(identifier(column)) for column in key]
    present = " AND ".join(f"{cell} IS NOT NULL" for cell in cells)
    listed = ", ".join(cells)
    found = connection.execute(
        f"SELECT {listed}, count(*) AS n FROM ({table}) WHERE {present} "
        f"GROUP BY {listed} HAVING n > 1 ORDER BY n DESC, {listed} LIMIT 1"
    ).fetchone()
    if found:
        *values, rows = found
        shown = ", ".join(f"{c} {v!r}" for c, v in zip(key, values, strict=True))
        raise ContractError(
            f"key {shown} occurs {rows} times in {name}",
            where=where,
            remedy="a joined table has each key once: correct it, or join by more columns",
        )
