"""Sliding-window statistics as SQL: over the last rows of each unit, the current one included."""

from factory_assets.spec import Windows
from factory_assets.spec.clean import Statistic
from factory_resources.engine import identifier


def windowed(windows: Windows, query: str) -> str:
    """`query` with a column `<column>_<statistic>` for each pair; it must yield `_order`.

    Missing values are left out of every statistic. The slope is the least-squares one, in units of
    the column a step, and 0 where a single value is known; std is that of the population.
    """
    by, order = identifier(windows.by), identifier(windows.order)
    cells = ", ".join(
        f"{_statistic(statistic, identifier(column))} AS {identifier(f'{column}_{statistic}')}"
        for column in windows.columns
        for statistic in windows.statistics
    )
    return (
        f"SELECT * EXCLUDE (_step), {cells} FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY {by} ORDER BY {order}, _order) AS _step FROM ({query})) "
        f"WINDOW recent AS (PARTITION BY {by} ORDER BY _step "
        f"ROWS BETWEEN {windows.size - 1} PRECEDING AND CURRENT ROW)"
    )


def _statistic(statistic: Statistic, column: str) -> str:
    match statistic:
        case "mean":
            return f"avg({column}) OVER recent"
        case "std":
            return f"stddev_pop({column}) OVER recent"
        case "min" | "max":
            return f"{statistic}({column}) OVER recent"
        case "slope":
            slope = f"regr_slope({column}, _step) OVER recent"
            known = f"count({column}) OVER recent"
            return f"CASE {known} WHEN 0 THEN NULL WHEN 1 THEN 0.0 ELSE {slope} END"
        case "first":
            return f"first_value({column}) OVER recent"
