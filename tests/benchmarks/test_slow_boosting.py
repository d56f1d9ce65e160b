"""The portfolios that the benchmark compares."""

import pytest

from benchmarks.slow_boosting import WITH, WITHOUT, portfolios
from factory_assets.ml.models.portfolio.defaults import slow_boosting


@pytest.mark.parametrize(("rows", "members"), [(300, 5), (1_000, 6)])
def test_portfolios_differ_in_one_member(rows: int, members: int) -> None:
    fewer, more = (portfolios(rows)[name].members or () for name in (WITHOUT, WITH))
    assert (len(fewer), len(more)) == (members, members + 1)
    assert {*map(str, more)} - {*map(str, fewer)} == {str(slow_boosting())}
