"""The declared joins: add columns of other tables to the rows of a source.

The rows keep their number, their order and their identity. That a row must have a match is a rule
of the contract, which belongs in `contract.validation`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.privacy.first_lines import suggest_column
from factory_assets.spec import FileSource, Join
from factory_resources.errors import ContractError, JoinError, SourceError
from factory_resources.sources.files.reader import Columns, SourceTable, parquet
from factory_resources.sql.bytes_as_text import text_sql
from factory_resources.sql.engine import ZONED, engine_errors, identifier, literal, sealed

if TYPE_CHECKING:
    import duckdb


def with_joins(
    joins: Mapping[str, Join],
    raws: Sequence[SourceTable],
    others: Mapping[str, Sequence[SourceTable]],
    scratch: Path,
    hidden: Collection[str] = (),
) -> list[SourceTable]:
    """Return each source with the columns of every join, in the order of the joins' names.

    Args:
        raws: the sources of rows.
        others: the tables to join, by the name of the join.
        scratch: the folder for the wider tables.
        hidden: the columns, joined ones included, whose values no message may show.

    Raises:
        SourceError: a column that a join names does not exist.
        JoinError: a key occurs twice in a joined table.
        ContractError: a column is in both tables.
    """
    wide = list(raws)
    for number, (name, join) in enumerate(sorted(joins.items())):
        own = scratch / f"source_joined_{number}"
        own.mkdir()
        wide = [
            _joined(name, join, raw, others[name], own / f"{i}", hidden)
            for i, raw in enumerate(wide)
        ]
    return wide


def undeclared_columns(
    joins: Mapping[str, Join], others: Mapping[str, Sequence[SourceTable]]
) -> dict[str, dict[str, str]]:
    """Return what each join adds that declares no columns, each with its name in the other table.

    The label of its files is in no table.

    Args:
        others: the tables to join, by the name of the join.
    """
    return {
        name: {
            added: own
            for own, added in join.adds(_table(join, others[name])[1]).items()
            if any(own in other.columns for other in others[name])
        }
        for name, join in joins.items()
        if join.columns is None
    }


def _joined(
    name: str,
    join: Join,
    raw: SourceTable,
    others: Sequence[SourceTable],
    scratch: Path,
    hidden: Collection[str],
) -> SourceTable:
    scratch.mkdir()
    table, available = _table(join, others)
    key = join.key or join.on
    _require(join.on, raw.columns, f"joins.{name}.on", raw.name, hidden)
    names = ", ".join(dict.fromkeys(other.name for other in others))
    _require(key, available, f"joins.{name}.key", names, hidden)
    adds = join.adds(available)
    added = tuple(adds)
    _require(added, available, f"joins.{name}.columns", names, hidden)
    _require(tuple(join.rename), available, f"joins.{name}.rename", names, hidden)
    _require_new(name, adds, raw.columns, names)
    target = scratch / "wide.parquet"
    with (
        sealed(read=[raw.path, *(other.path for other in others)], write=scratch) as connection,
        engine_errors(f"joins.{name}", SourceError, "correct the join"),
    ):
        # Files of several types have a common one together.
        types = {n: kind for n, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
        own_types = [raw.trained.get(mine, raw.columns[mine][1]) for mine in join.on]
        keys, same = _keys([raw.columns[mine] for mine in join.on], own_types, key, types)
        named = {*join.on, *key, *(adds[column] for column in key if column in adds)}
        _require_unique(
            connection, table, key, keys, f"joins.{name}", names, shown=named.isdisjoint(hidden)
        )
        numbered = [f"{cell} AS k{i}" for i, cell in enumerate(keys)]
        cells = [f"{identifier(column)} AS j{i}" for i, column in enumerate(added)]
        other = f"SELECT {', '.join([*numbered, *cells])}, true AS matched FROM ({table})"
        mine = [*(place for place, _ in raw.columns.values()), *raw.partners.values()]
        selected = ", ".join(
            [
                *(f"s.{identifier(place)} AS c{i}" for i, place in enumerate(mine)),
                *(f"o.j{i} AS c{len(mine) + i}" for i in range(len(added))),
                "o.matched IS NOT NULL AS partner",
            ]
        )
        # The engine guarantees the order of a scan, but not that of a join.
        connection.execute(
            f"COPY (SELECT {selected} FROM {parquet(raw.path)} s LEFT JOIN ({other}) o ON {same} "
            f"ORDER BY s.file_row_number) TO {literal(str(target))} (FORMAT parquet)"
        )
        described = connection.execute(f"DESCRIBE FROM {parquet(target)}").fetchall()
        [[matched]] = connection.execute(
            f"SELECT count(*) FILTER (partner) FROM {replace(raw, path=target).relation}"
        ).fetchall()
    kinds = [kind for _, kind, *_ in described]
    partners = {rule: f"c{len(raw.columns) + i}" for i, rule in enumerate(raw.partners)}
    columns = {
        column: (f"c{i}", _wide_kind(kind, kinds[i]))
        for i, (column, (_, kind)) in enumerate(raw.columns.items())
    }
    for i, (column, renamed) in enumerate(adds.items(), start=len(mine)):
        columns[renamed] = (f"c{i}", _wide_kind(available[column][1], kinds[i]))
    if join.required:
        partners[f"join:{name}"] = "partner"
    return replace(
        raw,
        path=target,
        columns=columns,
        partners=partners,
        matched={**raw.matched, name: int(matched)},
    )


def _wide_kind(read: str, stored: str) -> str:
    """Return the type of a column of the wider table: times that are in UTC remain so."""
    return ZONED if read == ZONED and stored == "TIMESTAMP" else stored


def _table(join: Join, others: Sequence[SourceTable]) -> tuple[str, Columns]:
    """Return a query for the joined table, and its columns, labels of its files included."""
    label = join.source.label if isinstance(join.source, FileSource) else None
    parts, columns = [], dict[str, tuple[str, str]]()
    for other in others:
        cells = [
            f"{identifier(place)} AS {identifier(column)}"
            for column, (place, _) in other.columns.items()
        ]
        if label:
            cells.append(f"{literal(other.labels[label])} AS {identifier(label)}")
            columns[label] = (label, "VARCHAR")
        parts.append(f"SELECT {', '.join(cells)} FROM {other.relation}")
        columns |= other.columns
    return " UNION ALL BY NAME ".join(parts), columns


def _keys(
    mine: Sequence[tuple[str, str]],
    compared: Sequence[str],
    key: Sequence[str],
    types: Mapping[str, str],
) -> tuple[list[str], str]:
    """Return SQL for each key of the joined table, and for whether a row `s` of the source has it.

    Args:
        mine: the columns of the source, and their types.
        compared: the types by which they are compared.
        key: the columns of the joined table.
        types: the types of its columns.
    """
    keys, tests = [], []
    for i, ((place, kind), by, column) in enumerate(zip(mine, compared, key, strict=True)):
        kinds = (by, types[column])
        numbers, times = any(map(_is_number, kinds)), any(map(_is_time, kinds))
        own = _key_text("s." + identifier(place), kind, numbers=numbers, times=times)
        keys.append(_key_text(identifier(column), kinds[1], numbers=numbers, times=times))
        tests.append(f"{own} = o.k{i}")
    return keys, " AND ".join(tests)


def _is_number(kind: str) -> bool:
    return _is_whole(kind) or _is_float(kind) or kind.startswith("DECIMAL")


def _is_whole(kind: str) -> bool:
    return kind.endswith(("INT", "INTEGER"))


def _is_float(kind: str) -> bool:
    return kind in {"FLOAT", "DOUBLE"}


def _is_time(kind: str) -> bool:
    return kind.startswith(("DATE", "TIMESTAMP"))


def _key_text(cell: str, kind: str, *, numbers: bool, times: bool) -> str:
    """Return SQL for a key as text without outer blanks; a missing value matches nothing.

    Args:
        kind: the type of the cell.
        numbers: whether it is compared with numbers: 1 and 1.0, which pandas writes in columns with
            gaps, are the same one, and so are 2.5 and 2.50.
        times: whether it is compared with dates or times: a date is its midnight.
    """
    text = f"nullif(trim({text_sql(cell, kind)}, E' \\t\\r\\n'), '')"
    if times and not numbers:
        if not _is_time(kind):
            text = f"coalesce(CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS VARCHAR), {text})"
        return rf"regexp_replace({text}, '( 00:00:00)?(\+00)?$', '')"
    if not numbers:
        return text
    if _is_float(kind):
        # The engine writes a large one with an exponent.
        whole = f"CASE WHEN {cell} = trunc({cell}) THEN TRY_CAST({cell} AS HUGEINT) END"
        text = f"coalesce(CAST({whole} AS VARCHAR), {text})"
    return (
        rf"regexp_replace(regexp_replace({text}, '^([+-]?[0-9]+)\.0+$', '\1'), "
        rf"'^([+-]?[0-9]*\.[0-9]*[1-9])0+$', '\1')"
    )


def _require(
    required: Sequence[str], available: Columns, where: str, name: str, hidden: Collection[str]
) -> None:
    for column in required:
        if column not in available:
            raise SourceError(
                f"{name} has no column {column!r}",
                where=where,
                remedy=suggest_column(column, list(available), required, hidden),
            )


def _require_new(join: str, adds: Mapping[str, str], existing: Columns, table: str) -> None:
    taken = set(existing)
    for column, name in adds.items():
        if name in taken:
            other = "exists in the source too" if name in existing else f"is added as {name!r} too"
            raise ContractError(
                f"column {column!r} of {table} {other}",
                where=f"joins.{join}",
                remedy=rename_remedy(join, column),
            )
        taken.add(name)


def rename_remedy(join: str, column: str) -> str:
    """Return what to declare if a column of the joined table has the name of another."""
    return (
        f"write `rename: {{{column}: {join}_{column}}}` or `prefix: {join}_`, or name in `columns` "
        "only those to add"
    )


def _require_unique(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    key: Sequence[str],
    cells: Sequence[str],
    where: str,
    name: str,
    *,
    shown: bool,
) -> None:
    present = " AND ".join(f"{cell} IS NOT NULL" for cell in cells)
    listed = ", ".join(cells)
    repeated = connection.execute(
        f"SELECT {listed}, count(*) AS n FROM ({table}) WHERE {present} "
        f"GROUP BY {listed} HAVING n > 1 ORDER BY n DESC, {listed} LIMIT 1"
    ).fetchone()
    if repeated:
        *values, rows = repeated
        pairs = zip(key, values, strict=True)
        one = ", ".join(f"{c} {v!r}" for c, v in pairs) if shown else f"of {', '.join(key)}"
        raise JoinError(
            f"{'key' if shown else 'a key'} {one} occurs {rows} times in {name}",
            where=where,
            remedy="a joined table must have each key once: correct it, or join by more columns",
        )
