"""Clean: rules, then duplicates, then derived columns, then windows; every row is accounted for.

Rules, keys and derived columns see the ingested columns; derived ones also those before them.
Rules come first, so that a broken row never hides a whole one with the same key.
"""

from typing import TYPE_CHECKING

from factory_assets.spec import IDENTITY, Clean, Pipeline
from factory_assets.stages.values import Cleaned, Ingested
from factory_assets.stages.windows import windowed
from factory_resources.engine import engine_errors, identifier, literal, sealed
from factory_resources.errors import DataError, ExpressionError
from factory_resources.expressions import columns_of, suggestion
from factory_resources.home import Home
from factory_resources.tables import Prepared, commit, prepare

if TYPE_CHECKING:
    import duckdb


def clean(pipeline: Pipeline, ingested: Ingested, home: Home) -> Cleaned:
    """Store the trusted rows, in the source's order, and those that broke a rule.

    Raises:
        ExpressionError: a declared expression is wrong, or fails on a value.
        DataError: no row is left.
        StorageError: the disk says no.
    """
    spec, where = pipeline.spec.clean, f"{pipeline.name}/clean"
    _check_expressions(spec, tuple(ingested.snapshot.columns), where)
    source = ingested.snapshot.path(home)
    with home.scratch() as scratch, sealed(read=[source], write=scratch) as connection:
        connection.execute(
            "CREATE TEMP VIEW source AS SELECT *, file_row_number AS _order "
            f"FROM read_parquet({literal(str(source))}, hive_partitioning=false)"
        )
        _check_each(connection, spec, where)
        rules = {name: f"NOT coalesce(({sql}\n), true)" for name, sql in spec.where.items()}
        broken_rows = " OR ".join(rules.values()) or "false"
        counts, broken = _counts(connection, rules, where), None
        if counts:
            names = ", ".join(f"CASE WHEN {s} THEN {literal(n)} END" for n, s in rules.items())
            broken = prepare(
                connection,
                f"SELECT * EXCLUDE (_order), concat_ws(',', {names}) AS _rules "
                f"FROM source WHERE {broken_rows}",
                table=where,
                folder=scratch,
            )
        duplicates = _mark_duplicates(connection, spec, broken_rows)
        good = prepare(connection, _good(spec, broken_rows), table=where, folder=scratch)
        _require_conserved(connection, good, broken, duplicates, where)
        if not good.rows:
            rule = max(counts, key=lambda name: counts[name])
            raise DataError(
                f"no row is left: rule {rule!r} quarantines {counts[rule]}",
                where=where,
                remedy="correct clean.where",
            )
        quarantine = commit(broken, home=home, table=f"{where}_quarantine") if broken else None
        snapshot = commit(good, home=home, table=where)
    return Cleaned(
        snapshot=snapshot,
        quarantine=quarantine,
        rows_in=ingested.snapshot.rows,
        quarantined=counts,
        duplicates=duplicates,
    )


def _check_expressions(spec: Clean, columns: tuple[str, ...], where: str) -> None:
    known = [name for name in columns if name not in IDENTITY]
    for rule, sql in spec.where.items():
        _check_columns(sql, known, f"{where}: where.{rule}")
    for name, sql in spec.derive.items():
        place = f"{where}: derive.{name}"
        _check_columns(sql, known, place)
        _require_new(name, known, place)
        known.append(name)
    if spec.windows:
        windows = spec.windows
        for name in (windows.by, windows.order, *windows.columns):
            if name not in known:
                raise _unknown(name, known, f"{where}: windows")
        for name in (f"{c}_{s}" for c in windows.columns for s in windows.statistics):
            _require_new(name, known, f"{where}: windows")
            known.append(name)
    for name in spec.deduplicate:
        if name not in columns:
            raise _unknown(name, columns, f"{where}: deduplicate")


def _check_columns(sql: str, known: list[str], where: str) -> None:
    folded = {name.lower() for name in known}
    for name in columns_of(sql, where):
        if name.lower() not in folded:
            raise _unknown(name, known, where)


def _unknown(name: str, known: list[str] | tuple[str, ...], where: str) -> ExpressionError:
    return ExpressionError(
        f"there is no column {name!r}", where=where, remedy=suggestion(name, known)
    )


def _require_new(name: str, known: list[str], where: str) -> None:
    if name.lower() in {k.lower() for k in known} or name.lower() == "file_row_number":
        raise ExpressionError(
            f"column {name!r} exists already", where=where, remedy="give it a name of its own"
        )


def _check_each(connection: "duckdb.DuckDBPyConnection", spec: Clean, where: str) -> None:
    """Bind each expression by itself, so that a mistake is named by its place."""
    for rule, sql in spec.where.items():
        place = f"{where}: where.{rule}"
        with engine_errors(place):
            kind = connection.execute(f"DESCRIBE SELECT ({sql}\n) AS r FROM source").fetchall()
        if kind[0][1] != "BOOLEAN":
            raise ExpressionError(
                f"the rule yields {kind[0][1]}, not true or false",
                where=place,
                remedy="compare the value with something, as in `torque > 0`",
            )
    for name in spec.derive:
        with engine_errors(f"{where}: derive.{name}"):
            connection.execute(f"DESCRIBE {_derived(spec, 'FROM source', until=name)}")


def _derived(spec: Clean, query: str, until: str | None = None) -> str:
    """One SELECT around the other: a column sees just what was there before it."""
    for name, sql in spec.derive.items():
        query = f"SELECT *, ({sql}\n) AS {identifier(name)} FROM ({query})"
        if name == until:
            break
    return query


def _counts(
    connection: "duckdb.DuckDBPyConnection", rules: dict[str, str], where: str
) -> dict[str, int]:
    found = {}
    for name, broken in rules.items():
        with engine_errors(f"{where}: where.{name}"):
            row = connection.execute(f"SELECT count(*) FROM source WHERE {broken}").fetchone()
        if row and row[0]:
            found[name] = int(row[0])
    return found


def _mark_duplicates(connection: "duckdb.DuckDBPyConnection", spec: Clean, broken_rows: str) -> int:
    if not spec.deduplicate:
        return 0
    key = ", ".join(identifier(name) for name in spec.deduplicate)
    created = connection.execute(
        f"CREATE TEMP TABLE repeated AS SELECT _order FROM source WHERE NOT ({broken_rows}) "
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _order) > 1"
    ).fetchone()
    return int(created[0]) if created else 0


def _good(spec: Clean, broken_rows: str) -> str:
    query = f"FROM source WHERE NOT ({broken_rows})"
    if spec.deduplicate:
        query += " AND _order NOT IN (FROM repeated)"
    query = _derived(spec, query)
    if spec.windows:
        query = windowed(spec.windows, query)
    # Joins and window functions give up the source's order.
    ordered = spec.windows or spec.deduplicate or spec.derive
    return f"SELECT * EXCLUDE (_order) FROM ({query})" + (" ORDER BY _order" if ordered else "")


def _require_conserved(
    connection: "duckdb.DuckDBPyConnection",
    good: Prepared,
    broken: Prepared | None,
    duplicates: int,
    where: str,
) -> None:
    row = connection.execute("SELECT count(*) FROM source").fetchone()
    rows_in = row[0] if row else 0
    if good.rows + (broken.rows if broken else 0) + duplicates != rows_in:
        raise RuntimeError(f"{where}: rows were lost or made between ingest and clean")
