"""The figures of the monitor's page."""

import pytest

from factory_assets.components.metadata.monitoring import daily_rows
from factory_assets.monitoring.report import MonitorReport


@pytest.mark.parametrize(
    ("looks", "rates"),
    [
        ([(120, 1.0), (60, 1.0)], [120, 60]),
        ([(120, 0.001), (100, 1.0)], [120, 100]),
        ([(10, 1 / 24)] * 36, [*range(10, 240, 10), *[240] * 13]),
        ([(900, 3.0), (5, 0.5)], [300, 905 / 3.5]),
    ],
    ids=["daily", "soon after a deployment", "hourly", "after days without a look"],
)
def test_rows_a_day_are_those_of_a_whole_day(
    looks: list[tuple[int, float]], rates: list[float]
) -> None:
    reports = [MonitorReport.model_construct(rows=rows, days=days) for rows, days in looks]
    assert daily_rows(reports) == pytest.approx(rates)
