"""Clean: rules, then duplicates, then derived columns, then windows; every row is accounted for.

Rules, keys and derived columns see the ingested columns; derived ones also those before them.
Rules come first, so that a broken row never hides a whole one with the same key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from factory_assets.spec import IDENTITY, Clean, Pipeline
from factory_assets.stages.values import Cleaned, Ingested
from factory_assets.stages.windows import windowed
from factory_resources.engine import engine_errors, identifier, literal, sealed
from factory_resources.errors import DataError, ExpressionError
from factory_resources.expressions import parse, suggestion
from factory_resources.home import Home
from factory_resources.marks import mark, marked
from factory_resources.sources_read import numbered, parquet
from factory_resources.tables import Prepared, commit, prepare

if TYPE_CHECKING:
    import duckdb


def clean(
    pipeline: Pipeline, ingested: Ingested, home: Home, partition: str | None = None
) -> Cleaned:
    """Store the trusted rows, in the source's order, and those that broke a rule.

    Raises:
        ExpressionError: a declared expression is wrong, or fails on a value.
        DataError: no row is left.
        StorageError: the disk says no.
    """
    where = f"{pipeline.name}/clean"
    files, columns = ingested.snapshot.files, tuple(ingested.snapshot.columns)
    plan = Plan.of(pipeline.spec.clean, columns, ingested.snapshot.rows, where)
    source = ingested.snapshot.paths(home)
    with (
        home.scratch() as scratch,
        sealed(read=source, write=scratch) as connection,
        engine_errors(where),
    ):
        numbers = numbered(source, [file.rows for file in files])
        connection.execute(f"CREATE TEMP VIEW source AS {numbers}")
        plan.bind(connection)
        broken: Prepared | None = None
        try:
            if plan.rules:
                broken = prepare(connection, plan.broken, table=where, folder=scratch)
            duplicates = plan.mark_duplicates(connection)
            good = prepare(connection, plan.good, table=where, folder=scratch)
        except ExpressionError:
            plan.blame(connection)
            raise
        broken = broken if broken and broken.rows else None
        counts = plan.counts(connection, broken) if broken else {}
        _require_conserved(connection, good, broken, duplicates, where)
        if not good.rows:
            raise _nothing_left(counts, where)
        keep = partial(commit, home=home, partition=partition)
        quarantine = keep(broken, table=f"{where}_quarantine") if broken else None
        snapshot = keep(good, table=where)
    return Cleaned(
        snapshot=snapshot,
        quarantine=quarantine,
        rows_in=ingested.snapshot.rows,
        quarantined=counts,
        duplicates=duplicates,
    )


@dataclass(frozen=True)
class Plan:
    """A declaration as queries over the view `source`, whose column `_order` is the row's place."""

    spec: Clean
    rows: int
    """Of the source."""
    where: str
    looks_around: bool
    """Whether a derived column sees other rows; then the engine gives up the source's order."""

    @classmethod
    def of(cls, spec: Clean, columns: Sequence[str], rows: int, where: str) -> "Plan":
        """Check every name and expression without running one.

        Raises:
            ExpressionError: an unknown column, a name that is taken, a forbidden expression.
        """
        known = [name for name in columns if name not in IDENTITY]
        for rule, sql in spec.where.items():
            _require_known(
                parse(sql, f"{where}: where.{rule}").columns, known, f"where.{rule}", where
            )
        _require_known(spec.deduplicate, known, "deduplicate", where)
        looks_around = False
        for name, sql in spec.derive.items():
            expression = parse(sql, f"{where}: derive.{name}")
            looks_around |= expression.windowed
            _require_known(expression.columns, known, f"derive.{name}", where)
            _require_new(name, known, f"derive.{name}", where)
            known.append(name)
        if windows := spec.windows:
            _require_known((windows.by, windows.order, *windows.columns), known, "windows", where)
            for name in (f"{c}_{s}" for c in windows.columns for s in windows.statistics):
                _require_new(name, known, "windows", where)
                known.append(name)
        return cls(spec, rows, where, looks_around)

    @property
    def rules(self) -> dict[str, str]:
        """Rule to SQL that is true for a row that breaks it; the line break ends a comment."""
        return {name: f"({sql}\n) IS FALSE" for name, sql in self.spec.where.items()}

    @property
    def _any(self) -> str:
        return "(" + (" OR ".join(self.rules.values()) or "false") + ")"

    @property
    def broken(self) -> str:
        names = ", ".join(f"CASE WHEN {s} THEN {literal(n)} END" for n, s in self.rules.items())
        return (
            f"SELECT * EXCLUDE (_order), concat_ws(',', {names}) AS _rules "
            f"FROM source WHERE {self._any}"
        )

    @property
    def good(self) -> str:
        query = f"FROM source WHERE NOT {self._any}"
        if self.spec.deduplicate:
            query += f" AND NOT {marked('repeated', self.rows)}"
        query = self._derived(query)
        if self.spec.windows:
            query = windowed(self.spec.windows, query)
        ordered = self.spec.windows or self.looks_around
        return f"SELECT * EXCLUDE (_order) FROM ({query})" + " ORDER BY _order" * bool(ordered)

    def _derived(self, query: str, until: str | None = None) -> str:
        """One SELECT around the other: a column sees just what was there before it."""
        for name, sql in self.spec.derive.items():
            query = f"SELECT *, ({sql}\n) AS {identifier(name)} FROM ({query})"
            if name == until:
                break
        return query

    def bind(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Have the engine understand each expression by itself, so that a mistake has its place.

        Raises:
            ExpressionError: types do not fit, or a rule is no truth value.
        """
        for rule, sql in self.spec.where.items():
            with engine_errors(f"{self.where}: where.{rule}"):
                described = connection.execute(f"DESCRIBE SELECT ({sql}\n) FROM source").fetchall()
            if described[0][1] != "BOOLEAN":
                raise ExpressionError(
                    f"the rule yields {described[0][1]}, not true or false",
                    where=f"{self.where}: where.{rule}",
                    remedy="compare the value with something, as in `torque > 0`",
                )
        for name in self.spec.derive:
            with engine_errors(f"{self.where}: derive.{name}"):
                connection.execute(f"DESCRIBE {self._derived('FROM source', until=name)}")

    def counts(self, connection: "duckdb.DuckDBPyConnection", broken: Prepared) -> dict[str, int]:
        """Rule to the number of rows that break it; only rules that are broken."""
        rules = f"SELECT unnest(string_split(_rules, ',')) AS rule FROM {parquet(broken.path)}"
        rows = connection.execute(f"SELECT rule, count(*) FROM ({rules}) GROUP BY rule").fetchall()
        found = dict(rows)
        return {name: found[name] for name in self.rules if name in found}

    def mark_duplicates(self, connection: "duckdb.DuckDBPyConnection") -> int:
        """Mark whole rows whose key an earlier one has as `repeated`; how many they are."""
        if not self.spec.deduplicate:
            return 0
        key = ", ".join(identifier(name) for name in self.spec.deduplicate)
        repeated = (
            f"SELECT _order FROM source WHERE NOT {self._any} "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _order) > 1"
        )
        return mark(connection, "repeated", repeated, self.rows)

    def blame(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Compute rules and derived columns one by one.

        Raises:
            ExpressionError: naming the first that fails on a value.
        """
        for name, broken in self.rules.items():
            with engine_errors(f"{self.where}: where.{name}"):
                connection.execute(f"SELECT count(*) FROM source WHERE {broken}")
        rows = f"FROM source WHERE NOT {self._any}"
        for name in self.spec.derive:
            with engine_errors(f"{self.where}: derive.{name}"):
                connection.execute(
                    f"SELECT count({identifier(name)}) FROM ({self._derived(rows, until=name)})"
                )


def _require_known(names: Sequence[str], known: Sequence[str], place: str, where: str) -> None:
    folded = {name.lower() for name in known}
    for name in names:
        if name.lower() not in folded:
            raise ExpressionError(
                f"there is no column {name!r}",
                where=f"{where}: {place}",
                remedy=suggestion(name, known),
            )


def _require_new(name: str, known: Sequence[str], place: str, where: str) -> None:
    if name.lower() in {*(k.lower() for k in known), "file_row_number"}:
        raise ExpressionError(
            f"column {name!r} exists already",
            where=f"{where}: {place}",
            remedy="give it a name of its own",
        )


def _require_conserved(
    connection: "duckdb.DuckDBPyConnection",
    good: Prepared,
    broken: Prepared | None,
    duplicates: int,
    where: str,
) -> None:
    row = connection.execute("SELECT count(*) FROM source").fetchone()
    if not row or good.rows + (broken.rows if broken else 0) + duplicates != row[0]:
        raise RuntimeError(f"{where}: rows were lost or made between ingest and clean")


def _nothing_left(counts: dict[str, int], where: str) -> DataError:
    rule = max(counts, key=lambda name: counts[name])
    return DataError(
        f"no row is left: rule {rule!r} sends {counts[rule]} to quarantine",
        where=where,
        remedy="correct clean.where",
    )
