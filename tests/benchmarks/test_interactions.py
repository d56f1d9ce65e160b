"""The tables that compare `auto` with and without interactions, and what is measured on them."""

import numpy as np
import pytest

from benchmarks.interactions import TABLES, compared, rules


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_drawn_from_its_seed(name: str) -> None:
    table = TABLES[name](3, 2_000)
    assert table.equals(TABLES[name](3, 2_000))
    assert not table.equals(TABLES[name](4, 2_000))
    share = (table["y"] == "fails").mean()
    assert (
        0.02 < share < 0.06 if name.startswith("rules") else share == pytest.approx(0.2, abs=0.01)
    )


@pytest.mark.long
@pytest.mark.slow
def test_limits_of_products_are_found_with_interactions() -> None:
    without, read = compared(rules("product", 0, 6_000), 3_000, seed=0)
    assert read[1] < without[1]
    assert all(np.isfinite(figure) for figure in (*without, *read))
