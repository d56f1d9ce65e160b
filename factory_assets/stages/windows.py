"""Sliding-window statistics as SQL: over the last rows of each unit, the current one included."""

from factory_assets.spec import Windows
from factory_assets.spec.clean import Size, Statistic
from factory_resources.sql.engine import identifier


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
