"""Values in the columns of Parquet files."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_resources.erasure.parquet import parquet_places
from factory_resources.erasure.search_terms import search_terms


@pytest.mark.parametrize(
    ("value", "count"),
    [(6.022141e23, 1), (71.38091746, 1), (0.123456789012, 0), (1.23456789e300, 0)],
)
def test_a_number_is_found_among_decimals_if_they_can_have_all_its_digits(
    value: float, count: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    cells = [Decimal("6.022141e23"), Decimal("71.38091746"), Decimal("0.123456789"), None]
    pq.write_table(pa.table({"amount": pa.array(cells, pa.decimal128(38, 10))}), path)
    assert parquet_places(path, search_terms([value]))["column amount"] == count
