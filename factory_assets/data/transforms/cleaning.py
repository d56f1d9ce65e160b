"""A declaration of `clean` as queries; nothing is stored here.

Sliding-window statistics as SQL: over the last rows of each unit, the current one included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.spec import IDENTITY, Clean, Windows
from factory_assets.spec.clean import Size, Statistic
from factory_resources.errors import ExpressionError
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import engine_errors, identifier, literal
from factory_resources.sql.expressions import parse, suggestion
from factory_resources.sql.row_marks import mark, marked
from factory_resources.tables.writer import StagedTable

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class CleanQueries:
    """A declaration as queries over the view `source`, whose column `_order` is the row's place."""

    spec: Clean
    where: str
    looks_around: bool
    """Whether a derived column sees other rows; then the engine gives up the source's order."""
    rows: int = 0
    """Of all the rows that duplicates are marked in."""

    @classmethod
    def of(cls, spec: Clean, columns: Sequence[str], where: str) -> "CleanQueries":
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
            for name in windows.added:
                _require_new(name, known, "windows", where)
                known.append(name)
        return cls(spec, where, looks_around)

    @property
    def separable(self) -> bool:
        """Whether what becomes of a row rests on no row after it."""
        return not self.spec.windows and not self.looks_around

    @property
    def rules(self) -> dict[str, str]:
        """Rule to SQL that is true for a row that breaks it; the line break ends a comment."""
        return {name: f"({sql}\n) IS FALSE" for name, sql in self.spec.where.items()}

    @property
    def _any(self) -> str:
        return "(" + (" OR ".join(self.rules.values()) or "false") + ")"

    @property
    def invalid_rows(self) -> str:
        names = ", ".join(f"CASE WHEN {s} THEN {literal(n)} END" for n, s in self.rules.items())
        return (
            f"SELECT * EXCLUDE (_order), concat_ws(',', {names}) AS _rules "
            f"FROM source WHERE {self._any}"
        )

    @property
    def valid_rows(self) -> str:
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

    def counts(
        self, connection: "duckdb.DuckDBPyConnection", broken: StagedTable
    ) -> dict[str, int]:
        """Rule to the number of rows that break it; only rules that are broken."""
        rules = f"SELECT unnest(string_split(_rules, ',')) AS rule FROM {parquet(broken.path)}"
        rows = connection.execute(f"SELECT rule, count(*) FROM ({rules}) GROUP BY rule").fetchall()
        found = dict(rows)
        return {name: found[name] for name in self.rules if name in found}

    def mark_duplicates(
        self, connection: "duckdb.DuckDBPyConnection", earlier: Sequence[Path]
    ) -> int:
        """Mark whole rows whose key an earlier one has as `repeated`; how many they are.

        Args:
            earlier: files of clean rows that come before those of the source.
        """
        if not self.spec.deduplicate:
            return 0
        key = ", ".join(identifier(name) for name in self.spec.deduplicate)
        rows = f"SELECT {key}, _order FROM source WHERE NOT {self._any}"
        for path in earlier:
            rows += f" UNION ALL SELECT {key}, -1 AS _order FROM {parquet(path)}"
        ranked = (
            f"SELECT _order FROM ({rows}) "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _order) > 1"
        )
        repeated = f"FROM ({ranked}) WHERE _order >= 0" if earlier else ranked
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


def windowed(windows: Windows, query: str) -> str:
    """`query` with the columns that the windows add; it must yield `_order`.

    Missing values are left out of every statistic. The slope is the least-squares one, in units of
    the column a step, and 0 where a single value is known; std is that of the population.
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
