"""The queries of a `clean` declaration: rules, duplicates, derived columns, sliding windows.

Running them on blocks and storing the result belongs in `cleaned_blocks` and `stages.clean`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.spec import IDENTITY, Clean, Windows
from factory_assets.spec.clean import Size, Statistic, derived_later
from factory_resources.errors import ExpressionError
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import engine_errors, identifier, literal
from factory_resources.sql.expressions import columns_of_rule, parse, suggestion
from factory_resources.sql.limits import bounded
from factory_resources.sql.row_marks import mark, marked
from factory_resources.sql.spelling import unified_sql
from factory_resources.tables.writer import StagedTable

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class CleanQueries:
    """Queries over the view `source`, whose column `_order` is the position of the row."""

    spec: Clean
    where: str
    """Pipeline and stage, for messages."""
    looks_around: bool
    """Whether a derived column reads other rows; the engine then does not keep the source order."""
    rows: int = 0
    """Number of rows among which duplicates are marked."""

    @classmethod
    def of(cls, spec: Clean, columns: Sequence[str], where: str) -> "CleanQueries":
        """Check every name and expression of the declaration without running a query.

        Raises:
            ExpressionError: a column is unknown, a name is taken, or an expression is forbidden.
        """
        known = [name for name in columns if name not in IDENTITY]
        _require_known(spec.unify, known, "unify", where)
        for rule, sql in spec.where.items():
            used = columns_of_rule(sql, f"{where}: where.{rule}")
            _require_known(used, known, f"where.{rule}", where, spec.derive)
        if same := spec.deduplication:
            order = [same.order] if same.order else []
            _require_known((*same.key, *order), known, "deduplicate", where)
        looks_around = False
        for name, sql in spec.derive.items():
            expression = parse(sql, f"{where}: derive.{name}")
            looks_around |= expression.windowed
            _require_known(expression.columns, known, f"derive.{name}", where, spec.derive)
            _require_new(name, known, f"derive.{name}", where)
            known.append(name)
        if windows := spec.windows:
            _require_known((windows.by, windows.order, *windows.columns), known, "windows", where)
            for name in windows.added:
                _require_new(name, known, "windows", where)
                known.append(name)
        return cls(spec, where, looks_around)

    def unified(self, query: str, columns: Mapping[str, str]) -> str:
        """Return the rows of `query`, in which the declared columns have one spelling.

        Args:
            columns: the DuckDB type of each column.

        Raises:
            ExpressionError: a declared column is not text.
        """
        kinds = {name.lower(): kind for name, kind in columns.items()}
        for name in self.spec.unify:
            if (kind := kinds[name.lower()]) != "VARCHAR":
                raise ExpressionError(
                    f"column {name!r} is {kind}, not text",
                    where=f"{self.where}: unify",
                    remedy="name columns of text",
                )
        cells = (f"{unified_sql(identifier(n))} AS {identifier(n)}" for n in self.spec.unify)
        return f"SELECT * REPLACE ({', '.join(cells)}) FROM ({query})"

    @property
    def separable(self) -> bool:
        """Whether the result of a row does not depend on the rows after it."""
        same = self.spec.deduplication
        keeps_earliest = same is None or (same.keep == "first" and same.order is None)
        return keeps_earliest and not self.spec.windows and not self.looks_around

    @property
    def rules(self) -> dict[str, str]:
        """By rule: SQL that is true for a row that breaks it. The line break ends a comment."""
        return {name: f"({sql}\n) IS FALSE" for name, sql in self.spec.where.items()}

    @property
    def _any_rule_broken(self) -> str:
        return "(" + (" OR ".join(self.rules.values()) or "false") + ")"

    @property
    def invalid_rows(self) -> str:
        names = ", ".join(f"CASE WHEN {s} THEN {literal(n)} END" for n, s in self.rules.items())
        return (
            f"SELECT * EXCLUDE (_order), concat_ws(',', {names}) AS _rules "
            f"FROM source WHERE {self._any_rule_broken}"
        )

    @property
    def kept_rows(self) -> str:
        """The rows that break no rule, duplicates included, with the derived columns."""
        return self._derived(f"FROM source WHERE NOT {self._any_rule_broken}")

    @property
    def valid_rows(self) -> str:
        query = f"FROM source WHERE NOT {self._any_rule_broken}"
        if self.spec.deduplicate:
            query += f" AND NOT {marked('repeated', self.rows)}"
        query = self._derived(query)
        if self.spec.windows:
            query = windowed(self.spec.windows, query)
        ordered = self.spec.windows or self.looks_around
        return f"SELECT * EXCLUDE (_order) FROM ({query})" + " ORDER BY _order" * bool(ordered)

    def _derived(self, query: str, until: str | None = None) -> str:
        """Nest one SELECT per derived column, so that each sees only the columns before it."""
        for name, sql in self.spec.derive.items():
            query = f"SELECT *, ({sql}\n) AS {identifier(name)} FROM ({query})"
            if name == until:
                break
        return query

    def bind(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Let the engine type-check each expression on its own, so that an error names its place.

        Raises:
            ExpressionError: types do not fit, or a rule is not boolean.
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
        if self.spec.windows and (
            what := unfit_for_windows(self.spec.windows, self._derived("FROM source"), connection)
        ):
            raise ExpressionError(what, where=f"{self.where}: windows", remedy=WINDOWS_REMEDY)

    def bounded(self, connection: "duckdb.DuckDBPyConnection") -> AbstractContextManager[None]:
        """Return a context in which the expressions end within the declared time, and in memory."""
        seconds = self.spec.timeout * max(1, ceil(self.rows / 1_000_000))
        remedy = "simplify the expressions, or raise clean.timeout"
        return bounded(connection, seconds, self.where, remedy)

    def counts(
        self, connection: "duckdb.DuckDBPyConnection", broken: StagedTable
    ) -> dict[str, int]:
        """Return the number of rows that break each rule, without the rules that no row breaks."""
        rules = f"SELECT unnest(string_split(_rules, ',')) AS rule FROM {parquet(broken.path)}"
        rows = connection.execute(f"SELECT rule, count(*) FROM ({rules}) GROUP BY rule").fetchall()
        counts = dict(rows)
        return {name: counts[name] for name in self.rules if name in counts}

    def mark_duplicates(
        self, connection: "duckdb.DuckDBPyConnection", earlier: Sequence[Path]
    ) -> int:
        """Mark valid rows that repeat the key of the row that stays as `repeated`; count them.

        Rows that have no value in any column of the key are not compared.

        Args:
            earlier: files of clean rows that precede those of the source; only if `separable`.
        """
        same = self.spec.deduplication
        if same is None:
            return 0
        names = [identifier(name) for name in same.key]
        key = ", ".join(names)
        # Rows of which nothing is known are not the same row.
        known = f"({' OR '.join(f'{name} IS NOT NULL' for name in names)})"
        by = identifier(same.order) if same.order else "NULL"
        rows = (
            f"SELECT {key}, _order, {by} AS _by FROM source "
            f"WHERE {known} AND NOT {self._any_rule_broken}"
        )
        for path in earlier:
            rows += f" UNION ALL SELECT {key}, -1, NULL FROM {parquet(path)} WHERE {known}"
        first = "_by NULLS FIRST, _order"
        last = "_by DESC NULLS LAST, _order DESC"
        ranked = (
            f"SELECT _order FROM ({rows}) QUALIFY row_number() OVER "
            f"(PARTITION BY {key} ORDER BY {first if same.keep == 'first' else last}) > 1"
        )
        repeated = f"FROM ({ranked}) WHERE _order >= 0" if earlier else ranked
        return mark(connection, "repeated", repeated, self.rows)

    def blame(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Compute rules and derived columns one by one, to find which of them fails.

        Raises:
            ExpressionError: one fails on a value; the message names it.
            StorageError: one needs too much memory; the message names it.
        """
        for key, name, sql, rows in self.expressions():
            with engine_errors(f"{self.where}: {key}.{name}"):
                # The engine counts some values without computing them.
                values = f"SELECT {sql} AS value FROM ({rows})"
                connection.execute(f"SELECT bit_xor(hash(value)) FROM ({values})")

    def expressions(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield rules and derived columns: `where` or `derive`, the name, SQL, and the rows that it
        reads, where the columns before it are derived."""
        for name, sql in self.rules.items():
            yield "where", name, sql, "FROM source"
        rows = f"FROM source WHERE NOT {self._any_rule_broken}"
        for name, sql in self.spec.derive.items():
            yield "derive", name, f"({sql}\n)", rows
            rows = f"SELECT *, ({sql}\n) AS {identifier(name)} FROM ({rows})"


def _require_known(
    names: Sequence[str], known: Sequence[str], key: str, where: str, later: Collection[str] = ()
) -> None:
    folded = {name.lower() for name in known}
    for name in names:
        if name.lower() not in folded:
            raise ExpressionError(
                f"there is no column {name!r}",
                where=f"{where}: {key}",
                remedy=derived_later(name, later) or suggestion(name, known),
            )


def _require_new(name: str, known: Sequence[str], key: str, where: str) -> None:
    if name.lower() in {*(k.lower() for k in known), "file_row_number"}:
        raise ExpressionError(
            f"column {name!r} exists already",
            where=f"{where}: {key}",
            remedy="give it another name",
        )


def windowed(windows: Windows, query: str) -> str:
    """Return `query` with the statistics of sliding windows as additional columns.

    A window holds the last rows of a unit, the current row included. Missing values are left out of
    every statistic. The slope is the least-squares slope in units of the column per step, and 0 if
    only one value is known; std is that of the population.

    Args:
        windows: the declaration.
        query: must yield `_order`.
    """
    by, order = identifier(windows.by), identifier(windows.order)
    cells = ", ".join(
        f"{_statistic(statistic, identifier(column), _window(size))} AS {identifier(name)}"
        for column in windows.columns
        for name, (statistic, size) in windows.of(column).items()
    )
    frames = ", ".join(
        f"{_window(size)} AS (PARTITION BY {by} ORDER BY _step "
        f"ROWS BETWEEN {_before(size)} PRECEDING AND CURRENT ROW)"
        for size in windows.size
    )
    return (
        f"SELECT * EXCLUDE (_step), {cells} FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY {by} ORDER BY {order}, _order) AS _step FROM ({query})) WINDOW {frames}"
    )


WINDOWS_REMEDY = "name columns of numbers, or the statistics min, max and first alone"
"""What to do if a column has none of the declared statistics."""


def unfit_for_windows(
    windows: Windows, query: str, connection: "duckdb.DuckDBPyConnection"
) -> str | None:
    """Return what is wrong if a column has not all of the declared statistics, such as a text.

    Args:
        query: must yield `_order`, and may yield no row.
    """
    if _binds(windowed(windows, query), connection):
        return None
    kinds = {name.lower(): kind for name, kind, *_ in _described(query, connection)}
    if not kinds.keys() >= {n.lower() for n in (windows.by, windows.order, *windows.columns)}:
        # Unknown names are told where names are checked.
        return None
    for column in windows.columns:
        for statistic in windows.statistics:
            one = {"columns": (column,), "statistics": (statistic,)}
            if not _binds(windowed(windows.model_copy(update=one), query), connection):
                return f"column {column!r} is {kinds[column.lower()]}, which has no {statistic}"
    return None


def _binds(query: str, connection: "duckdb.DuckDBPyConnection") -> bool:
    try:
        with engine_errors(""):
            _described(query, connection)
    except ExpressionError:
        return False
    return True


def _described(query: str, connection: "duckdb.DuckDBPyConnection") -> list[Any]:
    return connection.execute(f"DESCRIBE {query}").fetchall()


def _window(size: Size) -> str:
    return f"last_{size}"


def _before(size: Size) -> str:
    return "UNBOUNDED" if size == "all" else str(size - 1)


def _statistic(statistic: Statistic, column: str, window: str) -> str:
    match statistic:
        case "mean":
            return f"avg({column}) OVER {window}"
        case "std":
            return f"stddev_pop({column}) OVER {window}"
        case "min" | "max":
            return f"{statistic}({column}) OVER {window}"
        case "slope":
            slope = f"regr_slope({column}, _step) OVER {window}"
            known = f"count({column}) OVER {window}"
            return f"CASE {known} WHEN 0 THEN NULL WHEN 1 THEN 0.0 ELSE {slope} END"
        case "first":
            return f"first_value({column}) OVER {window}"
